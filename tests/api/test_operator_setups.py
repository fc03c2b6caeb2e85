"""Why a node cannot set an instance up: asked of a real API server, with the permissions that the chart grants."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from maas_operator.act.connection import connect
from maas_operator.act.http import Http
from maas_operator.api.names import FIELD_MANAGER, LABEL_MANAGED_BY, LABEL_SERVICE
from maas_operator.api.permissions import PERMISSIONS
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.watch.keys import Key
from maas_operator.watch.setups import PATIENCE, Setups
from maas_operator.watch.store import Store
from tests.api.grants import granted
from tests.cluster import Cluster

pytestmark = pytest.mark.api

NAMESPACE = "set-up"
MISSING = 'MountVolume.SetUp failed for volume "hccn-conf" : hostPath type check failed: /etc/hccn.conf is not a file'
NOW = datetime.now(UTC)
SERVICE = {
    "apiVersion": "maas-operator.io/v1alpha1",
    "kind": "ModelService",
    "metadata": {"name": "assistant", "namespace": NAMESPACE, "uid": "u", "resourceVersion": "1"},
    "spec": {"model": {"name": "m"}, "resourcePool": "p", "flavor": "f"},
}


def a_pod_that_waits(cluster: Cluster) -> Manifest:
    """A pod on a node that does not set it up, and the kubelet's event."""
    spec = {"nodeName": "npu-7", "containers": [{"name": "engine", "image": "x:1"}]}
    labels = {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_SERVICE: "assistant"}
    metadata = {"name": "assistant-x", "namespace": NAMESPACE, "labels": labels}
    cluster.kubectl("create", "namespace", NAMESPACE)
    made = json.loads(
        cluster.kubectl(
            "create", "-f", "-", "-o", "json",
            stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}),
        )
    )  # fmt: skip
    at = NOW.isoformat(timespec="seconds").replace("+00:00", "Z")
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": at},
        {"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": at},
    ]
    patch = json.dumps({"status": {"conditions": conditions}})
    cluster.kubectl("patch", "pod", "assistant-x", "-n", NAMESPACE, "--subresource=status", "-p", patch)
    about = {"apiVersion": "v1", "kind": "Pod", "name": "assistant-x", "namespace": NAMESPACE}
    for name, uid in (("of-this", made["metadata"]["uid"]), ("of-the-one-before", "another")):
        told = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "involvedObject": about | {"uid": uid},
            "type": "Warning",
            "reason": "FailedMount",
            "message": MISSING if name == "of-this" else "never",
            "lastTimestamp": at,
        }
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(told))
    pod: Manifest = json.loads(cluster.kubectl("get", "pod", "assistant-x", "-n", NAMESPACE, "-o", "json"))
    return pod


def test_a_file_that_a_node_lacks_is_told_by_the_pods_own_event(cluster: Cluster) -> None:
    store = Store()
    store.put(SERVICE)
    store.put(a_pod_that_waits(cluster))
    kubeconfig = granted(cluster, "asks-for-events", PERMISSIONS)

    async def look() -> None:
        http = Http(await connect(kubeconfig))
        try:
            await Setups(store, lambda _: None, http.read).look(NOW + PATIENCE + timedelta(seconds=5))
        finally:
            await http.close()

    asyncio.run(look())
    seen = store.snapshot(Key("ModelService", NAMESPACE, "assistant"))
    assert isinstance(seen, ServiceSeen)
    failures = [(each.failure.reason, each.failure.node, each.failure.message) for each in seen.pods if each.failure]
    assert failures == [("FailedMount", "npu-7", MISSING)]
