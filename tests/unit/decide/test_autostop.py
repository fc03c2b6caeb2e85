"""M10: a service stops by itself once it has run for as long as it may."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_operator.decide.autostop import CHECKPOINT, LONGEST_GAP, auto_stop
from maas_operator.decide.idle import Idle

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = 3600


class Service:
    """A service over time, looked at now and then."""

    def __init__(self, after: str | None = "4h", **spec: Any) -> None:
        self.manifest: dict[str, Any] = {
            "metadata": {"annotations": {}},
            "spec": spec | ({"autoStop": {"after": after}} if after else {}),
            "status": {},
        }
        self.now = NOW
        self.idle: Idle | None = None
        self.writes = 0

    def look(self, seconds: float = 0, answering: bool = True) -> Any:
        """Let time pass, look, and keep what is to be shown."""
        self.now += timedelta(seconds=seconds)
        found = auto_stop(self.manifest, answering, self.idle, self.now)
        status = {"autoStop": found.status} if found.status else {}
        self.writes += status != self.manifest["status"]
        self.manifest["status"] = status
        return found

    def run(self, seconds: float) -> Any:
        """Run for so long, looked at as often as was asked for."""
        end = self.now + timedelta(seconds=seconds)
        found = self.look()
        while not found.stopped and self.now < end:
            found = self.look(min(found.look_again, (end - self.now).total_seconds()))
        return found

    def start(self, when: str = "2026-02-01") -> None:
        self.manifest["metadata"]["annotations"]["maas-operator.io/start-requested-at"] = when


@pytest.mark.parametrize(("after", "seconds"), [("1h", HOUR), ("2h", 2 * HOUR), ("6h", 6 * HOUR), ("1h30m", 5400)])
def test_m10_it_stops_when_its_time_is_up_and_not_before(after: str, seconds: int) -> None:
    service = Service(after)
    assert not service.run(seconds - 2).stopped
    assert service.run(3).stopped
    assert service.manifest["status"]["autoStop"]["stoppedAt"]


def test_m10_off_by_default() -> None:
    assert auto_stop(Service(None).manifest, True, None, NOW).status is None


def test_m10_it_does_not_count_while_the_service_is_stopped_or_loads() -> None:
    service = Service()
    service.run(3 * HOUR)
    service.look(answering=False)
    service.look(50 * HOUR, answering=False)
    assert "stopsAt" not in service.manifest["status"]["autoStop"]
    assert not service.run(HOUR - 10).stopped
    assert service.run(20).stopped


def test_m10_when_it_will_stop_is_shown_and_hardly_ever_rewritten() -> None:
    service = Service()
    service.run(2 * HOUR)
    assert service.manifest["status"]["autoStop"]["stopsAt"] == "2026-01-31T16:00:00Z"
    assert service.writes <= 2 * HOUR / CHECKPOINT + 1


def test_m10_its_users_are_warned_before() -> None:
    service = Service()
    assert service.run(4 * HOUR - 700).warning is None
    assert "2026-01-31T16:00:00Z" in service.run(150).warning


def test_m10_a_short_limit_warns_in_its_last_tenth() -> None:
    service = Service("10m")
    assert service.run(500).warning is None
    assert service.run(50).warning


def test_m10_once_stopped_it_stays_so_until_it_is_started() -> None:
    service = Service("1h")
    assert service.run(HOUR + 1).stopped
    assert service.look(HOUR, answering=False).stopped
    service.manifest["spec"] = {"autoStop": {"after": "9h"}}
    assert service.look().stopped
    del service.manifest["spec"]["autoStop"]
    assert service.look().stopped
    service.start()
    assert not service.look(answering=False).stopped


def test_m10_a_request_to_start_that_is_taken_away_starts_nothing() -> None:
    """GitOps that puts an object back as its file has it takes away what a user has set."""
    service = Service("1h")
    service.start()
    assert service.run(2 * HOUR).stopped
    del service.manifest["metadata"]["annotations"]["maas-operator.io/start-requested-at"]
    assert service.look(60, answering=False).stopped
    service.start("2026-02-02")
    assert not service.look(60, answering=False).stopped


def test_m10_started_again_it_has_its_whole_time() -> None:
    service = Service("1h")
    service.start("yesterday")
    assert service.run(HOUR + 1).stopped
    service.start("today")
    assert not service.run(HOUR - 2).stopped
    assert service.run(3).stopped


def test_m10_stopped_and_started_by_its_spec_is_a_start_too() -> None:
    service = Service("1h")
    service.run(HOUR + 1)
    service.manifest["spec"]["state"] = "Stopped"
    assert not service.look(answering=False).stopped
    service.manifest["spec"]["state"] = "Running"
    assert not service.run(HOUR - 10).stopped


def test_m10_a_restart_of_the_operator_loses_nothing() -> None:
    service = Service("1h")
    service.run(HOUR / 2)
    assert service.look(LONGEST_GAP - 1).stopped is False
    assert service.run(HOUR / 2 - LONGEST_GAP + 2).stopped


@pytest.mark.parametrize("step", [-5 * HOUR, 5 * HOUR])
def test_m10_a_step_of_the_clock_counts_as_a_gap_at_most(step: int) -> None:
    service = Service("2h")
    service.run(HOUR / 2)
    assert not service.look(step).stopped
    assert not service.run(1.5 * HOUR - LONGEST_GAP - 1).stopped
    assert service.run(LONGEST_GAP + CHECKPOINT + 2).stopped


@pytest.mark.parametrize("nonsense", ["", "soon", "2026-01-31T12:00:00"])
def test_m10_what_somebody_wrote_into_the_status_stops_nothing(nonsense: str) -> None:
    service = Service("1h")
    service.manifest["status"] = {"autoStop": {"countedSeconds": 60, "since": nonsense, "stopsAt": nonsense}}
    assert not service.run(HOUR - 62).stopped
    assert service.run(4).stopped


def test_m10_a_limit_that_changes_counts_at_once() -> None:
    service = Service("4h")
    service.run(3 * HOUR)
    service.manifest["spec"]["autoStop"]["after"] = "2h"
    assert service.look().stopped


@given(st.lists(st.tuples(st.floats(0.1, 2 * HOUR), st.booleans()), max_size=20))
def test_m10_it_has_run_for_its_limit_whenever_it_stops(spells: list[tuple[float, bool]]) -> None:
    service, ran = Service("4h"), 0.0
    for seconds, answering in spells:
        before = service.now
        if answering:
            stopped = service.run(seconds).stopped
            ran += (service.now - before).total_seconds()
            service.look(answering=False)
        else:
            stopped = service.look(seconds, answering=False).stopped
        if stopped:
            assert ran >= 4 * HOUR - len(spells) - 1
            return
    assert ran <= 4 * HOUR + len(spells) + 1
