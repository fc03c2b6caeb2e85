"""The API server goes away, forgets, or is not ready yet: the operator comes back by itself."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.conftest import CRDS, FORGETS_SECONDS
from tests.api.operator_process import Account, operator_process
from tests.cluster import Cluster

pytestmark = pytest.mark.api

NO_ELECTION = "--no-leader-election"
OUTAGE_SECONDS = 15.0
RECOVERY_SECONDS = 30.0
"""After the API server is back: the informers' longest wait is 10 s."""

NewAccount = Callable[[Cluster], Account]


def test_it_waits_for_its_definitions_and_names_them(
    breakable_cluster: Cluster, new_account: NewAccount, tmp_path: Path
) -> None:
    cluster = breakable_cluster
    with operator_process(cluster, tmp_path / "log", NO_ELECTION) as operator:
        deadline = time.monotonic() + 15
        while "modelservices.maas-operator.io" not in operator.readiness():
            assert time.monotonic() < deadline, operator.readiness()
            time.sleep(0.2)
        time.sleep(5)
        told = [line["resource"] for line in operator.log() if line["event"] == "waiting"]
        assert sorted(told) == sorted(path.stem for path in CRDS.glob("*.yaml")), "one line each, not one a try"
        apply_definitions(cluster)
        operator.wait_ready()
        account = new_account(cluster)
        account.serve()
        account.served(operator)


def apply_definitions(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))


def test_it_goes_on_after_the_api_server_was_away(
    breakable_cluster: Cluster, new_account: NewAccount, tmp_path: Path
) -> None:
    cluster = breakable_cluster
    apply_definitions(cluster)
    account = new_account(cluster)
    with operator_process(cluster, tmp_path / "log", NO_ELECTION) as operator:
        operator.wait_ready()
        account.serve("before")
        account.served(operator, "before")
        cluster.stop_process("kube-apiserver", kill=True)
        time.sleep(OUTAGE_SECONDS)
        assert operator.running()
        cluster.start_process("kube-apiserver")
        account.serve("after")
        account.served(operator, "after", RECOVERY_SECONDS)
        account.patch("deployment", {"spec": {"replicas": 7}}, "before")
        account.eventually(lambda: replicas(account, "before") == 1, "the edit to be undone", operator)


def replicas(account: Account, name: str) -> int:
    found = account.get("deployment", name)
    return int(found["spec"]["replicas"]) if found else -1


def test_a_deletion_that_no_event_told_of_is_found(
    breakable_cluster: Cluster, new_account: NewAccount, tmp_path: Path
) -> None:
    """Deleted while the operator sleeps and its connections are cut, then forgotten by etcd's compaction and by the API
    server's restart: the watch is answered with 410, and the listing that follows does not show what is gone."""
    cluster = breakable_cluster
    apply_definitions(cluster)
    account = new_account(cluster)
    with operator_process(cluster, tmp_path / "log", NO_ELECTION) as operator:
        operator.wait_ready()
        account.serve()
        account.served(operator)
        operator.signal(signal.SIGSTOP)
        cluster.stop_process("kube-apiserver", kill=True)
        cluster.start_process("kube-apiserver")
        account.delete("deployment")
        account.serve("later", state="Stopped")
        time.sleep(FORGETS_SECONDS * 3)
        cluster.stop_process("kube-apiserver", kill=True)
        cluster.start_process("kube-apiserver")
        operator.signal(signal.SIGCONT)
        account.eventually(
            lambda: account.get("deployment"), "the Deployment to be made again", operator, RECOVERY_SECONDS
        )


def test_a_definition_that_is_deleted_and_applied_again(
    breakable_cluster: Cluster, new_account: NewAccount, tmp_path: Path
) -> None:
    cluster = breakable_cluster
    apply_definitions(cluster)
    account = new_account(cluster)
    with operator_process(cluster, tmp_path / "log", NO_ELECTION) as operator:
        operator.wait_ready()
        cluster.kubectl("delete", "crd", "notificationtopics.maas-operator.io")
        account.serve()
        account.served(operator)
        apply_definitions(cluster)
        topic = {"channels": [{"name": "a", "apprise": {"urlFrom": {"name": "s", "key": "k"}}}]}
        account.apply(
            {
                "apiVersion": "maas-operator.io/v1alpha1",
                "kind": "NotificationTopic",
                "metadata": {"name": "ops", "namespace": account.name},
                "spec": topic,
            }
        )
        account.eventually(
            lambda: (account.get("mtopic", "ops") or {}).get("status"), "the topic's status", operator, RECOVERY_SECONDS
        )


def test_a_restart_writes_nothing(breakable_cluster: Cluster, new_account: NewAccount, tmp_path: Path) -> None:
    cluster = breakable_cluster
    apply_definitions(cluster)
    account = new_account(cluster)
    with operator_process(cluster, tmp_path / "one", NO_ELECTION) as operator:
        operator.wait_ready()
        for number in range(5):
            account.serve(f"service-{number}")
        for number in range(5):
            account.served(operator, f"service-{number}")
        time.sleep(3)  # the pool's and the model's last figures
        assert operator.stop() == 0
    with operator_process(cluster, tmp_path / "two", NO_ELECTION) as operator:
        operator.wait_ready()
        time.sleep(3)
        assert operator.writes() == 0
