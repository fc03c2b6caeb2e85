"""autoStop.afterIdle: a service stops by itself after so long without any request."""

from typing import Any

import pytest

from tests.unit.decide.scaling.life import Life

HOUR = 3600


def service(after_idle: str = "1h", scaling: Any = None, **auto_stop: str) -> Life:
    more = {} if scaling else {"instances": 1}
    life = Life(scaling, autoStop={"afterIdle": after_idle, **auto_stop}, **more)
    life.settle()
    return life


def stopped(life: Life) -> bool:
    return bool(life.status["phase"] == "Stopped")


def test_m10_it_stops_after_so_long_without_a_request_and_not_before() -> None:
    life = service()
    life.run(HOUR - 30)
    assert not stopped(life)
    life.run(45)
    assert stopped(life)
    assert life.status["autoStop"]["stoppedAt"]
    ready = next(each for each in life.status["conditions"] if each["type"] == "Ready")
    assert ready["message"].startswith("spec.autoStop.afterIdle was reached: kubectl maas start starts it again")
    life.run(HOUR)
    assert stopped(life)


def test_m10_a_request_puts_it_off_by_its_whole_time() -> None:
    life = service()
    life.run(HOUR - 60)
    life.run(15, running=1)
    life.run(HOUR - 30)
    assert not stopped(life)
    life.run(45)
    assert stopped(life)


def test_m10_when_it_will_stop_is_shown_and_warned_of() -> None:
    life = service("2h")
    life.run(2 * HOUR - 660)
    assert life.status["autoStop"] == {"idleSince": "2026-01-31T12:00:00Z", "stopsAt": "2026-01-31T14:00:00Z"}
    assert life.told == []
    life.run(360)
    assert life.told == [
        "StopsSoon: stops by itself at 2026-01-31T14:00:00Z, after spec.autoStop.afterIdle without a request; any "
        "request puts it off"
    ] * len(life.told)
    assert life.told


def test_m10_requests_that_come_and_go_write_nothing() -> None:
    life = service("10h")
    before = life.writes
    for _ in range(60):
        life.run(15, running=1)
        life.run(45)
    assert life.writes == before
    life.run(HOUR)
    assert life.writes == before + 1
    life.run(15, running=1)
    assert life.writes == before + 2
    assert "autoStop" not in life.status


def test_m10_the_earlier_of_the_two_times_is_shown_and_counts() -> None:
    life = service("1h", after="2h")
    assert life.status["autoStop"]["stopsAt"] == "2026-01-31T14:00:00Z"
    life.run(600)
    assert life.status["autoStop"]["stopsAt"] == "2026-01-31T13:00:00Z"
    life.run(15, running=1)
    assert life.status["autoStop"]["stopsAt"] == "2026-01-31T14:00:00Z"
    for _ in range(8):
        life.run(15 * 60)
        life.run(15, running=1)
    assert stopped(life)
    assert "idleSince" not in life.status["autoStop"]


def test_m10_while_traffic_is_not_known_nothing_counts_and_nothing_stops() -> None:
    life = service()
    life.run(2 * HOUR, held=None)
    assert not stopped(life)
    life.measured = None
    life.look(24 * HOUR)
    assert not stopped(life)


def test_m10_what_is_shown_stays_while_traffic_is_not_known() -> None:
    life = service()
    life.run(HOUR // 2)
    shown = life.status["autoStop"]
    life.run(120, held=None)
    assert life.status["autoStop"] == shown
    life.restart()
    life.look(60)
    assert life.status["autoStop"] == shown


def test_m10_a_restart_of_the_operator_loses_nothing() -> None:
    life = service()
    life.run(HOUR // 2)
    life.restart()
    life.look()
    life.run(HOUR // 2 - 30)
    assert not stopped(life)
    life.run(45)
    assert stopped(life)


def test_m10_a_gateway_that_restarts_does_not_know_what_came_before() -> None:
    life = service()
    life.run(HOUR - 60)
    life.since = life.now
    life.run(HOUR - 15)
    assert not stopped(life)
    life.run(30)
    assert stopped(life)


def test_m10_it_does_not_count_while_no_instance_answers() -> None:
    life = service()
    life.loads, life.pods = False, []
    life.run(2 * HOUR)
    assert not stopped(life)


def test_m10_asleep_it_counts_whatever_is_measured() -> None:
    life = service("2h", scaling={"minInstances": 0, "maxInstances": 2})
    life.run(HOUR)
    assert life.replicas == 0
    life.restart()
    left = life.look().look_again
    assert left is not None
    assert left <= HOUR
    life.look(HOUR - 60)
    assert life.told[-1].startswith("StopsSoon")
    assert not stopped(life)
    life.look(90)
    assert stopped(life)
    assert life.scaling == {}


def test_m10_a_request_that_wakes_it_at_the_last_moment_is_not_lost() -> None:
    life = service("2h", scaling={"minInstances": 0, "maxInstances": 2})
    life.run(HOUR)
    life.annotate("wake-requested-at", "1")
    life.look(HOUR)
    assert not stopped(life)
    assert life.replicas == 1


def test_m10_a_request_that_was_not_held_counts_at_the_last_moment_too() -> None:
    """There was no place to hold it, and the gateway could not say so but by its figures."""
    life = service("2h", scaling={"minInstances": 0, "maxInstances": 2})
    life.run(2 * HOUR - 15)
    assert life.replicas == 0
    life.call()
    life.look(30)
    assert not stopped(life)
    assert life.replicas == 1


@pytest.mark.parametrize("started", [{"annotation": "now"}, {"state": "Stopped"}], ids=str)
def test_m10_started_again_it_has_its_whole_time(started: dict[str, str]) -> None:
    life = service()
    life.run(HOUR + 30)
    assert stopped(life)
    if "annotation" in started:
        life.annotate("start-requested-at", started["annotation"])
    else:
        life.change(state="Stopped")
        life.look()
        life.change(state="Running")
    life.settle()
    life.run(HOUR - 30)
    assert not stopped(life)
