"""Bounds for some hours: cron expressions in a time zone.

A schedule is on from a time of `start` to the next time of `end`; where both come at once it ends. A time that a clock
skips when daylight saving begins comes right after the gap (cronsim does as Debian's cron does), and one that it shows
twice comes once, the first time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from maas_operator.api.scaling import Scaling, Schedule

_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)
"""Whether an expression ever comes is asked from here: it does not depend on when."""
_SHOWN_AGAIN = timedelta(hours=3)
"""More than any zone's clocks are ever put back by."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which numbers the instances are, and by what."""

    least: int
    most: int
    schedules: tuple[str, ...]
    """Names of the schedules that are on."""
    least_by: str
    """Where `least` is from, in words: "minInstances 2", "minInstances 8 of schedule office"."""
    most_by: str
    until: datetime | None
    """When a schedule begins or ends next; None without schedules."""

    @property
    def awake(self) -> int:
        """The least while the service is not asleep."""
        return max(1, self.least)


def bounds_at(scaling: Scaling, now: datetime) -> Bounds:
    """The bounds now: of each the highest that a schedule sets that is on, else that of spec.scaling. Where a
    schedule's bound crosses one that no schedule sets, that one gives way; between two schedules' the lower does."""
    turns = [(schedule, *_turn(schedule, now)) for schedule in scaling.schedules]
    on = [schedule for schedule, active, _ in turns if active]
    least, least_by = _highest("minInstances", scaling.min_instances, ((each.min_instances, each.name) for each in on))
    most, most_by = _highest("maxInstances", scaling.max_instances, ((each.max_instances, each.name) for each in on))
    if least > most and any(each.min_instances is not None for each in on):
        most, most_by = least, least_by
    elif least > most:
        least, least_by = most, most_by
    return Bounds(
        least=least,
        most=most,
        schedules=tuple(each.name for each in on),
        least_by=least_by,
        most_by=most_by,
        until=min((until for _, _, until in turns), default=None),
    )


def _highest(field: str, base: int, scheduled: Iterable[tuple[int | None, str]]) -> tuple[int, str]:
    """A bound, and where it is from."""
    said = [(bound, name) for bound, name in scheduled if bound is not None]
    if not said:
        return base, f"{field} {base}"
    bound, name = max(said, key=lambda pair: pair[0])
    return bound, f"{field} {bound} of schedule {name}"


def _turn(schedule: Schedule, now: datetime) -> tuple[bool, datetime]:
    """Whether a schedule is on, and when that ends."""
    zone = ZoneInfo(schedule.time_zone)
    begun, ended = _last(schedule.start, zone, now), _last(schedule.end, zone, now)
    on = begun is not None and (ended is None or begun > ended)
    return on, min(_next(schedule.start, zone, now), _next(schedule.end, zone, now))


def _last(cron: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The last time of a cron expression that has come, in UTC; None: none in fifty years. Looked for from a clock's
    face that no longer shows an hour again."""
    later = (now + _SHOWN_AGAIN).replace(microsecond=0).astimezone(zone)
    times = ((time.astimezone(UTC), time.fold) for time in CronSim(cron, later, reverse=True))
    return next((time for time, again in times if time <= now and not again), None)


def _next(cron: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The next time of a cron expression, in UTC: times of one zone would be compared by their clocks' faces. Asked
    in an hour's second showing, cronsim names times of the first, which are over, or of the second: both are left
    out."""
    times = ((time.astimezone(UTC), time.fold) for time in CronSim(cron, now.astimezone(zone)))
    return next(time for time, again in times if time > now and not again)


def trouble(scaling: Scaling) -> str | None:
    """Why the schedules cannot be followed, and what to write; None: they can."""
    return next((words for each in scaling.schedules if (words := _trouble(each))), None)


def _trouble(schedule: Schedule) -> str | None:
    where = f"spec.scaling.schedules[{schedule.name}]"
    try:
        zone = ZoneInfo(schedule.time_zone)
    except (LookupError, ValueError, OSError):
        return (
            f"{where}.timeZone: there is no time zone {schedule.time_zone}; write an IANA name, for example "
            "Europe/Berlin or UTC"
        )
    for field, cron in (("start", schedule.start), ("end", schedule.end)):
        try:
            _next(cron, zone, _ANY_TIME)
        except CronSimError as error:
            said = str(error)[:1].lower() + str(error)[1:]
            return (
                f"{where}.{field}: {cron!r} is no cron expression ({said}); write minute hour day-of-month month "
                "day-of-week, for example '0 8 * * 1-5'"
            )
        except StopIteration:
            return f"{where}.{field}: {cron!r} never comes; write a day that the month has"
    if _parts(schedule.start) == _parts(schedule.end):
        return f"{where}: start and end are the same, so that it is never on; write when it ends"
    return None


def _parts(cron: str) -> tuple[object, ...]:
    """When an expression comes: equal for `0 8 * * *` and `00 08 * * *`."""
    read = CronSim(cron, _ANY_TIME)
    return read.seconds, read.minutes, read.hours, read.days, read.months, read.weekdays, read.day_and
