"""A pool of nodes of its own, and a service on it that tests change: real scheduler and controllers, kwok's nodes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.api.operator_process import Account, Operator, custom
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until

NPUS = "huawei.com/Ascend910"
NPUS_A_NODE = 8
SEEN_SECONDS = 60.0
"""Limit for the scheduler, the controllers and the operator together."""
POOL, MODEL = "room", "moody"
GIVE_UP_SECONDS = 5
"""How long the pool waits for a node that is dead: long enough to be seen."""
VERSIONS: dict[str, list[str]] = {"good": [], "crashing": ["--crash"]}
FLAVORS = {"one": 1, "half": NPUS_A_NODE // 2, "whole": NPUS_A_NODE, "giant": NPUS_A_NODE + 1}
CRASH: dict[str, Any] = {"engine": {"args": ["--crash"]}}


class Room:
    """Two nodes, the pool that they make, and what other tenants take of it."""

    def __init__(self, cluster: Cluster, account: Account) -> None:
        self.cluster = cluster
        self.account = account
        self.nodes = cluster.add_kwok_nodes(2, {NPUS: str(NPUS_A_NODE)}, {"pool": POOL}, prefix=POOL)
        taints = ("unreachable", "not-ready")
        tolerations = [
            {
                "key": f"node.kubernetes.io/{taint}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": GIVE_UP_SECONDS,
            }
            for taint in taints
        ]
        flavors = [
            {"name": name, "accelerator": {"type": "ascend-910b", "count": count}, "cpu": "1", "memory": "1Gi"}
            for name, count in FLAVORS.items()
        ]
        versions = [
            {"name": name, "source": "hf://acme/tiny", "contextLength": 1024, "args": args}
            for name, args in VERSIONS.items()
        ]
        account.apply(
            custom("ResourcePool", POOL, spec={"nodeSelector": {"pool": POOL}, "tolerations": tolerations,
                                               "flavors": flavors}),
            custom("ResourcePool", "nowhere", spec={"nodeSelector": {"pool": "nowhere"}, "flavors": flavors}),
            custom("Model", MODEL, spec={"versions": versions}),
            custom("Model", "hopeless", spec={"versions": [versions[1]]}),
        )  # fmt: skip

    @contextmanager
    def taken(self, node: str, count: int = NPUS_A_NODE) -> Iterator[None]:
        """Another tenant's pod takes so many devices of a node while the block runs."""
        limits = {NPUS: str(count)}
        container = {"name": "c", "image": "x", "resources": {"limits": limits}}
        metadata = {"name": f"stranger-{node}", "namespace": "default"}
        spec = {"containers": [container], "nodeName": node}
        self.account.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        try:
            yield
        finally:
            self.cluster.kubectl("delete", "pod", metadata["name"], "-n", "default")

    @contextmanager
    def serving(self, operator: Operator, **spec: Any) -> Iterator["Service"]:
        """A service that runs, and is gone afterwards."""
        made = Service(self.account, operator)
        served = {"model": {"name": MODEL, "version": "good"}, "resourcePool": POOL, "flavor": "one", "instances": 2}
        self.account.serve(made.name, **served | spec)
        wanted = spec.get("instances", 2)
        made.until("Running", f"{wanted} of {wanted} ready")
        try:
            yield made
        finally:
            made.change(state="Stopped")
            wait_until(lambda: not made.pods(), SEEN_SECONDS, "its pods to be gone")
            self.account.delete("msvc", made.name)
            wait_until(lambda: not self.account.get("deployment", made.name), SEEN_SECONDS, "it to be gone")


class Service:
    """The service, as a test changes it and looks at it."""

    name = "mover"

    def __init__(self, account: Account, operator: Operator) -> None:
        self._account = account
        self._operator = operator

    def change(self, **spec: Any) -> None:
        self._account.patch("msvc", {"spec": spec}, self.name)

    def until(self, phase: str, *says: str) -> None:
        """Wait until the service is in this state, for this spec, and its Ready condition says these words."""

        def there() -> bool:
            return self._phase() == phase and all(words in self.message() for words in says)

        wait_until(there, SEEN_SECONDS, f"{self.name} to be {phase}: {says}", self._told)

    def message(self) -> str:
        return str(self._account.condition("Ready", self.name).get("message", ""))

    def pods(self) -> list[dict[str, Any]]:
        selector = ("-l", f"maas-operator.io/service={self.name}")
        shown = self._account.cluster.kubectl("get", "pods", "-n", self._account.name, *selector, "-o", "json")
        return list(json.loads(shown)["items"])

    def answering(self) -> dict[str, str]:
        """The nodes of the instances that are ready and stay, by uid."""
        return {
            pod["metadata"]["uid"]: pod["spec"]["nodeName"]
            for pod in self.pods()
            if "deletionTimestamp" not in pod["metadata"]
            and {"type": "Ready", "status": "True"}.items()
            <= next((each for each in pod["status"].get("conditions", ()) if each["type"] == "Ready"), {}).items()
        }

    def _phase(self) -> str:
        found = self._account.get("msvc", self.name) or {}
        status = found.get("status", {})
        seen = status.get("observedGeneration") == found.get("metadata", {}).get("generation")
        return str(status.get("phase")) if seen else "changed a moment ago"

    def _told(self) -> str:
        pods = self._account.cluster.kubectl("get", "pods", "-n", self._account.name, "-o", "wide")
        return f"It is {self._phase()}: {self.message()}\n{pods}\n{self._operator.tail()}"
