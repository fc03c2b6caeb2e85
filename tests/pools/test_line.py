"""M12: the line of a pool and the quotas of accounts, with a real scheduler that knows neither. kwok's nodes."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.operator_process import Account, Operator, custom
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.pools.room import NPUS, NPUS_A_NODE, SEEN_SECONDS

POOL = "lined-up"
FLAVORS = {"x2": 2, "x8": NPUS_A_NODE}
QUOTA = 3
URGENT = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": "urgent"},
    "value": 1000,
    "preemptionPolicy": "Never",
}


class Line:
    """Two accounts on a pool of two nodes of their own; of one of them, at most QUOTA instances."""

    def __init__(self, cluster: Cluster, operator: Operator) -> None:
        self._operator = operator
        cluster.add_kwok_nodes(2, {NPUS: str(NPUS_A_NODE)}, {"pool": POOL}, prefix=POOL)
        flavors = [
            {"name": name, "accelerator": {"type": "ascend-910b", "count": count}, "cpu": "1", "memory": "1Gi"}
            for name, count in FLAVORS.items()
        ]
        accounts = {"matchLabels": {"kubernetes.io/metadata.name": "bounded"}}
        quotas = [{"name": "few", "accounts": accounts, "instances": QUOTA}]
        self.accounts = {name: Account(cluster, name) for name in ("free", "bounded")}
        spec = {"nodeSelector": {"pool": POOL}, "flavors": flavors, "quotas": quotas}
        self.accounts["free"].apply(custom("ResourcePool", POOL, spec=spec), URGENT)

    def serve(self, who: str, flavor: str, instances: int = 1, **spec: Any) -> None:
        account, _, name = who.partition("/")
        self.accounts[account].serve(name, resourcePool=POOL, flavor=flavor, instances=instances, **spec)

    def get(self, who: str, kind: str = "msvc") -> dict[str, Any]:
        account, _, name = who.partition("/")
        return self.accounts[account].get(kind, name) or {}

    def delete(self, who: str) -> None:
        account, _, name = who.partition("/")
        self.accounts[account].delete("msvc", name)

    def replicas(self, who: str) -> Any:
        return self.get(who, "deployment").get("spec", {}).get("replicas")

    def is_running(self, who: str, summary: str = "1/1") -> None:
        self._until(who, lambda status: status.get("instances", {}).get("summary") == summary, f"have {summary}")

    def is_told(self, who: str, reason: str, *words: str) -> None:
        """Its condition Scheduled says so."""

        def told(status: dict[str, Any]) -> bool:
            found: dict[str, Any] = next(
                (each for each in status.get("conditions", ()) if each["type"] == "Scheduled"), {}
            )
            return found.get("reason") == reason and all(each in found["message"] for each in words)

        self._until(who, told, f"be told {reason}: {words}")

    def _until(self, who: str, there: Any, what: str) -> None:
        wait_until(
            lambda: there(self.get(who).get("status", {})),
            SEEN_SECONDS,
            f"{who} to {what}",
            lambda: f"{self.get(who).get('status')}\n{self._operator.tail()}",
        )


@pytest.fixture(scope="module")
def line(cluster: Cluster, operator: Operator, room: Any) -> Iterator[Line]:
    yield Line(cluster, operator)


def test_m12_who_came_first_is_served_first_and_a_priority_comes_before(line: Line, cluster: Cluster) -> None:
    line.serve("free/old", "x8", 2)
    line.is_running("free/old", "2/2")
    line.serve("free/large", "x8")
    line.is_told("free/large", "NoRoom", "first in line for flavor x8 of pool lined-up", "Insufficient")
    line.serve("bounded/small", "x2", 2)
    line.is_told("bounded/small", "InLine", "second in line for flavor x2", "before it: free/large")
    assert line.get("bounded/small")["status"]["phase"] == "Queuing"
    assert line.replicas("bounded/small") == 0

    line.serve("free/urgent", "x8", priorityClassName="urgent")
    line.is_told("free/urgent", "NoRoom", "first in line")
    line.is_told("free/large", "InLine", "second in line", "before it: free/urgent")
    assert line.replicas("free/large") == 0
    command = [sys.executable, "-m", "maas_operator.cli.main", "get", "small", "-n", "bounded"]
    shown = subprocess.run(
        [*command, "--kubeconfig", str(cluster.kubeconfig)], capture_output=True, text=True, check=True
    )
    assert f"place 3 in line for {NPUS}, for 2 more" in shown.stdout
    wide = cluster.kubectl("get", "msvc", "small", "-n", "bounded", "-o", "wide").splitlines()
    assert wide[1][wide[0].index("PLACE")] == "3"

    line.delete("free/old")
    for who in ("free/urgent", "free/large"):
        line.is_running(who)
    line.is_told("bounded/small", "NoRoom", "first in line")
    line.delete("free/large")
    line.is_running("bounded/small", "2/2")
    for who in ("free/urgent", "bounded/small"):
        line.delete(who)


def test_m12_an_account_runs_as_many_as_its_quota_allows(line: Line) -> None:
    line.serve("bounded/first", "x2", 2)
    line.is_running("bounded/first", "2/2")
    line.serve("bounded/second", "x2", 2)
    line.is_running("bounded/second", "1/2")
    line.is_told("bounded/second", "QuotaReached", "lets account bounded run 3 instances; used by bounded/first (2)")
    line.serve("bounded/third", "x2")
    line.is_told("bounded/third", "QuotaReached")
    assert line.get("bounded/third")["status"]["phase"] == "Queuing"
    line.delete("bounded/first")
    for who, summary in (("bounded/second", "2/2"), ("bounded/third", "1/1")):
        line.is_running(who, summary)
        line.delete(who)
