"""Two replicas: one acts, and the other takes over, at once where the first was stopped in order."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maas_operator.act.election import LEASE_SECONDS, PERIOD_SECONDS
from tests.api.operator_process import Account, Operator, operator_process
from tests.cluster import Cluster

pytestmark = pytest.mark.api

START_SECONDS = 10.0
"""To see the cluster and to act, once it leads."""


@pytest.fixture
def replicas(cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[Operator]]:
    """Two replicas; the first one leads."""
    lease = f"--lease-name={request.node.name.replace('_', '-')}"
    where = "--namespace=default"
    with operator_process(cluster, tmp_path / "one.log", lease, where) as one:
        one.wait_ready()
        wait_for_leader(one)
        with operator_process(cluster, tmp_path / "two.log", lease, where) as two:
            two.wait_ready()
            yield [one, two]


def wait_for_leader(operator: Operator, limit: float = START_SECONDS) -> None:
    deadline = time.monotonic() + limit
    while not leads(operator):
        assert time.monotonic() < deadline, f"it does not lead: {operator.tail()}"
        time.sleep(0.1)


def leads(operator: Operator) -> bool:
    return operator.metric("maas_operator_is_leader") == 1


def test_the_one_that_stands_by_does_nothing(replicas: list[Operator], account: Account) -> None:
    one, two = replicas
    account.serve()
    account.served(one)
    assert not leads(two)
    assert two.writes() == 0
    assert not any(line["event"] == "the cluster has been seen" for line in two.log()), "it does not even watch"


def test_a_replica_that_is_stopped_hands_over_at_once(replicas: list[Operator], account: Account) -> None:
    one, two = replicas
    began = time.monotonic()
    assert one.stop() == 0
    wait_for_leader(two)
    assert time.monotonic() - began < PERIOD_SECONDS * 3, "it waited for the lease to run out"
    account.serve()
    account.served(two)


def test_a_replica_that_is_killed_is_followed_within_the_lease(replicas: list[Operator], account: Account) -> None:
    one, two = replicas
    one.kill()
    account.serve()
    wait_for_leader(two, LEASE_SECONDS + PERIOD_SECONDS * 3)
    account.served(two)


def test_a_replica_that_was_frozen_finds_another_leading_and_stops(
    replicas: list[Operator], account: Account, cluster: Cluster
) -> None:
    one, two = replicas
    one.signal(signal.SIGSTOP)
    wait_for_leader(two, LEASE_SECONDS + PERIOD_SECONDS * 3)
    one.signal(signal.SIGCONT)
    account.eventually(lambda: not leads(one), "the first to notice", one)
    account.serve()
    account.served(two)
    assert one.running(), "it stands by now"
    holder = json.loads(cluster.kubectl("get", "leases", "--namespace=default", "-ojson"))["items"]
    assert len({lease["spec"]["holderIdentity"] for lease in holder if lease["spec"].get("holderIdentity")}) >= 1


def test_a_lease_that_may_not_be_written_is_told(
    cluster: Cluster, new_account: Callable[[Cluster], Account], tmp_path: Path
) -> None:
    kubeconfig = cluster.user_kubeconfig("may-do-nothing")
    account = new_account(cluster)
    with operator_process(cluster, tmp_path / "log", "--namespace=default", kubeconfig=kubeconfig) as operator:
        account.eventually(
            lambda: any(line["event"] == "the lease could not be taken" for line in operator.log()),
            "its word",
            operator,
        )
        missing = "a permission is missing"
        account.eventually(
            lambda: any(line["event"] == missing and line["resource"] == "leases" for line in operator.log()),
            "the permission's name",
            operator,
        )
