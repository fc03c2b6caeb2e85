"""Seeing the cluster: informers, the first listing of each kind, and comparing now and then."""

import asyncio
from collections.abc import Callable, Iterable, Set
from functools import partial
from typing import Protocol

import aiohttp
import structlog

from maas_operator import metrics
from maas_operator.api.seen import Manifest
from maas_operator.guard import guarded, kept_going
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
        told = self._handle, self._listed_anew, self._now_missing
        self._informers = Informers(view.watched, read, server, session, *told, started)
        self._resync = Resync(store, read, self.keep, self.drop)
        self._listed: set[str] = set()
        self._to_compare: set[str] = set()
        self._missing: Set[str] | None = None
        """Plurals of what the API server does not know, once that is known."""
        self._absent: set[Watched] = set()
        """Of what a cluster need not know, what this one does not."""
        self._appeared: set[asyncio.Task[None]] = set()
        self.waiting_for: dict[str, str] = {each.plural: "being listed" for each in view.all}
        """What has not been seen yet, and why; empty when everything has."""

    def seen_whole(self, kind: str) -> bool:
        """Whether all has been seen that is needed for this."""
        return self._view.needed[kind] <= self._listed

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
        """Forget an object. What goes wrong with that stops no other either."""
        try:
            self.altered(self._store.drop(key, uid))
        except Exception:
            metrics.ERRORS.labels(key.kind, "NotUnderstood").inc()
            log.exception("an object could not be forgotten", **key._asdict())

    async def run(self) -> None:
        """See the cluster until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(kept_going("watch", self._informers.run))
            group.create_task(self._compare_now_and_then())
            for watched in self._view.all:
                group.create_task(kept_going("listing", partial(self._first_listing, watched)))

    async def _first_listing(self, watched: Watched) -> None:
        """Wait until a kind has been seen whole; then what needs no more than it may be decided."""
        while True:
            try:
                await self._resync.arrived(watched)
                break
            except LookupError:
                if watched.optional and watched.plural in (self._missing or ()):
                    self._lacks(watched)
                    break
                if watched.optional:  # the informers have not found out yet
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                reason = f"CustomResourceDefinition {watched.plural}.{watched.group} not found: apply the chart's CRDs"
            except (aiohttp.ClientError, OSError) as error:
                reason = f"cannot be listed: {error}"
            if self.waiting_for.get(watched.plural) != reason:
                self.waiting_for[watched.plural] = reason
                log.warning("waiting", resource=watched.plural, reason=reason)
            await asyncio.sleep(RETRY_SECONDS)
        self.waiting_for.pop(watched.plural, None)
        self._listed.add(watched.kind)
        for kind in self._view.needed:
            if self.seen_whole(kind):
                self._work.open(kind)
                self._work.add_all(sorted(self._store.versions(kind)))  # also those that were told what is missing
        if not self.waiting_for:
            log.info(
                "the cluster has been seen",
                **{each.plural: len(self._store.versions(each.kind)) for each in self._view.all},
            )

    def _now_missing(self, missing: Set[str]) -> None:
        """The informers begin anew, without these."""
        self._missing = missing
        for watched in self._view.watched:
            if not watched.optional or watched.kind not in self._listed:
                continue
            if watched.plural in missing and watched not in self._absent:
                self._lacks(watched)
            elif watched.plural not in missing and watched in self._absent:
                task = asyncio.create_task(self._look_again(watched))
                self._appeared.add(task)
                task.add_done_callback(self._appeared.discard)

    def _lacks(self, watched: Watched) -> None:
        log.info("not in this cluster, and done without", resource=watched.plural, group=watched.group)
        self._absent.add(watched)
        self.altered(self._store.known(watched.kind, False))

    async def _look_again(self, watched: Watched) -> None:
        """At a kind that has been seen, or is missing."""
        with guarded("comparing"):
            await self._comes(watched) if watched in self._absent else await self._compare(watched)
            return
        self._to_compare.add(watched.kind)

    async def _comes(self, watched: Watched) -> None:
        """What was missing is there now: have seen all of it before anything is decided upon it."""
        try:
            await self._resync.arrived(watched)
        except LookupError:  # not yet
            return
        except (aiohttp.ClientError, OSError) as error:
            log.warning("cannot be listed", resource=watched.plural, error=str(error))
            return
        log.info("is in this cluster now", resource=watched.plural, group=watched.group)
        self._absent.discard(watched)
        self.altered(self._store.known(watched.kind, True))

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
                    await self._look_again(watched)

    async def _compare(self, watched: Watched) -> None:
        try:
            await self._resync.compare(watched)
            metrics.LAST_RESYNC.labels(watched.kind).set_to_current_time()
        except LookupError:
            log.warning("its definition is gone", resource=watched.plural)
        except (aiohttp.ClientError, OSError) as error:
            log.warning("comparing with the API server failed", resource=watched.plural, error=str(error))
            self._to_compare.add(watched.kind)
