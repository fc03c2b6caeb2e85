"""A node with real pods, the operator installed by its chart, and a tiny model in the catalogue."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.images import reference
from tests.installation import NAMESPACE, install, load_images
from tests.keys import gateway_address

MANIFESTS = Path(__file__).parent / "manifests"
ACCOUNT = "team-a"
NUMBER = int(os.environ.get("MAAS_E2E_CLUSTER", "2"))
FIRST_NODE = "node-1"
SECOND_NODE, SECOND_TAINT = "node-2", "maas-operator.io/second-host"
"""For instances of two hosts alone, whose pool tolerates it: all else knows one node."""
LOADED_SECONDS = 240
"""A tiny model on two cores that do other things too."""
GONE_SECONDS = 150
KEY_DELIVERY_SECONDS = 30
KEEP = bool(os.environ.get("MAAS_KEEP_CLUSTER"))
"""Set it to look at the cluster after the tests, and to run them again on it."""

Get = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(NUMBER)
    try:
        cluster.up("node", nodes=2)
        cluster.kubectl("taint", "--overwrite", "node", SECOND_NODE, f"{SECOND_TAINT}=:NoSchedule")
        load_images(cluster, ["operator", "engine-cpu", "model-tiny"])
        install(cluster, f"settings.keyDeliverySeconds={KEY_DELIVERY_SECONDS}")
        cluster.kubectl("apply", "-f", str(MANIFESTS / "tiny.yaml"))
        yield cluster
    finally:
        if not KEEP:
            cluster.down()


class Account:
    """What a test does in the account, in kubectl's words."""

    def __init__(self, cluster: Cluster, name: str = ACCOUNT) -> None:
        self.cluster = cluster
        self.name = name

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.name, *arguments, stdin=stdin)

    def apply(self, name: str, **spec: Any) -> None:
        body = {
            "apiVersion": "maas-operator.io/v1alpha1",
            "kind": "ModelService",
            "metadata": {"name": name},
            "spec": {"model": {"name": "tiny", "version": "v1"}, "resourcePool": "local", "flavor": "cpu"} | spec,
        }
        self.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def patch(self, name: str, **spec: Any) -> None:
        self.kubectl("patch", "msvc", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def get(self, kind: str, *arguments: str) -> Any:
        found = json.loads(self.kubectl("get", kind, *arguments, "-o", "json"))
        return found["items"] if found["kind"] == "List" else found

    def pods(self, service: str) -> list[dict[str, Any]]:
        return list(self.get("pods", "-l", f"maas-operator.io/service={service}"))

    def phase(self, service: str) -> str:
        return str(self.get("msvc", service).get("status", {}).get("phase", ""))

    def condition(self, service: str, kind: str) -> dict[str, str]:
        conditions = self.get("msvc", service).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    def wait_phase(self, service: str, phase: str, limit: float = LOADED_SECONDS) -> None:
        wait_until(
            lambda: self.phase(service) == phase,
            limit,
            f"{service} to be {phase}",
            lambda: self.kubectl("describe", "msvc", service) + self.kubectl("get", "pods", "-o", "wide"),
        )

    def wait_ready(self, service: str, limit: float = LOADED_SECONDS) -> None:
        def settled() -> bool:
            status = self.get("msvc", service).get("status", {})
            generation = self.get("msvc", service)["metadata"]["generation"]
            return (
                status.get("observedGeneration") == generation and self.condition(service, "Ready")["status"] == "True"
            )

        wait_until(
            settled,
            limit,
            f"{service} to be Ready",
            lambda: self.kubectl("describe", "msvc", service) + self.kubectl("get", "pods", "-o", "wide"),
        )

    def delete(self, service: str) -> None:
        """Delete it, and wait until its pods are gone: the cores are few."""
        self.kubectl("delete", "msvc", service, "--ignore-not-found")
        wait_until(lambda: not self.pods(service), GONE_SECONDS, f"the pods of {service} to be gone")


@pytest.fixture(scope="session")
def account(cluster: Cluster) -> Account:
    return Account(cluster)


@pytest.fixture(scope="session")
def engine_image() -> str:
    return reference("engine-cpu")


@pytest.fixture(scope="session")
def operator_namespace() -> str:
    return NAMESPACE


@pytest.fixture(scope="module")
def address(cluster: Cluster, account: Account) -> str:
    """Where the gateway answers, with the service `talker` behind it. It stays for the next module: a start costs a
    minute of the cores. Who needs them deletes it."""
    account.apply("talker")
    account.wait_ready("talker")
    return gateway_address(cluster)
