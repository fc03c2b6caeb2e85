"""Pods and nodes as they are seen: the trimmed facts."""

from typing import Any

from maas_operator.api.names import FIELD_MANAGER, LABEL_MANAGED_BY, LABEL_SERVICE
from maas_operator.api.seen import Failure
from maas_operator.watch.pods import node_seen, pod_seen

OURS = {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_SERVICE: "assistant"}


def pod(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "team-a", "uid": "u", "labels": OURS} | metadata,
        "spec": {"containers": [{"name": "engine"}]} | (spec or {}),
        "status": {"phase": "Pending"} | (status or {}),
    }


def container(**requests: str) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": requests}}


def test_requests_are_those_that_the_scheduler_counts() -> None:
    spec = {
        "containers": [container(cpu="1", memory="1Gi"), container(cpu="500m")],
        "initContainers": [
            container(memory="4Gi"),
            container(cpu="100m") | {"restartPolicy": "Always"},
            container(cpu="2"),
        ],
        "overhead": {"cpu": "10m"},
    }
    # the last init container runs beside the sidecar: 2.1 cores, more than all that runs later
    assert dict(pod_seen(pod(spec)).requests) == {"cpu": 2110, "memory": 4 * 1024**3}


def test_requests_of_the_pod_itself_come_first() -> None:
    spec = {"containers": [container(cpu="1")], "resources": {"requests": {"cpu": "3"}}}
    assert dict(pod_seen(pod(spec)).requests) == {"cpu": 3000}


def test_a_quantity_that_nobody_knows_counts_nothing() -> None:
    assert dict(pod_seen(pod({"containers": [container(cpu="many")]})).requests) == {"cpu": 0}


def test_a_crashing_engine_is_told_with_its_last_words() -> None:
    engine = {
        "name": "engine",
        "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "CUDA out of memory"}},
    }
    sidecar = {"name": "a", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    seen = pod_seen(pod(status={"containerStatuses": [sidecar, engine]}))
    assert seen.failure == Failure("CrashLoopBackOff", "CUDA out of memory", 1, 3)


def test_an_engine_that_starts_has_no_failure() -> None:
    engine = {"name": "engine", "state": {"waiting": {"reason": "ContainerCreating"}}}
    assert pod_seen(pod(status={"containerStatuses": [engine]})).failure is None


def test_an_evicted_pod_says_so() -> None:
    seen = pod_seen(pod(status={"phase": "Failed", "reason": "Evicted", "message": "low on memory"}))
    assert seen.failure == Failure("Evicted", "low on memory")


def test_a_pod_that_finds_no_node_carries_the_schedulers_words() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    assert pod_seen(pod(status={"conditions": [condition]})).unschedulable == "0/1 nodes"


def test_another_tenants_pod_belongs_to_no_service() -> None:
    seen = pod_seen(pod(labels={LABEL_SERVICE: "assistant"}))
    assert (seen.service, seen.pool, seen.failure) == (None, None, None)


def test_pods_alike_share_their_amounts() -> None:
    spec = {"containers": [container(cpu="1")]}
    assert pod_seen(pod(spec)).requests is pod_seen(pod(spec, name="q")).requests


def test_a_node_as_the_scheduler_sees_it() -> None:
    seen = node_seen(
        {
            "metadata": {"name": "n", "labels": {"zone": "a"}},
            "spec": {"unschedulable": True, "taints": [{"key": "npu", "effect": "NoSchedule"}]},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "allocatable": {"cpu": "3920m", "pods": "110"},
            },
        }
    )
    assert (seen.ready, seen.cordoned, seen.taints) == (True, True, (("npu", "", "NoSchedule"),))
    assert dict(seen.allocatable) == {"cpu": 3920, "pods": 110}
