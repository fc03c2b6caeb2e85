"""kwok: nodes and pods that exist in the API alone, for tests of scale."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.build import binary
from tests.cluster.client import Client
from tests.cluster.layout import Layout
from tests.cluster.settings import Settings
from tests.cluster.waiting import wait_until

STAGES = Path(__file__).parent / "kwok-stages.yaml"
FAKE = {"kwok.x-k8s.io/node": "fake"}
CAPACITY = {"cpu": "64", "memory": "512Gi", "pods": "110", "ephemeral-storage": "1Ti"}
LEASE_SECONDS = 40


def kwok(layout: Layout, settings: Settings) -> list[str]:
    return [
        str(binary("kwok")),
        f"--config={STAGES}",
        f"--kubeconfig={layout.kubeconfig_of('kwok')}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=" + ",".join(f"{key}={value}" for key, value in FAKE.items()),
        f"--cidr={layout.addresses.pod_subnet}",
        f"--node-ip={layout.addresses.machine_ip}",
        f"--node-lease-duration-seconds={LEASE_SECONDS}",
        f"--server-address=127.0.0.1:{layout.addresses.kwok_port}",
        *settings.flags.get("kwok", []),
    ]


def add_nodes(client: Client, names: list[str], capacity: Mapping[str, str], labels: Mapping[str, str]) -> None:
    """Create the nodes and wait until kwok has made each Ready."""
    for name in names:
        client.request("POST", "/api/v1/nodes", _node(name, {**CAPACITY, **capacity}, labels))
    wanted = set(names)
    limit = 30 + len(names) / 10
    wait_until(lambda: wanted <= ready_nodes(client), limit, f"{len(names)} nodes of kwok to be Ready")


def ready_nodes(client: Client) -> set[str]:
    """The names of all nodes whose condition Ready is True."""
    return {
        node["metadata"]["name"]
        for node in client.request("GET", "/api/v1/nodes", resourceVersion="0")["items"]
        for condition in node["status"].get("conditions", [])
        if condition["type"] == "Ready" and condition["status"] == "True"
    }


def _node(name: str, capacity: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": FAKE,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **labels},
        },
        "status": {"capacity": dict(capacity), "allocatable": dict(capacity)},
    }
