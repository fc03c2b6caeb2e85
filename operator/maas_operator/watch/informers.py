"""Informers: kopf's watches, begun anew whenever they have ended."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from types import SimpleNamespace

import aiohttp
import structlog

from maas_operator.api.names import API_VERSION, GROUP
from maas_operator.watch import kopf_setup
from maas_operator.watch.kopf_setup import Handle, NewSession
from maas_operator.watch.resync import Read
from maas_operator.watch.watched import Watched

RESTART_SECONDS = 2.0
"""Until watches that have ended are begun anew."""
DEFINITION_SECONDS = 5.0
"""Between two looks whether a missing definition is there; none is looked for while none is missing."""
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
        started: Callable[[], None],
    ) -> None:
        self._watched = watched
        self._read = read
        self._server = server
        self._session = session
        self._handle = handle
        self._listed = listed
        self._started = started

    async def run(self) -> None:
        """Keep the watches running until cancelled. They are begun anew when a definition comes, and when one that was
        deleted, or an answer that kopf does not know, has ended them."""
        while True:
            missing = await self._undefined()
            async with asyncio.TaskGroup() as group:
                watches = group.create_task(self._watch(missing))
                if missing:
                    await self._until_other_than(missing, watches)
                    watches.cancel()
            await asyncio.sleep(RESTART_SECONDS)

    async def _watch(self, missing: set[str]) -> None:
        watched = [each for each in self._watched if each.plural not in missing or each.group != GROUP]
        handlers = kopf_setup.registry(self._server, lambda: self._session(self._trace()), watched, self._handle)
        try:
            await kopf_setup.run(handlers, self._started)
        except Exception as error:
            log.warning("the watches ended and are begun anew", error=f"{type(error).__name__}: {error}")

    async def _until_other_than(self, missing: set[str], watches: asyncio.Task[None]) -> None:
        while not watches.done():
            await asyncio.wait({watches}, timeout=DEFINITION_SECONDS)
            if await self._undefined() != missing:
                return

    async def _undefined(self) -> set[str]:
        """The plurals of the kinds whose CustomResourceDefinition is not there; waits until the API server answers."""
        while True:
            try:
                found = await self._read(f"/apis/{API_VERSION}", NO_QUERY)
                break
            except (aiohttp.ClientError, OSError) as error:
                log.warning("the API server does not answer", error=str(error))
            await asyncio.sleep(RESTART_SECONDS)
        served = {resource["name"] for resource in found["resources"]} if found else set()
        return {each.plural for each in self._watched if each.group == GROUP} - served

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
