"""Changes of a service: with room and without, that fail, wait and are taken back."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.operator_process import Operator
from tests.pools.room import CRASH, MODEL, Room, Service

BACK: dict[str, Any] = {
    "model": {"name": MODEL, "version": "good"},
    "resourcePool": "room",
    "flavor": "one",
    "engine": None,
}
CRASHED = "CrashLoopBackOff, exit code 1, 4 restarts, next try within 1m20s: unrecognized arguments: --crash"
FAILING = {
    "args": (CRASH, "Alarm", CRASHED),
    "image": (
        {"engine": {"image": "registry.example/none:1"}},
        "Alarm",
        "ImagePullBackOff, image registry.example/non",
    ),
    "version": ({"model": {"version": "crashing"}}, "Alarm", CRASHED),
    "model": ({"model": {"name": "hopeless", "version": "crashing"}}, "Alarm", CRASHED),
    "flavor": ({"flavor": "giant"}, "Updating", "taking one of them away would not make that room"),
    "pool": ({"resourcePool": "nowhere"}, "Updating", "the pool has no node"),
}


@pytest.fixture(scope="class")
def steady(room: Room, operator: Operator) -> Iterator[Service]:
    with room.serving(operator) as service:
        yield service


class TestFailing:
    """One service for all of them: none is to leave a trace."""

    @pytest.mark.parametrize("change", FAILING)
    def test_m15_what_fails_takes_no_instance_away_and_is_undone_at_once(self, steady: Service, change: str) -> None:
        spec, phase, says = FAILING[change]
        before = steady.answering()
        steady.change(**spec)
        steady.until(phase, "2 of 2 ready", says)
        assert steady.answering() == before
        steady.change(**BACK)
        steady.until("Running", "2 of 2 ready")
        assert steady.answering() == before


def test_without_room_one_instance_is_the_price_of_what_fails(room: Room, operator: Operator) -> None:
    with room.serving(operator, flavor="whole") as service:
        before = service.answering()
        service.change(**CRASH)
        service.until("Alarm", "1 of 2 ready", "the change goes no further", CRASHED)
        (survivor,) = service.answering()
        assert survivor in before
        service.change(engine={"args": ["--crash", "--differently"]})
        service.until("Alarm", "1 of 2 ready", "the change goes no further", CRASHED)
        assert set(service.answering()) == {survivor}
        service.change(engine=None)
        service.until("Running", "2 of 2 ready")
        assert survivor in service.answering()
        service.change(engine={"args": ["--fine"]})
        service.until("Running", "2 of 2 ready")
        assert not set(service.answering()) & before.keys()


def test_a_lone_instance_without_room_for_a_second_is_replaced_unless_the_user_says_wait(
    room: Room, operator: Operator
) -> None:
    with room.taken(room.nodes[1]), room.serving(operator, flavor="whole", instances=1) as service:
        before = service.answering()
        service.change(rollout={"withoutRoom": "Wait"}, engine={"args": ["--newer"]})
        service.until("Updating", "1 of 1 ready", "the instances of before go on answering", "withoutRoom is Wait")
        assert service.answering() == before
        service.change(rollout=None)
        service.until("Running", "1 of 1 ready")
        assert not service.answering().keys() & before.keys()


def test_a_change_that_waits_goes_on_by_itself_once_there_is_room(room: Room, operator: Operator) -> None:
    wait = {"withoutRoom": "Wait"}
    with room.serving(operator, flavor="half", instances=1, rollout=wait) as service:
        before = service.answering()
        (node,) = before.values()
        with room.taken(node, 4), room.taken(next(each for each in room.nodes if each != node)):
            service.change(engine={"args": ["--newer"]})
            service.until("Updating", "withoutRoom is Wait")
            assert service.answering() == before
        service.until("Running", "1 of 1 ready")
        assert not service.answering().keys() & before.keys()
