"""When the operator is asked to wake a service that sleeps and is called. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from maas_operator.api.times import moment
from maas_operator.gateway.facts import Service

INTERVAL = timedelta(seconds=30)
"""Between two wishes for one service, this replica's and others'; also the longest pause after one that failed."""
FIRST_PAUSE = timedelta(seconds=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""When a wish was made that says no time."""


@dataclass(frozen=True, slots=True)
class _Tried:
    until: datetime
    """When it may be tried again."""
    pause: timedelta
    """After the next failure."""


class Wishes:
    """When a service is to be asked awake. Pure: the time is passed in."""

    def __init__(self) -> None:
        self._tried: dict[str, _Tried] = {}
        self._spent: dict[str, str] = {}
        """Service id -> the annotation with which it was seen awake: what wakes it next is another."""

    def see(self, services: Iterable[Service]) -> None:
        """These are all services."""
        awake = {each.id: each.wake_requested for each in services if not each.asleep}
        asleep = {each.id for each in services if each.asleep}
        self._spent = {id_: text for id_, text in self._spent.items() if id_ in asleep} | awake
        self._tried = {id_: tried for id_, tried in self._tried.items() if id_ in asleep}

    def due(self, services: Iterable[Service], called: Collection[str], now: datetime) -> list[Service]:
        """Those to be woken now. called: ids of services that are called. One that is known to fail is not woken."""
        asleep = (each for each in services if each.asleep and each.awaited and each.id in called)
        return [each for each in asleep if self._is_due(each, now)]

    def done(self, service: Service, now: datetime) -> None:
        """It was asked awake."""
        self._tried[service.id] = _Tried(now + INTERVAL, FIRST_PAUSE)

    def failed(self, service: Service, now: datetime) -> None:
        """It could not be asked."""
        tried = self._tried.get(service.id)
        pause = tried.pause if tried else FIRST_PAUSE
        self._tried[service.id] = _Tried(now + pause, min(pause * 2, INTERVAL))

    def _is_due(self, service: Service, now: datetime) -> bool:
        tried = self._tried.get(service.id)
        if tried and now < tried.until:
            return False
        wish = service.wake_requested
        return not wish or wish == self._spent.get(service.id) or abs(now - (moment(wish) or LONG_AGO)) >= INTERVAL
