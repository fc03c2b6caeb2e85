"""Holding requests for services that have no instance now and will have one (it sleeps, loads, or is replaced).

The requests wait in Envoy, which asks the agent for each whether it may go on. They go on in the order in which they
came, once the service has an instance and Envoy knows it; or are refused, once it will have none.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from maas_operator.gateway import counters
from maas_operator.gateway.facts import Address, Facts, Key, Reach, Service
from maas_operator.gateway.places import Answer, Places
from maas_operator.gateway.settings import Holding

POLL = 0.02
"""Seconds between two looks at whether Envoy has taken what it was told."""
_ENDED = {Reach.STOPPED: Answer.STOPPED, Reach.FROZEN: Answer.FROZEN}


class Envoy(Protocol):
    """What Envoy was told, and has taken (taken.Taken)."""

    told: int
    """Number of the last telling."""

    def tell(self, files: Mapping[str, bytes]) -> int:
        """Number of this telling."""

    async def number(self) -> int:
        """Number of the last that Envoy has taken."""


class Holder:
    """Holds requests. late: Envoy's address where those are held that are late for a last instance. changed: called
    when Envoy has to be told something else. now: seconds since 1970."""

    def __init__(
        self,
        settings: Holding,
        envoy: Envoy,
        late: Address,
        changed: Callable[[], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.envoy = envoy
        self._settings = settings
        self._late = late
        self._changed = changed
        self._now = now
        self._places = Places(settings)
        self._services: Mapping[str, Service] = {}
        """All, by id, as they were told last."""
        self._keys: tuple[Key, ...] = ()
        self._lacking: frozenset[str] = frozenset()
        """Ids of services without an instance that will have one."""
        self._again: dict[str, int] = {}
        """Those that no longer are such -> the telling that said so first; until Envoy has taken that."""
        self._stirred = asyncio.Event()

    def held(self) -> Mapping[str, int]:
        """Service id -> requests that are held for it now."""
        return self._places.by_service()

    def applied_to(self, facts: Facts) -> Facts:
        """The facts as Envoy is to be told them.

        Requests are also held for a service that has an instance again, until all that were held have gone on: none
        that comes later gets before them. And in the place of a last instance stands the address where late requests
        are held: those that came before it went, and had not reached it, find that.
        """
        lacking = self._lacking_in(facts)
        services = tuple(
            replace(each, endpoints=(self._late,)) if each.id in lacking else each for each in facts.services
        )
        return replace(facts, services=services, holding=lacking | self._places.by_service().keys())

    def told(self, facts: Facts, files: Mapping[str, bytes]) -> None:
        """Envoy was told what follows from these facts, in these files."""
        number = self.envoy.tell(files)
        lacking = self._lacking_in(facts)
        self._services = {each.id: each for each in facts.services}
        self._again = {id_: self._again.get(id_, number) for id_ in (self._again.keys() | self._lacking) - lacking}
        self._lacking = lacking
        self._keys = facts.keys
        self._check_keys()
        self._stirred.set()

    async def wait(self, service: str, client: str, arrived: float) -> Answer:
        """Hold a request of a service's id until it may go on. client: ACCOUNT/NAME of its key. arrived: seconds since
        1970. Cancelled: it hung up."""
        now = self._now()
        said: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def tell(answer: Answer) -> None:
            if not said.done():
                said.set_result(answer)

        place = self._places.enter(service, client, arrived, now, tell)
        if place is None:
            counters.HELD.labels(Answer.FULL).inc()
            return Answer.FULL
        self._show()
        self._stirred.set()
        outcome: str = counters.HUNG_UP
        try:
            outcome = answer = await self._said(said, place.arrived + self._settings.seconds - now)
            return answer
        finally:
            self._places.leave(place)
            self._show()
            counters.HELD.labels(outcome).inc()
            counters.HELD_SECONDS.observe(max(0.0, self._now() - place.arrived))

    async def _said(self, said: asyncio.Future[Answer], seconds: float) -> Answer:
        try:
            return await asyncio.wait_for(said, max(0.0, seconds))
        except TimeoutError:
            return Answer.LATE

    def close(self) -> None:
        """This process ends: those that are held ask the next one."""
        for service in list(self._places.by_service()):
            self._places.answer(service, Answer.AGAIN)

    async def run(self) -> None:
        """Let requests go on, until cancelled."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._is_open():
                self._look(await self.envoy.number())
                if self._is_open():
                    await asyncio.sleep(POLL)

    def _is_open(self) -> bool:
        """Whether it matters what Envoy has taken. An agent that has told nothing yet knows of no service."""
        return self.envoy.told > 0 and bool(self._again or self._places.by_service().keys() - self._lacking)

    def _look(self, taken: int) -> None:
        for service in self._places.by_service().keys() - self._lacking:
            if answer := self._answer(service, taken):
                self._check_keys()
                self._places.answer(service, answer)
                self._changed()
        self._again = {id_: number for id_, number in self._again.items() if number > taken}

    def _answer(self, id_: str, taken: int) -> Answer | None:
        """What those that are held for a service are told; None while they wait on."""
        service = self._services.get(id_)
        if service is None:
            return Answer.GONE
        if service.reach in _ENDED:
            return _ENDED[service.reach]
        return Answer.GO if self._again.get(id_, 1) <= taken else None

    def _check_keys(self) -> None:
        """Refuse what came with a key that does not count any more: it does not go on because it waited."""
        clients = self._places.clients()
        if not clients:
            return
        known = {key.path: key for key in self._keys if key.path in clients}
        answers = dict.fromkeys(clients - known.keys(), Answer.BAD_KEY)
        answers |= dict.fromkeys((path for path, key in known.items() if key.frozen), Answer.FROZEN)
        self._places.refuse(answers)

    def _lacking_in(self, facts: Facts) -> frozenset[str]:
        if not self._settings.requests:
            return frozenset()
        return frozenset(each.id for each in facts.services if each.awaited and not each.endpoints)

    def _show(self) -> None:
        counters.HELD_NOW.set(sum(self._places.by_service().values()))
