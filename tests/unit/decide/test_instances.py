"""What a service's pods say, taken together."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.seen import PodSeen
from maas_operator.decide.instances import look, trouble
from tests.unit.decide.facts import node, pod
from tests.unit.decide.strategies import PODS


@given(st.lists(PODS, max_size=5))
def test_every_pod_that_stays_is_one_thing(pods: list[PodSeen]) -> None:
    seen = look(pods)
    assert seen.ready + len(seen.failing) + len(seen.unplaced) + seen.loading == len(seen.staying)
    assert min(seen.ready, seen.loading, seen.leaving, seen.placed, seen.working) >= 0


def test_what_each_pod_is() -> None:
    seen = look(
        [
            pod("ready", ready=True),
            pod("crashed-once-and-ready", ready=True, failure={"reason": "Error"}),
            pod("failing", failure={"reason": "SomethingNew"}),
            pod("loading"),
            pod("unplaced", node=None),
            pod("leaving", ready=True, leaving=True),
            pod("ended", phase="Succeeded"),
            pod("evicted", phase="Failed", failure={"reason": "Evicted"}),
        ]
    )
    assert (seen.ready, seen.loading, seen.leaving, seen.working, seen.placed) == (2, 1, 1, 3, 4)
    assert [each.name for each in seen.failing] == ["failing"]
    assert [each.name for each in seen.unplaced] == ["unplaced"]


def test_a_pod_on_a_dead_node_is_failing_and_what_leaves_it_is_left_out() -> None:
    dead, well = node("node-1", ready=False), node("node-2")
    seen = look(
        [
            pod("lost"),
            pod("crashing", failure={"reason": "Error"}, node="node-2"),
            pod("not-marked-yet", ready=True),
            pod("given-up", leaving=True),
            pod("elsewhere", node="node-2"),
        ],
        [dead, well],
    )
    assert (seen.ready, seen.loading, seen.leaving) == (1, 1, 0)
    assert [trouble(each) for each in seen.failing] == [
        "instance lost: NodeNotReady: its node node-1 is not ready",
        "instance crashing: Error",
    ]
    assert not seen.cut_off
    assert look([pod("lost")], [dead]).cut_off


def host(index: int, group: str = "set-0", **facts: Any) -> PodSeen:
    name = f"{group}-{index}" if index else group
    return pod(name, **{"group": group, "worker_index": index, "ready": True} | facts)


def test_the_hosts_of_an_instance_are_one() -> None:
    seen = look([pod("alone", ready=True), host(0), host(1), host(0, "set-1", ready=False), host(1, "set-1")])
    assert (seen.ready, seen.loading, len(seen.staying)) == (2, 1, 3)
    assert [each.name for each in seen.staying] == ["alone", "set-0", "set-1"], "by their leaders' names"


@pytest.mark.parametrize(
    ("pods", "counts"),
    [
        ([host(0), host(1, leaving=True)], (1, 0, 0, 0)),
        ([host(0, ready=False), host(1, leaving=True)], (0, 0, 1, 0)),
        ([host(0, leaving=True), host(1)], (0, 0, 0, 1)),
        ([host(1)], (0, 0, 0, 1)),
        ([host(0, phase="Failed"), host(1)], (0, 0, 0, 1)),
        ([host(0), host(1, ready=False, failure={"reason": "Error"})], (0, 1, 0, 0)),
        ([host(0), host(1, ready=True, failure={"reason": "Error"})], (1, 0, 0, 0)),
        ([host(0, ready=False), host(1, ready=False, node=None)], (0, 0, 0, 0)),
        ([host(0), host(1, ready=False, node=None)], (0, 0, 0, 0)),
        ([host(0), host(1, ready=False, node="gone")], (0, 1, 0, 0)),
    ],
)
def test_an_instance_of_several_hosts_is_as_its_worst_host(
    pods: list[PodSeen], counts: tuple[int, int, int, int]
) -> None:
    seen = look(pods, [node("node-1"), node("gone", ready=False)])
    assert (seen.ready, len(seen.failing), seen.loading, seen.leaving) == counts
    assert len(seen.unplaced) == (counts == (0, 0, 0, 0))


def test_m11_a_hosts_trouble_names_it_and_its_instance() -> None:
    (failing,) = look([host(0), host(1, ready=False, failure={"reason": "Error", "exit_code": 1})]).failing
    assert trouble(failing) == "instance set-0 (its host set-0-1): Error, exit code 1"
    gone = look([host(0, leaving=True), host(1, leaving=True, failure={"reason": "Error"})])
    assert [trouble(each) for each in gone.ended] == ["instance set-0 (its host set-0-1): Error"]
    going = look([host(0, leaving=True), host(1, ready=False, failure={"reason": "Error"})])
    assert [trouble(each) for each in going.ended] == ["instance set-0 (its host set-0-1): Error"]
    assert not look([host(0, leaving=True), host(1, ready=True, failure={"reason": "Error"})]).ended


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (
            {"reason": "CrashLoopBackOff", "exit_code": 1, "restarts": 4, "back_off": "1m20s", "message": "bad flag"},
            "CrashLoopBackOff, exit code 1, 4 restarts, next try within 1m20s: bad flag",
        ),
        (
            {"reason": "OOMKilled", "exit_code": 137, "restarts": 1, "memory_limit": "16Gi"},
            "OOMKilled, killed because it used up its 16Gi of memory, exit code 137, 1 restart",
        ),
        (
            {"reason": "ImagePullBackOff", "image": "registry.example/none:1", "message": "not found"},
            "ImagePullBackOff, image registry.example/none:1: not found",
        ),
        (
            {"reason": "Error", "exit_code": 137, "restarts": 1, "start_seconds": 3600},
            "Error, killed because it was not ready within 3600 s, exit code 137, 1 restart",
        ),
    ],
)
def test_m11_a_trouble_says_why_in_words(failure: dict[str, Any], told: str) -> None:
    assert trouble(pod("a", failure=failure)) == f"instance a: {told}"


def test_a_trouble_in_a_sentence() -> None:
    words = {"reason": "OOMKilled", "message": f"{'x' * 2000}the end\n", "exit_code": 137, "restarts": 1}
    told = trouble(pod("a", failure=words))
    assert told.startswith("instance a: OOMKilled, exit code 137, 1 restart: xxx")
    assert told.endswith("xthe end")
    assert len(told) < 1100
    assert trouble(pod("a", failure={"reason": "Error"})) == "instance a: Error"
