"""Listing and comparing with the store: what no event told of is found here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

from maas_operator.api.names import FIELD_MANAGER, LABEL_MANAGED_BY
from maas_operator.api.seen import Manifest
from maas_operator.watch.keys import Key
from maas_operator.watch.versions import Version, Versions, version_of
from maas_operator.watch.watched import CONFIG_MAPS, Watched

RESYNC_SECONDS = 600.0
"""Between two comparisons of everything with the API server."""
PAGE = 500
"""Objects of a page of a listing."""
ARRIVAL_SECONDS = 5.0
"""How long no listed object may arrive by its watch before those that are missing are fetched, one by one. While some
arrive, the watch is at work: 30,000 keys take it half a minute."""
LOOK_SECONDS = 0.1
"""Between two looks whether all have arrived; at the start only."""


class Read(Protocol):
    """Reads from the API server; None where there is nothing (404). Raises OSError or aiohttp.ClientError."""

    def __call__(
        self, path: str, query: Mapping[str, str] = ..., metadata_only: bool = ...
    ) -> Awaitable[Manifest | None]:
        """The answer's JSON."""


class Resync:
    """Compares kinds with the API server. Raises what `read` raises, and LookupError for a kind that nobody knows."""

    def __init__(
        self, store: Versions, read: Read, keep: Callable[[Manifest], None], drop: Callable[[Key, str], None]
    ) -> None:
        self._store = store
        self._read = read
        self._keep = keep
        self._drop = drop

    async def arrived(self, watched: Watched) -> None:
        """Wait until all objects of a kind that are there have been seen."""
        if watched is CONFIG_MAPS:
            await self.config_maps()
            return
        _, listed = await self._list(watched)
        missing = listed
        loop = asyncio.get_running_loop()
        fetch_at = loop.time() + ARRIVAL_SECONDS
        while left := {key: version for key, version in missing.items() if not self._store.knows(key, version)}:
            if len(left) < len(missing):
                fetch_at = loop.time() + ARRIVAL_SECONDS
            missing = left
            await asyncio.sleep(LOOK_SECONDS)
            if loop.time() >= fetch_at:
                await self._fetch(watched, missing)

    async def compare(self, watched: Watched) -> None:
        """Drop what is gone, fetch what differs."""
        if watched is CONFIG_MAPS:
            await self.config_maps()
            return
        moment, listed = await self._list(watched)
        self._drop_unlisted(watched.kind, listed, moment)
        await self._fetch(watched, {key: each for key, each in listed.items() if not self._store.knows(key, each)})

    async def config_maps(self) -> None:
        """List our ConfigMaps, whole: there are few, and no watch that would tell of their content."""
        found: dict[Key, Version] = {}
        moment = 0
        async for page in self._pages(CONFIG_MAPS, {"labelSelector": f"{LABEL_MANAGED_BY}={FIELD_MANAGER}"}, False):
            moment = int(page["metadata"]["resourceVersion"])
            for item in page["items"] or ():
                raw = {"apiVersion": CONFIG_MAPS.version, "kind": CONFIG_MAPS.kind} | item
                found[Key.of(raw)] = version_of(raw)
                self._keep(raw)
        self._drop_unlisted(CONFIG_MAPS.kind, found, moment)

    async def _list(self, watched: Watched) -> tuple[int, dict[Key, Version]]:
        """The resourceVersion of the listing, and what it shows."""
        listed: dict[Key, Version] = {}
        moment = 0
        async for page in self._pages(watched, {}, True):
            moment = int(page["metadata"]["resourceVersion"])
            for item in page["items"] or ():
                metadata = item["metadata"]
                listed[Key(watched.kind, metadata.get("namespace", ""), metadata["name"])] = version_of(item)
        return moment, listed

    async def _pages(self, watched: Watched, query: dict[str, str], metadata_only: bool) -> AsyncIterator[Manifest]:
        query = query | {"limit": str(PAGE)}
        while True:
            page = await self._read(watched.path, query, metadata_only)
            if page is None:
                raise LookupError(watched.plural)
            yield page
            more = page["metadata"].get("continue")
            if not more:
                return
            query["continue"] = more

    def _drop_unlisted(self, kind: str, listed: Mapping[Key, Version], moment: int) -> None:
        """Drop what is kept and was not listed, unless it is younger than the listing."""
        for key, version in self._store.versions(kind).items():
            if key not in listed and version.resource_version <= moment:
                self._drop(key, version.uid)

    async def _fetch(self, watched: Watched, wanted: Mapping[Key, Version]) -> None:
        """Read objects one by one: those whose events are late or lost."""
        for key, version in wanted.items():
            raw = await self._read(object_path(watched, key))
            if raw is None:
                self._drop(key, version.uid)
            else:
                self._keep(raw)


def object_path(watched: Watched, key: Key) -> str:
    """Where the API server has one object."""
    root, _, plural = watched.path.rpartition("/")
    namespace = f"/namespaces/{key.namespace}" if key.namespace else ""
    return f"{root}{namespace}/{plural}/{key.name}"
