"""Bounds for some hours, in a time zone, over daylight saving."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.scaling import Scaling
from maas_operator.decide.scaling.schedules import Bounds, bounds_at, trouble
from tests.unit.decide.scaling.life import Life

OFFICE = {"name": "office", "start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "timeZone": "Europe/Berlin"}


def scaling(*schedules: dict[str, Any], least: int = 1, most: int = 4) -> Scaling:
    return Scaling.model_validate({"minInstances": least, "maxInstances": most, "schedules": list(schedules)})


def at(moment: str, *schedules: dict[str, Any], **base: int) -> Bounds:
    return bounds_at(scaling(*schedules, **base), datetime.fromisoformat(moment))


@pytest.mark.parametrize(
    ("moment", "on", "until"),
    [
        ("2026-01-05T06:59:59+00:00", False, "2026-01-05T07:00:00+00:00"),
        ("2026-01-05T07:00:00+00:00", True, "2026-01-05T17:00:00+00:00"),
        ("2026-01-05T16:59:59+00:00", True, "2026-01-05T17:00:00+00:00"),
        ("2026-01-05T17:00:00+00:00", False, "2026-01-06T07:00:00+00:00"),
        ("2026-01-09T18:00:00+00:00", False, "2026-01-12T07:00:00+00:00"),
        ("2026-07-06T06:00:00+00:00", True, "2026-07-06T16:00:00+00:00"),
    ],
    ids=["before", "begins", "last second", "ends", "weekend", "summer"],
)
def test_a_schedule_is_on_from_its_start_to_its_end(moment: str, on: bool, until: str) -> None:
    bounds = at(moment, OFFICE | {"minInstances": 3})
    assert (bounds.schedules, bounds.until) == (("office",) if on else (), datetime.fromisoformat(until))
    assert bounds.least == (3 if on else 1)


NOT_IN_TURNS = {
    # name -> start, end, times at which it is on, and at which it is not, in the first full week of June
    "an end on days without a start": (
        "0 8 * * 1-5", "0 18 * * *",
        ["2026-06-05T17:59", "2026-06-08T08:00"], ["2026-06-05T18:00", "2026-06-06T12:00", "2026-06-07T17:59"],
    ),
    "a start on days without an end": (
        "0 8 * * 1-5", "0 18 * * 5",
        ["2026-06-01T09:00", "2026-06-02T03:00", "2026-06-05T17:59"], ["2026-06-05T18:00", "2026-06-07T12:00"],
    ),
    "two starts before an end": (
        "0 8,13 * * *", "0 18 * * *",
        ["2026-06-01T09:00", "2026-06-01T17:59"], ["2026-06-01T18:00", "2026-06-02T07:59"],
    ),
    "two ends after a start": (
        "0 8 * * *", "0 12,18 * * *",
        ["2026-06-01T11:59"], ["2026-06-01T12:00", "2026-06-01T15:00", "2026-06-01T18:00"],
    ),
    "both at once, which ends it": (
        "0 8 * * *", "0 8 * * 1", ["2026-06-02T08:00", "2026-06-07T12:00"], ["2026-06-01T08:00", "2026-06-02T07:59"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_IN_TURNS)
def test_starts_and_ends_need_not_take_turns(name: str) -> None:
    start, end, on, off = NOT_IN_TURNS[name]
    schedule = {"name": "days", "start": start, "end": end, "timeZone": "UTC", "minInstances": 2}
    assert [moment for moment in (*on, *off) if at(f"{moment}+00:00", schedule).schedules] == on


HOURS = st.lists(st.integers(0, 23), min_size=1, max_size=3, unique=True).map(lambda all_: ",".join(map(str, all_)))
DAYS = st.one_of(st.just("*"), st.sampled_from(("1-5", "0", "6", "1", "5", "2,4")))
CRONS = st.builds("{} {} * * {}".format, st.sampled_from(("0", "30", "0,45")), HOURS, DAYS)
AROUND = st.sampled_from((datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)))


@given(CRONS, CRONS, st.sampled_from(("UTC", "Europe/Berlin", "Australia/Lord_Howe")), AROUND, st.integers(-96, 96))
def test_it_is_on_as_one_who_walked_along_the_times_would_say(
    start: str, end: str, zone: str, around: datetime, quarters: int
) -> None:
    now = around + timedelta(minutes=15 * quarters)
    begun = now - timedelta(days=10)

    def times(cron: str) -> set[datetime]:
        found: set[datetime] = set()
        for time in CronSim(cron, begun.astimezone(ZoneInfo(zone))):
            if time.astimezone(UTC) > now:
                return found
            if not time.fold:
                found.add(time.astimezone(UTC))
        return found

    starts, ends, on = times(start), times(end), False
    for time in sorted(starts | ends):
        on = time not in ends
    schedule = {"name": "any", "start": start, "end": end, "timeZone": zone, "minInstances": 2}
    assert bool(bounds_at(scaling(schedule), now).schedules) == on


DAYLIGHT_SAVING = {
    # Berlin's clocks skip 2:00 to 3:00 on 2026-03-29, and show it twice on 2026-10-25.
    "a start in the gap comes right after it": ("30 2 * * *", "0 6 * * *", "2026-03-29T00:59+00:00", "01:00"),
    "an end in the gap comes right after it": ("0 22 * * *", "30 2 * * *", "2026-03-29T00:30+00:00", "01:00"),
    "a start in the hour shown twice comes at the first": (
        "30 2 * * *",
        "0 6 * * *",
        "2026-10-24T23:00+00:00",
        "00:30",
    ),
    "an end in the hour shown twice comes at the first": (
        "0 22 * * *",
        "30 2 * * *",
        "2026-10-25T00:00+00:00",
        "00:30",
    ),
    "the next day is as long as it is": ("0 8 * * *", "0 7 * * *", "2026-03-28T12:00+00:00", "05:00"),
}


@pytest.mark.parametrize("name", DAYLIGHT_SAVING)
def test_daylight_saving(name: str) -> None:
    start, end, now, until = DAYLIGHT_SAVING[name]
    schedule = {"name": "night", "start": start, "end": end, "timeZone": "Europe/Berlin", "minInstances": 2}
    found = at(now, schedule).until
    assert found is not None
    assert found.astimezone(UTC).strftime("%H:%M") == until


def test_it_is_on_once_in_the_night_that_has_an_hour_twice() -> None:
    schedule = {
        "name": "night",
        "start": "30 2 * * *",
        "end": "45 2 * * *",
        "timeZone": "Europe/Berlin",
        "minInstances": 2,
    }
    now, turns = datetime(2026, 10, 24, 22, tzinfo=UTC), []
    while now < datetime(2026, 10, 25, 4, tzinfo=UTC):
        bounds = bounds_at(scaling(schedule), now)
        turns.append((bounds.schedules != (), now))
        now += timedelta(minutes=5)
    changes = [each for each, before in zip(turns[1:], turns, strict=False) if each[0] != before[0]]
    assert [(on, moment.strftime("%H:%M")) for on, moment in changes] == [(True, "00:30"), (False, "00:45")]


WEEK = {"start": "0 0 * * 1", "end": "0 0 * * 0"}
MONDAY = "2026-01-05T12:00+00:00"
OVERLAPS: dict[str, tuple[list[dict[str, Any]], dict[str, int], tuple[int, int]]] = {
    "none": ([], {}, (1, 4)),
    "the highest of each bound": (
        [{"minInstances": 2, "maxInstances": 3}, {"minInstances": 1, "maxInstances": 8}], {}, (2, 8),
    ),
    "in place of what is higher": ([{"minInstances": 2}], {"least": 3}, (2, 4)),
    "the most gives way to a schedule's least": ([{"minInstances": 6}], {}, (6, 6)),
    "the least gives way to a schedule's most": ([{"maxInstances": 2}], {"least": 3}, (2, 2)),
    "of two schedules the most gives way": ([{"minInstances": 6}, {"maxInstances": 2}], {}, (6, 6)),
    "none at all": ([{"minInstances": 0}], {"least": 2}, (0, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", OVERLAPS)
def test_several_that_are_on(name: str) -> None:
    schedules, base, expected = OVERLAPS[name]
    named = [WEEK | each | {"name": f"s{number}"} for number, each in enumerate(schedules)]
    bounds = at(MONDAY, *named, **base)
    assert (bounds.least, bounds.most) == expected


WRONG = {
    "timeZone": (
        {"timeZone": "Europe/Atlantis"},
        "spec.scaling.schedules[office].timeZone: there is no time zone Europe/Atlantis; write an IANA name, for "
        "example Europe/Berlin or UTC",
    ),
    "timeZone, a folder": (
        {"timeZone": "Europe"},
        "spec.scaling.schedules[office].timeZone: there is no time zone Europe; write an IANA name, for example "
        "Europe/Berlin or UTC",
    ),
    "start": (
        {"start": "61 8 * * *"},
        "spec.scaling.schedules[office].start: '61 8 * * *' is no cron expression (bad minute); write minute hour "
        "day-of-month month day-of-week, for example '0 8 * * 1-5'",
    ),
    "end": (
        {"end": "0 0 30 2 *"},
        "spec.scaling.schedules[office].end: '0 0 30 2 *' is no cron expression (bad day-of-month); write minute hour "
        "day-of-month month day-of-week, for example '0 8 * * 1-5'",
    ),
    "never": (
        {"end": "0 0 */5 2 1#5"},
        "spec.scaling.schedules[office].end: '0 0 */5 2 1#5' never comes; write a day that the month has",
    ),
    "the same": (
        {"end": "0 8 * * 1-5"},
        "spec.scaling.schedules[office]: start and end are the same, so that it is never on; write when it ends",
    ),
    "the same in other words": (
        {"end": "00 08 * * 1,2,3,4,5"},
        "spec.scaling.schedules[office]: start and end are the same, so that it is never on; write when it ends",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_no_schema_can_tell_is_refused(name: str) -> None:
    wrong, says = WRONG[name]
    life = Life({"minInstances": 1, "maxInstances": 4, "schedules": [OFFICE | {"minInstances": 2} | wrong]})
    life.look()
    accepted = next(each for each in life.status["conditions"] if each["type"] == "Accepted")
    assert (accepted["status"], accepted["reason"], accepted["message"]) == ("False", "Invalid", says)


def test_what_is_right_is_not() -> None:
    assert trouble(scaling(OFFICE | {"minInstances": 2})) is None


def test_without_metrics_the_number_follows_the_schedule_up_and_down() -> None:
    life = Life({"minInstances": 1, "maxInstances": 4, "schedules": [OFFICE | {"minInstances": 3}]})
    life.now = datetime(2026, 1, 5, 6, 59, 50, tzinfo=UTC)
    life.settle()
    assert life.replicas == 1
    for expected in (3, 1, 3):
        left = life.look().look_again
        assert left is not None
        life.look(left)
        life.settle()
        assert life.replicas == expected
    assert life.told[:2] == [
        "Scaled: from 1 to 3 instances: at least minInstances 3 of schedule office",
        "Scaled: from 3 to 1 instance: at least minInstances 1",
    ]
    assert life.scaling["schedules"] == ["office"]


def test_where_metrics_decide_a_schedule_bounds_them() -> None:
    night = {"name": "night", "start": "0 20 * * *", "end": "0 6 * * *", "maxInstances": 2}
    life = Life(
        {"minInstances": 1, "maxInstances": 9, "metrics": [{"type": "Queue", "target": 1}], "schedules": [night]}
    )
    life.settle()
    life.run(60, waiting=9)
    assert life.replicas == 9
    life.look(8 * 3600)
    assert (life.replicas, life.why) == (2, "2 instances: at most maxInstances 2 of schedule night")
