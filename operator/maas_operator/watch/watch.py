"""Seeing the cluster: informers, the first listing of each kind, and comparing now and then."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import aiohttp
import structlog

from maas_operator import metrics
from maas_operator.api.seen import Manifest
from maas_operator.watch.informers import Informers
from maas_operator.watch.keys import Key
from maas_operator.watch.kopf_setup import NewSession
from maas_operator.watch.objects import Altered
from maas_operator.watch.resync import RESYNC_SECONDS, Read, Resync
from maas_operator.watch.versions import Versions
from maas_operator.watch.watched import View, Watched

RETRY_SECONDS = 2.0
"""Until a kind that could not be listed is listed again."""
SETTLE_SECONDS = 2.0
"""From a new listing to the comparison with the store."""

log = structlog.get_logger()


class Work(Protocol):
    """What has to be done when something changed."""

    def add_all(self, keys: Iterable[Key], /) -> None:
        """These may have been altered."""

    def open(self, kind: str, /) -> None:
        """All that is needed for this has been seen."""


class Watch:
    """Keeps the store as the cluster is, and the work (a queue, say) told of what that may alter."""

    def __init__(
        self,
        view: View,
        store: Versions,
        work: Work,
        read: Read,
        server: str,
        session: NewSession,
        started: Callable[[], None],
    ) -> None:
        self._view = view
        self._store = store
        self._work = work
        self._informers = Informers(view.watched, read, server, session, self._handle, self._listed_anew, started)
        self._resync = Resync(store, read, self.keep, self.drop)
        self._listed: set[str] = set()
        self._to_compare: set[str] = set()
        self.waiting_for: dict[str, str] = {each.plural: "being listed" for each in view.all}
        """What has not been seen yet, and why; empty when everything has."""

    def altered(self, keys: Altered) -> None:
        """Have what a change may alter reconciled."""
        if keys:
            self._work.add_all(sorted(keys))

    def keep(self, raw: Manifest) -> None:
        """Keep an object as it was seen. One that cannot be made sense of is told of, and stops no other."""
        try:
            self.altered(self._store.put(raw))
        except Exception:
            metrics.ERRORS.labels(raw["kind"], "NotUnderstood").inc()
            log.exception("an object could not be kept", **Key.of(raw)._asdict())

    def drop(self, key: Key, uid: str) -> None:
        """Forget an object."""
        self.altered(self._store.drop(key, uid))

    async def run(self) -> None:
        """See the cluster until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informers.run())
            group.create_task(self._compare_now_and_then())
            for watched in self._view.all:
                group.create_task(self._first_listing(watched))

    async def _first_listing(self, watched: Watched) -> None:
        """Wait until a kind has been seen whole; then what needs no more than it may be decided."""
        while True:
            try:
                await self._resync.arrived(watched)
                break
            except LookupError:
                reason = f"CustomResourceDefinition {watched.plural}.{watched.group} not found: apply the chart's CRDs"
            except (aiohttp.ClientError, OSError) as error:
                reason = f"cannot be listed: {error}"
            if self.waiting_for[watched.plural] != reason:
                self.waiting_for[watched.plural] = reason
                log.warning("waiting", resource=watched.plural, reason=reason)
            await asyncio.sleep(RETRY_SECONDS)
        del self.waiting_for[watched.plural]
        self._listed.add(watched.kind)
        for kind, needed in self._view.needed.items():
            if needed <= self._listed:
                self._work.open(kind)
        if not self.waiting_for:
            log.info(
                "the cluster has been seen",
                **{each.plural: len(self._store.versions(each.kind)) for each in self._view.all},
            )

    def _handle(self, event: str | None, raw: Manifest) -> None:
        if event == "DELETED":
            self.drop(Key.of(raw), raw["metadata"]["uid"])
        else:
            self.keep(raw)

    def _listed_anew(self, watched: Watched) -> None:
        """A watch had to list anew: what was deleted since is told by no event."""
        if watched.kind in self._listed:
            self._to_compare.add(watched.kind)

    async def _compare_now_and_then(self) -> None:
        """Compare with the API server: all kinds every RESYNC_SECONDS, and a kind when it was listed anew."""
        loop = asyncio.get_running_loop()
        due = loop.time() + RESYNC_SECONDS
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            if loop.time() >= due:
                due = loop.time() + RESYNC_SECONDS
                self._to_compare |= self._listed
            for watched in self._view.all:
                if watched.kind in self._to_compare:
                    self._to_compare.discard(watched.kind)
                    await self._compare(watched)

    async def _compare(self, watched: Watched) -> None:
        try:
            await self._resync.compare(watched)
            metrics.LAST_RESYNC.labels(watched.kind).set_to_current_time()
        except LookupError:
            log.warning("its definition is gone", resource=watched.plural)
        except (aiohttp.ClientError, OSError) as error:
            log.warning("comparing with the API server failed", resource=watched.plural, error=str(error))
            self._to_compare.add(watched.kind)
