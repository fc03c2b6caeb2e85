"""Instances of several hosts on a real API server with the definition of LeaderWorkerSets: applied, put back, handed
over, and missed where the cluster does not have it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.grants import Grants
from tests.api.operator_process import Account, Operator, custom, operator_process
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.api
REPAIR_SECONDS = 5.0
APPEARS_SECONDS = 40.0
"""Limit for the operator to see that a definition came: it looks every 10 seconds, and its watches begin anew then."""
SETS = "leaderworkersets.v1.leaderworkerset.x-k8s.io"
DEFINITION = "crd/leaderworkersets.leaderworkerset.x-k8s.io"


@pytest.fixture(scope="module")
def undefined(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, which has no definition of LeaderWorkerSets again afterwards."""
    yield cluster
    cluster.kubectl("delete", DEFINITION, "--ignore-not-found", "--wait=false")


@pytest.fixture
def spread(undefined: Cluster, new_account: Callable[[Cluster], Account]) -> Iterator[Account]:
    """An account whose pool has a flavor of two hosts."""
    account = new_account(undefined)
    flavors = [
        {"name": name, "cpu": "1", "memory": "1Gi", "hosts": hosts} for name, hosts in (("small", 1), ("two", 2))
    ]
    account.apply(custom("ResourcePool", account.name, spec={"flavors": flavors}))
    yield account


def sets(account: Account) -> list[dict[str, Any]]:
    """The account's LeaderWorkerSets, by their path: kubectl goes on for a while by the kinds that it knew before."""
    path = f"/apis/leaderworkerset.x-k8s.io/v1/namespaces/{account.name}/leaderworkersets"
    return list(json.loads(account.cluster.kubectl("get", "--raw", path))["items"])


def test_it_works_without_the_definition_says_what_is_missing_and_takes_it_up_when_it_comes(
    spread: Account, tmp_path: Path
) -> None:
    spread.cluster.kubectl("delete", DEFINITION, "--ignore-not-found")
    grants = Grants(spread.cluster, "groups")
    grants.all_but()
    with operator_process(
        spread.cluster, tmp_path / "log", "--no-leader-election", kubeconfig=grants.kubeconfig
    ) as operator:
        operator.wait_ready()
        spread.serve("wide", flavor="two")
        spread.serve("narrow")
        spread.served(operator, "narrow")
        missing = spread.eventually(lambda: spread.condition("Accepted", "wide"), "its word", operator)
        assert (missing["status"], missing["reason"]) == ("False", "LeaderWorkerSetMissing")
        spread.cluster.define_leader_worker_sets()
        spread.eventually(lambda: sets(spread), "its LeaderWorkerSet", operator, APPEARS_SECONDS)
        spread.eventually(lambda: spread.condition("Accepted", "wide")["status"] == "True", "its word", operator)
        (made,) = sets(spread)
        assert made["metadata"]["ownerReferences"][0]["name"] == "wide"
        assert made["spec"]["leaderWorkerTemplate"]["size"] == 2
        spread.delete(SETS, made["metadata"]["name"])
        spread.eventually(lambda: sets(spread), "it to be made again", operator, REPAIR_SECONDS)


def test_it_is_written_once_put_back_scaled_and_handed_over(operator: Operator, spread: Account) -> None:
    spread.cluster.define_leader_worker_sets()
    spread.serve(flavor="two")
    spread.eventually(lambda: sets(spread), "its LeaderWorkerSet", operator, APPEARS_SECONDS)
    (made,) = sets(spread)
    name = made["metadata"]["name"]

    def count() -> int:
        return int((spread.get(SETS, name) or {"spec": {"replicas": -1}})["spec"]["replicas"])

    quiet(operator)
    spread.patch(SETS, {"spec": {"replicas": 7}}, name)
    spread.eventually(lambda: count() == 1, "the edit to be undone", operator, REPAIR_SECONDS)
    policy = {"spec": {"leaderWorkerTemplate": {"restartPolicy": "None"}}}
    spread.patch(SETS, policy, name)
    spread.eventually(lambda: template(spread, name)["restartPolicy"] != "None", "it to be put back", operator)
    worker = template(spread, name)["workerTemplate"]["spec"]["containers"]
    edited = [worker[0] | {"image": "edited"}]
    spread.patch(SETS, {"spec": {"leaderWorkerTemplate": {"workerTemplate": {"spec": {"containers": edited}}}}}, name)
    spread.eventually(lambda: image(spread, name) == worker[0]["image"], "the image to be put back", operator)
    spread.patch("msvc", {"spec": {"instances": 3}})
    spread.eventually(lambda: count() == 3, "three groups", operator, REPAIR_SECONDS)
    quiet(operator)
    spread.patch("msvc", {"spec": {"engine": {"args": ["--new"]}}})

    def replaced() -> bool:
        return [each["metadata"]["name"] for each in sets(spread)] not in ([], [name]) and not spread.get(SETS, name)

    spread.eventually(replaced, "what answers nobody to be replaced at once", operator, REPAIR_SECONDS)
    spread.patch("msvc", {"spec": {"flavor": "small"}})
    spread.eventually(lambda: spread.get("deployment") and not sets(spread), "a Deployment", operator, REPAIR_SECONDS)
    spread.eventually(lambda: selector(spread) == {"maas-operator.io/service": "assistant"}, "its Service", operator)


def selector(account: Account) -> dict[str, str]:
    return dict((account.get("service") or {})["spec"]["selector"])


def quiet(operator: Operator) -> None:
    """Wait until nothing is written any more: what is kept of a LeaderWorkerSet is what was asked for."""

    def same() -> bool:
        before = operator.writes()
        time.sleep(1.5)
        return operator.writes() == before

    wait_until(same, 15.0, "the operator to be done", operator.tail)


def template(account: Account, name: str) -> dict[str, Any]:
    return dict((account.get(SETS, name) or {})["spec"]["leaderWorkerTemplate"])


def image(account: Account, name: str) -> str:
    return str(template(account, name)["workerTemplate"]["spec"]["containers"][0]["image"])
