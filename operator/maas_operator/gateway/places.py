"""Requests that are held, in the order in which they came. Pure."""

from bisect import insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from maas_operator.gateway import errors
from maas_operator.gateway.errors import Error
from maas_operator.gateway.settings import Holding


class Answer(StrEnum):
    """What becomes of a request that asked whether it may go on."""

    KEEP = "keep"
    """It goes to the agent, which holds it from now on and answers it."""
    GO = "go"
    """It goes on, to the instances that Envoy knows; where there are none and will be none, that is a 503."""
    STOPPED = "stopped"
    FROZEN = "frozen"
    GONE = "gone"
    """Its service has been stopped, frozen or deleted meanwhile; or its key's account frozen."""
    BAD_KEY = "bad-key"
    """Its key has been deleted, or has expired."""
    FULL = "full"
    """As many are held as may be."""
    LATE = "late"
    """It has been held for as long as it may be."""
    AGAIN = "again"
    """This process ends: it asks the next one."""


REFUSALS: Mapping[Answer, Error] = {
    Answer.STOPPED: errors.NO_ACCESS,
    Answer.FROZEN: errors.FROZEN,
    Answer.GONE: errors.NO_MODEL,
    Answer.BAD_KEY: errors.BAD_KEY,
    Answer.FULL: errors.BUSY,
    Answer.LATE: errors.BUSY,
    Answer.AGAIN: errors.BUSY,
}
"""What the client is told of a request that does not go on; of one that named its service by its path, where that is
gone, errors.NO_API."""


@dataclass(order=True, slots=True)
class Place:
    """A held request."""

    arrived: float
    """When it came, seconds since 1970."""
    number: int
    """Which of those that came at the same moment."""
    service: str = field(compare=False)
    """The service's id."""
    client: str = field(compare=False)
    """ACCOUNT/NAME of its key."""
    tell: Callable[[Answer], None] = field(compare=False)


class Places:
    """Who is held, by service."""

    def __init__(self, bounds: Holding) -> None:
        self._bounds = bounds
        self._held: dict[str, list[Place]] = {}
        self._entered = 0
        self._count = 0

    def enter(
        self, service: str, client: str, arrived: float, now: float, tell: Callable[[Answer], None]
    ) -> Place | None:
        """Hold a request; None where there is no room. It keeps the place of its arrival, also where another process
        held it before; a time that has not come yet counts as now."""
        if self._count >= self._bounds.requests:
            return None
        if len(self._held.get(service, ())) >= self._bounds.requests_per_service:
            return None
        self._entered += 1
        self._count += 1
        place = Place(min(arrived, now), self._entered, service, client, tell)
        insort(self._held.setdefault(service, []), place)
        return place

    def leave(self, place: Place) -> None:
        """It waits no longer. One that has left already stays away."""
        held = self._held.get(place.service, [])
        if place in held:
            held.remove(place)
            self._forget(place.service, 1)

    def answer(self, service: str, answer: Answer) -> int:
        """Tell all of a service, those that came first first, and forget them; how many there were."""
        held = self._held.get(service, [])[:]
        for place in held:
            place.tell(answer)
        self._held[service] = []
        self._forget(service, len(held))
        return len(held)

    def refuse(self, answers: Mapping[str, Answer]) -> None:
        """Tell those of these clients, and forget them."""
        for place in [each for held in self._held.values() for each in held if each.client in answers]:
            place.tell(answers[place.client])
            self.leave(place)

    def clients(self) -> set[str]:
        """Those of whom requests are held."""
        return {each.client for held in self._held.values() for each in held}

    def by_service(self) -> Mapping[str, int]:
        """Service id -> requests that are held for it, of those with any."""
        return {service: len(held) for service, held in self._held.items()}

    def _forget(self, service: str, count: int) -> None:
        self._count -= count
        if not self._held.get(service):
            self._held.pop(service, None)
