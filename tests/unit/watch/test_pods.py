"""Pods and nodes as they are seen: the trimmed facts."""

from typing import Any

import pytest

from maas_operator.api.names import FIELD_MANAGER, LABEL_FETCH, LABEL_MANAGED_BY, LABEL_SERVICE
from maas_operator.api.seen import Failure, FetchState
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
    assert seen.failure == Failure("CrashLoopBackOff", "CUDA out of memory", 1, 3, back_off="5m0s")


ENGINE = {
    "name": "engine",
    "image": "registry.example/engine:1",
    "resources": {"limits": {"memory": "16Gi"}},
    "startupProbe": {"periodSeconds": 1, "failureThreshold": 900},
}
BACK_OFF = {
    "waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container=engine pod=p"}
}


def failure_of(status: dict[str, Any]) -> Failure | None:
    engine = {"name": "engine", "restartCount": 1} | status
    return pod_seen(pod({"containers": [ENGINE]}, {"containerStatuses": [engine]})).failure


def ended(reason: str, code: int, ran: str) -> dict[str, Any]:
    times = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": f"2026-01-01T{ran}Z"}
    return {"terminated": {"reason": reason, "exitCode": code, "message": "last words"} | times}


def test_m11_what_was_killed_for_its_memory_says_how_much_it_had() -> None:
    last = ended("OOMKilled", 137, "00:00:20")
    known: dict[str, Any] = {"exit_code": 137, "restarts": 1, "memory_limit": "16Gi"}
    assert failure_of({"state": BACK_OFF, "lastState": last}) == Failure(
        "CrashLoopBackOff", "last words", back_off="40s", **known
    )
    assert failure_of({"state": last}) == Failure("OOMKilled", "last words", **known)


def test_m11_an_engine_that_was_not_ready_in_time_is_failing_from_its_first_restart() -> None:
    last = ended("Error", 137, "00:15:03")
    failure = failure_of({"state": {"running": {}}, "lastState": last})
    assert failure == Failure("Error", "last words", 137, 1, start_seconds=900)
    for other in (ended("Error", 1, "00:15:03"), ended("Error", 137, "00:14:59"), ended("Error", 137, "05:00:00")):
        assert failure_of({"state": {"running": {}}, "lastState": other}) is None


def test_m11_an_image_that_cannot_be_had_is_named() -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
    assert failure_of({"state": waiting, "restartCount": 0}) == Failure(
        "ErrImagePull", "not found", image="registry.example/engine:1"
    )


def test_an_engine_that_starts_has_no_failure() -> None:
    engine = {"name": "engine", "state": {"waiting": {"reason": "ContainerCreating"}}}
    assert pod_seen(pod(status={"containerStatuses": [engine]})).failure is None


def test_an_evicted_pod_says_so_whatever_its_container_ended_with() -> None:
    killed = {"name": "engine", "state": {"terminated": {"reason": "Error", "exitCode": 137}}}
    status = {"phase": "Failed", "reason": "Evicted", "message": "low on memory", "containerStatuses": [killed]}
    assert pod_seen(pod(status=status)).failure == Failure("Evicted", "low on memory")


def test_an_evicted_pod_says_so() -> None:
    seen = pod_seen(pod(status={"phase": "Failed", "reason": "Evicted", "message": "low on memory"}))
    assert seen.failure == Failure("Evicted", "low on memory")


def test_a_pod_that_finds_no_node_carries_the_schedulers_words() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    assert pod_seen(pod(status={"conditions": [condition]})).unschedulable == "0/1 nodes"


def test_m3_the_instance_of_which_a_pod_is_a_part() -> None:
    labels = OURS | {"leaderworkerset.sigs.k8s.io/name": "set", "leaderworkerset.sigs.k8s.io/group-index": "3"}
    assert pod_seen(pod(labels=labels)).group == "set-3"
    assert pod_seen(pod()).group is None
    assert pod_seen(pod(labels={"leaderworkerset.sigs.k8s.io/group-index": "3"})).group is None, "another tenant's"


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


def test_the_address_of_an_instance_is_known_and_that_of_a_strangers_pod_is_not() -> None:
    assert pod_seen(pod(status={"podIP": "10.0.0.1"})).address == "10.0.0.1"
    assert pod_seen(pod()).address is None
    assert pod_seen(pod(status={"podIP": "10.0.0.1"}, labels={})).address is None


SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-22T12:00:00Z"}


def over(at: str | None) -> dict[str, Any]:
    return {"name": "engine", "state": {"terminated": {"finishedAt": at}}}


def test_m16_when_a_pod_got_its_node_is_known_once_it_has_one() -> None:
    status = {"conditions": [SCHEDULED]}
    assert pod_seen(pod({"nodeName": "n"}, status)).scheduled_at == 1_795_348_800
    assert pod_seen(pod({}, status)).scheduled_at is None
    waiting = {"conditions": [SCHEDULED | {"status": "False"}]}
    assert pod_seen(pod({"nodeName": "n"}, waiting)).scheduled_at is None
    assert pod_seen(pod({"nodeName": "n"}, status, labels={})).scheduled_at is None


@pytest.mark.parametrize(
    ("phase", "leaving", "ends", "finished"),
    [
        ("Failed", False, ["2026-11-22T12:00:05Z", "2026-11-22T12:00:09Z"], 1_795_348_809),
        ("Running", True, ["2026-11-22T12:00:05Z"], 1_795_348_805),
        ("Running", False, ["2026-11-22T12:00:05Z"], None),  # it is started again
        ("Failed", False, ["2026-11-22T12:00:05Z", None], None),
        ("Failed", False, ["0001-01-01T00:00:00Z"], None),
        ("Failed", False, [], None),
    ],
)
def test_m16_a_pod_has_finished_when_its_last_container_has_for_good(
    phase: str, leaving: bool, ends: list[str | None], finished: int | None
) -> None:
    metadata: dict[str, Any] = {"deletionTimestamp": "2026-11-22T12:10:00Z"} if leaving else {}
    seen = pod_seen(pod(status={"phase": phase, "containerStatuses": list(map(over, ends))}, **metadata))
    assert seen.finished_at == finished
    assert seen.leaving_by == (1_795_349_400 if leaving else None)


def test_m16_further_hosts_of_an_instance_follow_its_leader() -> None:
    index = "leaderworkerset.sigs.k8s.io/worker-index"
    assert [pod_seen(pod(labels=OURS | {index: number})).leads for number in ("0", "1")] == [True, False]
    assert pod_seen(pod()).leads


FETCH = {"name": "fetch", "image": "maas-operator:1"}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"state": {"waiting": {"reason": "PodInitializing"}}}, None),
        ({"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}, FetchState.RUNNING),
        ({"state": {"terminated": {"exitCode": 0}}}, FetchState.DONE),
        ({"state": {"terminated": {"exitCode": 1}}}, FetchState.FAILING),
        ({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 2}, FetchState.FAILING),
    ],
)
def test_how_the_fetching_of_weights_stands(status: dict[str, Any], state: FetchState | None) -> None:
    statuses = [{"name": "fetch", "restartCount": 0} | status]
    waiting = {"name": "engine", "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}
    spec = {"containers": [ENGINE], "initContainers": [FETCH]}
    before = pod_seen(pod(spec, {"initContainerStatuses": statuses, "containerStatuses": [waiting]}))
    assert before.fetch == state
    assert (before.failure is None) == (state != FetchState.FAILING)


def test_a_jobs_pod_that_fetches_is_no_instance_and_can_be_asked() -> None:
    labels = {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_FETCH: "assistant"}
    statuses = [{"name": "fetch", "restartCount": 0, "state": {"running": {}}}]
    seen = pod_seen(pod({"containers": [FETCH]}, {"containerStatuses": statuses, "podIP": "10.0.0.9"}, labels=labels))
    assert (seen.service, seen.fetches_for, seen.fetch, seen.address) == (
        None,
        "assistant",
        FetchState.RUNNING,
        "10.0.0.9",
    )
    stranger = pod_seen(
        pod({"containers": [FETCH]}, {"containerStatuses": statuses}, labels={LABEL_FETCH: "assistant"})
    )
    assert stranger.fetches_for is None, "a label alone makes nobody one of ours"


def test_a_host_of_an_instance_of_several_is_seen_with_its_leaders_name_and_its_place() -> None:
    labels = {f"leaderworkerset.sigs.k8s.io/{key}": value for key, value in (("name", "set"), ("group-index", "3"))}
    index = "leaderworkerset.sigs.k8s.io/worker-index"
    seen = [pod_seen(pod(labels=OURS | labels | {index: number})) for number in ("0", "2", "odd")]
    assert [(each.group, each.worker_index, each.leads) for each in seen] == [
        ("set-3", 0, True),
        ("set-3", 2, False),
        ("set-3", 0, True),
    ]
    alone = pod_seen(pod())
    assert (alone.group, alone.leads) == (None, True)
    others = pod_seen(pod(labels=labels | {index: "2"}))
    assert (others.group, others.worker_index) == (None, 0), "another tenant's pods are counted, and no more"
