"""Informers: kopf's watches, begun anew whenever they have ended."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Set
from types import SimpleNamespace

import aiohttp
import structlog

from maas_operator.api.names import GROUP
from maas_operator.api.seen import Manifest
from maas_operator.watch import kopf_setup
from maas_operator.watch.kopf_setup import Handle, NewSession
from maas_operator.watch.resync import Read
from maas_operator.watch.watched import Watched

RESTART_SECONDS = 2.0
"""Until watches that have ended are begun anew."""
DEFINITION_SECONDS = 5.0
"""Between two looks whether a missing definition of ours is there; none is looked for while none is missing."""
OPTIONAL_SECONDS = 10.0
"""The same where all that is missing can be done without."""
NO_QUERY: Mapping[str, str] = {}

log = structlog.get_logger()


class Informers:
    """Watches those kinds that the API server knows."""

    def __init__(
        self,
        watched: Collection[Watched],
        read: Read,
        server: str,
        session: NewSession,
        handle: Handle,
        listed: Callable[[Watched], None],
        missing: Callable[[Set[str]], None],
        started: Callable[[], None],
    ) -> None:
        """`listed` is told of each listing, `missing` of the plurals of the kinds that the API server does not know."""
        self._watched = watched
        self._read = read
        self._server = server
        self._session = session
        self._handle = handle
        self._listed = listed
        self._missing = missing
        self._started = started

    async def run(self) -> None:
        """Keep the watches running until cancelled. They are begun anew when a definition comes, and when one that was
        deleted, or an answer that kopf does not know, has ended them."""
        while True:
            missing = await self._undefined()
            self._missing(missing)
            async with asyncio.TaskGroup() as group:
                watches = group.create_task(self._watch(missing))
                if missing:
                    await self._until_other_than(missing, watches)
                    watches.cancel()
            await asyncio.sleep(RESTART_SECONDS)

    async def _watch(self, missing: set[str]) -> None:
        watched = [each for each in self._watched if each.plural not in missing]
        handlers = kopf_setup.registry(self._server, lambda: self._session(self._trace()), watched, self._handle)
        try:
            await kopf_setup.run(handlers, self._started)
        except Exception as error:
            log.warning("the watches ended and are begun anew", error=f"{type(error).__name__}: {error}")

    async def _until_other_than(self, missing: set[str], watches: asyncio.Task[None]) -> None:
        ours = {each.plural for each in self._watched if not each.optional}
        seconds = DEFINITION_SECONDS if missing & ours else OPTIONAL_SECONDS
        while not watches.done():
            await asyncio.wait({watches}, timeout=seconds)
            if await self._undefined() != missing:
                return

    async def _undefined(self) -> set[str]:
        """The plurals of the kinds whose CustomResourceDefinition is not there; waits until the API server answers."""
        defined = [each for each in self._watched if each.group == GROUP or each.optional]
        served: set[tuple[str, str]] = set()
        for api in sorted({each.api for each in defined}):
            found = await self._read_on(api)
            served |= {(api, resource["name"]) for resource in found["resources"]} if found else set()
        return {each.plural for each in defined if (each.api, each.plural) not in served}

    async def _read_on(self, path: str) -> Manifest | None:
        """What the API server says; it is asked until it does."""
        while True:
            try:
                return await self._read(path, NO_QUERY)
            except (aiohttp.ClientError, OSError) as error:
                log.warning("the API server does not answer", error=str(error))
            await asyncio.sleep(RESTART_SECONDS)

    def _trace(self) -> aiohttp.TraceConfig:
        """Notes each page of a listing by kopf: its handlers are not told of listings, least of empty ones."""
        paths = {each.path: each for each in self._watched}

        async def note(_: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestEndParams) -> None:
            watched = paths.get(request.url.path)
            if watched is not None and "watch" not in request.url.query:
                self._listed(watched)

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(note)
        return trace
