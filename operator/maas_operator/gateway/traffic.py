"""What this replica tells the operator of the services' requests (api/traffic.py): of those that are held as they come,
of the others from what Envoy writes, a line a second on long ones beside its access log, and one there when they end.

A request is counted once, at the first sign of it, and only where it came since this process counts: one that was under
way then was counted by the process before.
"""

import json
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from maas_operator.api.traffic import ServiceTraffic, Traffic
from maas_operator.gateway.access_log import ENDED, LONG_MILLISECONDS, PROGRESS, PROGRESS_LOG, PROGRESS_SECONDS, Line
from maas_operator.gateway.following import follow_texts
from maas_operator.gateway.signs import Signs

LATE_SECONDS = 2.5 * PROGRESS_SECONDS
"""A request of which nothing was written for so long is under way no more: its Envoy is dead, or its last line lost."""
INTERVAL = 0.5
"""Seconds between two looks at the log of requests under way."""
RESOLUTION = 0.001
"""Seconds: when a request came is told in whole milliseconds."""
CLOCK_STEP = 1.0
"""Seconds by which the clock on the wall has to be off to have been set: it is read a moment later than the other."""

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(slots=True)
class _Counted:
    requests: int = 0
    last: float = 0.0
    """Seconds since 1970; 0: there was none."""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    service: str
    upstream: str
    unanswered: bool
    written: float
    """When its last line was read, in seconds that only grow."""


@dataclass
class Requests:
    """The requests of each service, by its uid. at: seconds since 1970; now: seconds that only grow."""

    held: Callable[[], Mapping[str, int]] = dict
    """Requests that are held now, by the service's uid."""
    since: float | None = field(default=None, init=False)
    """When it began to count, seconds since 1970; None: it has not yet."""
    replica: str = field(default_factory=lambda: uuid.uuid4().hex)
    _counted: dict[str, _Counted] = field(default_factory=dict)
    _under_way: dict[str, _UnderWay] = field(default_factory=dict)
    """By the request's id, in the order in which their last lines were read."""
    _signs: Signs = field(default_factory=Signs)
    _begun: float = 0.0
    """When it began to count, in seconds that only grow."""
    _ahead: float = 0.0
    """Seconds by which the clock on the wall is ahead of those."""

    def begin(self, at: float, now: float) -> None:
        """It counts from now on."""
        self.since, self._begun, self._ahead = at, now, at - now

    def set_clock(self, at: float, now: float) -> None:
        """What the clock on the wall shows now: it may have been set."""
        if abs(at - now - self._ahead) >= CLOCK_STEP:
            self._ahead = at - now

    def come(self, request_id: str, service: str, arrived: float, now: float) -> None:
        """A request that nothing has refused has come for a service without an instance. arrived: seconds since 1970.
        One that an earlier process held comes again."""
        self._count(service, arrived, self._signs.is_first(request_id, now))

    def count(self, line: Line, now: float) -> None:
        """A request has ended. One that was killed was counted when it was under way."""
        if line.service_id is not None and line.let_through:
            first = self._signs.is_first(line.request_id, now, last=line.duration < LONG_MILLISECONDS)
            self._count(line.service_id, line.started / 1000, first and not line.killed)

    def go_on(self, texts: Iterable[bytes], now: float) -> None:
        """These lines were written of requests under way."""
        for text in texts:
            try:
                fields = json.loads(text)
                id_, ended, started = fields["request_id"], fields.get("type") == ENDED, int(fields["started"])
            except (ValueError, KeyError, TypeError, AttributeError):  # cut off by a crash or a full disk
                continue
            self._under_way.pop(id_, None)
            service, upstream = fields.get("service_id"), fields.get("upstream")
            if ended:
                continue
            if isinstance(service, str) and isinstance(upstream, str):
                self._under_way[id_] = _UnderWay(service, upstream, _unanswered(fields), now)
                self._count(service, started / 1000, self._signs.is_first(id_, now))
            else:
                self._signs.again(id_, now)

    def keep(self, services: Collection[str]) -> None:
        """These services are there, and no others: what is known of those is forgotten."""
        self._counted = {id_: counted for id_, counted in self._counted.items() if id_ in services}

    def told(self, now: float) -> Traffic | None:
        """What is to be told; None while nothing is counted yet."""
        if self.since is None:
            return None
        under_way: dict[str, dict[str, int]] = {}
        unanswered: dict[str, dict[str, int]] = {}
        for id_, each in list(self._under_way.items()):
            if each.written < now - LATE_SECONDS:
                del self._under_way[id_]
                continue
            for counts in (under_way, *((unanswered,) if each.unanswered else ())):
                of_service = counts.setdefault(each.service, {})
                of_service[each.upstream] = of_service.get(each.upstream, 0) + 1
        held = self.held()
        services = {}
        for service in self._counted.keys() | held.keys():
            counted = self._counted.get(service, _Counted())
            services[service] = ServiceTraffic(
                requests=counted.requests,
                last_request=counted.last or None,
                held=held.get(service, 0),
                under_way=under_way.get(service, {}),
                unanswered=unanswered.get(service, {}),
            )
        return Traffic(replica=self.replica, since=self.since, services=services)

    def _count(self, service: str, started: float, first: bool) -> None:
        counted = self._counted.setdefault(service, _Counted())
        counted.last = max(counted.last, started)
        if first and self.since is not None and started - self._ahead > self._begun - RESOLUTION:
            counted.requests += 1


def _unanswered(fields: Mapping[str, Any]) -> bool:
    """A stream's head comes at once, and so may comments that keep it alive: only tokens that the engine counted are an
    answer."""
    return "prompt_tokens" not in fields and ("stream" in fields or "first_byte" not in fields)


async def follow_under_way(requests: Requests, access_log: Path, clock: Callable[[], float]) -> None:
    """Have the requests under way counted, until cancelled. clock: seconds that only grow."""
    async for texts in follow_texts(access_log.with_name(PROGRESS) / PROGRESS_LOG, INTERVAL):
        requests.go_on(texts, clock())


def shown(requests: Requests, clock: Callable[[], float]) -> Handler:
    """Answers as the operator reads it; 503 while there is nothing to tell. clock: seconds that only grow."""

    async def show(_: web.Request) -> web.Response:
        if (told := requests.told(clock())) is None:
            return web.Response(status=503, text="the access log is not followed yet\n")
        text = told.model_dump_json(by_alias=True, exclude_defaults=True)
        return web.Response(text=text, content_type="application/json")

    return show
