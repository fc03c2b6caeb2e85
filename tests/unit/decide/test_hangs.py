"""Hangs: which instance is replaced, and which has to wait."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.decision import Remove
from maas_operator.api.seen import Measured, PodSeen, ServiceSeen
from maas_operator.api.settings import Settings
from maas_operator.decide import decide_service
from maas_operator.decide.hangs import GRACE_SECONDS, Hang, hang
from maas_operator.decide.instances import look
from tests.unit.decide.facts import NOW, pod, stuck
from tests.unit.decide.strategies import PODS, services
from tests.unit.decide.test_properties import check_status

LIMIT = 300
SINCE = "2026-01-02T02:59:05Z"


def decided(
    pods: list[PodSeen], measured: Measured | None, desired: int = 2, suspension: dict[str, Any] | None = None
) -> Hang | None:
    service: dict[str, Any] = {"metadata": {"name": "assistant"}, "spec": {}}
    if suspension:
        service["status"] = {"suspension": suspension}
    seen = ServiceSeen(service, None, None, {}, {}, pods, [], measured)
    return hang(seen, look(pods), desired, LIMIT)


def removed(found: Hang | None) -> list[str]:
    return [each.name for each in found.remove] if found else []


def ready(*names: str, **given: Any) -> list[PodSeen]:
    return [pod(name, ready=True, **given) for name in names]


def suspension(instance: str = "b", ready: int = 2) -> dict[str, Any]:
    return {"instance": instance, "since": SINCE, "ready": ready}


def test_m9_it_is_removed_with_its_uid_and_little_grace() -> None:
    found = decided(ready("a", "b"), stuck(a=0, b=LIMIT))
    assert found
    assert found.remove == (Remove("Pod", "team-a", "b", "uid-b", GRACE_SECONDS),)
    assert found.status == suspension()
    (event,) = found.events
    assert (event.type, event.reason) == ("Warning", "SuspectedSuspension")
    assert "instance b " in event.message
    assert SINCE in event.message
    assert f"{GRACE_SECONDS} s" in event.message


def test_m9_for_less_than_the_limit_nothing_is_done() -> None:
    assert decided(ready("a", "b"), stuck(a=0, b=LIMIT - 1)) is None
    assert decided(ready("a", "b"), None) is None


def test_m9_time_that_passes_while_nobody_looks_does_not_count() -> None:
    measured = replace(stuck(b=LIMIT), at=NOW - timedelta(seconds=1))
    assert decided(ready("a", "b"), measured) is None


@pytest.mark.parametrize("given", [{"ready": False}, {"leaving": True}, {"phase": "Failed"}])
def test_m9_only_a_ready_instance_hangs(given: dict[str, Any]) -> None:
    assert decided([pod("b", **{"ready": True, **given})], stuck(b=LIMIT)) is None


def test_m9_one_at_a_time_the_longest_first() -> None:
    assert removed(decided(ready("a", "b", "c"), stuck(a=LIMIT, b=LIMIT + 9, c=LIMIT), 3)) == ["b"]


def test_m9_until_it_is_gone_it_is_told_to_go_and_told_of_in_the_same_words() -> None:
    """The removal may have failed: a permission is missing, the API server is away."""
    first = decided(ready("a", "b"), stuck(a=LIMIT, b=LIMIT + 5))
    assert first
    again = decided(ready("a", "b"), stuck(a=LIMIT + 500, b=LIMIT + 15), suspension=dict(first.status))
    assert again == first


@pytest.mark.parametrize(
    "others",
    [
        [pod("b", ready=True, leaving=True)],
        [pod("b", ready=True, leaving=True), pod("c")],
        [pod("c", failure={"reason": "CrashLoopBackOff"})],
        [pod("b")],
        [],
    ],
)
def test_m9_none_is_removed_while_the_one_before_is_not_replaced(others: list[PodSeen]) -> None:
    found = decided([*ready("a"), *others], stuck(a=LIMIT), suspension=suspension())
    assert found
    assert (found.remove, found.events, found.status) == ((), (), suspension())
    assert "does not answer" in found.message


def test_m9_it_is_replaced_once_as_many_answer_as_before() -> None:
    assert decided(ready("a", "c"), stuck(a=0, c=0), suspension=suspension()) is None
    found = decided(ready("a", "c"), stuck(a=LIMIT, c=0), suspension=suspension())
    assert removed(found) == ["a"]


def test_m9_instances_that_find_no_room_do_not_hold_it_up_for_ever() -> None:
    """Ten are asked for, two have room."""
    waiting = [pod(f"w{number}", node=None, phase="Pending") for number in range(8)]
    found = decided([*ready("a", "b"), *waiting], stuck(a=0, b=LIMIT), desired=10)
    assert found
    assert found.status["ready"] == 2
    assert decided([*ready("a", "c"), *waiting], stuck(a=0, c=0), desired=10, suspension=suspension()) is None


def test_m9_scaled_in_meanwhile_fewer_have_to_answer() -> None:
    assert decided(ready("a"), stuck(a=0), desired=1, suspension=suspension(ready=3)) is None


def test_m9_one_that_moves_again_before_it_could_be_removed_stays() -> None:
    assert decided(ready("a", "b"), stuck(a=0, b=0), suspension=suspension()) is None


def test_m9_nothing_hangs_where_nothing_is_to_run() -> None:
    assert decided(ready("a"), stuck(a=LIMIT), desired=0, suspension=suspension()) is None


MEASURED = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from([0, 10, LIMIT, 9_999])).map(
    lambda seconds: stuck(**seconds)
)
SUSPENSIONS = st.none() | st.builds(suspension, st.sampled_from(["a", "b", "gone"]), st.integers(0, 4))


@given(services(fitting=True), MEASURED, SUSPENSIONS)
def test_m9_whatever_is_seen_at_most_one_that_hangs_is_removed(
    seen: ServiceSeen, measured: Measured, earlier: dict[str, Any] | None
) -> None:
    status = seen.service.get("status", {}) | ({"suspension": earlier} if earlier else {})
    seen = replace(seen, service=seen.service | {"status": status}, measured=measured)
    decision = decide_service(seen, Settings(hang_seconds=LIMIT), NOW)
    check_status(decision.status, "ModelService")
    pods = [each for each in decision.remove if each.kind == "Pod"]
    assert len(pods) <= 1
    for each in pods:
        assert measured.instances[each.name].stuck_since
        assert decision.status["suspension"]["instance"] == each.name
        assert decision.status["phase"] in {"Alarm", "Failed"}
    written = json.loads(json.dumps(decision.status))
    again = decide_service(replace(seen, service=seen.service | {"status": written}), Settings(hang_seconds=LIMIT), NOW)
    assert again.remove == decision.remove or not decision.remove


@given(st.lists(PODS, max_size=3, unique_by=lambda each: each.name), MEASURED, SUSPENSIONS, st.integers(0, 4))
def test_m9_what_is_removed_is_ready_and_stuck(
    pods: list[PodSeen], measured: Measured, earlier: dict[str, Any] | None, desired: int
) -> None:
    found = decided(pods, measured, desired, earlier)
    for name in removed(found):
        (there,) = (each for each in pods if each.name == name)
        assert there.ready
        assert not there.leaving
        since = measured.instances[name].stuck_since
        assert since
        assert NOW - since >= timedelta(seconds=LIMIT)
