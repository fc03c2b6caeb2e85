"""Why hosts of instances are not made: a quota, a policy of the namespace. A Deployment says so in a condition, the
StatefulSets that a LeaderWorkerSet makes in events alone: they are asked for where hosts are missing for a while."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta

import aiohttp
import structlog

from maas_operator.api.names import LWS_KIND
from maas_operator.api.seen import Manifest
from maas_operator.api.times import moment
from maas_operator.guard import guarded
from maas_operator.watch.objects import Altered
from maas_operator.watch.resync import Read
from maas_operator.watch.store import Store
from maas_operator.watch.workloads import Owner

REASON = "FailedCreate"
"""Reason of the events that tell."""
KINDS = frozenset({"StatefulSet", LWS_KIND})
"""Whose events these are."""
RECENT = timedelta(minutes=20)
"""Age up to which an event counts: controllers try again at the latest after 1000 s."""
LOOK_SECONDS = 10.0
"""Between two looks. Hosts that are missing in two of them are asked about."""
AT_ONCE = 4
"""Questions in flight."""
MOST_EVENTS = 500
"""Events of a namespace that are read."""

log = structlog.get_logger()


class Refusals:
    """Keeps in the store why hosts of instances are not made."""

    def __init__(self, store: Store, altered: Callable[[Altered], None], read: Read) -> None:
        self._store = store
        self._altered = altered
        self._read = read
        self._free = asyncio.Semaphore(AT_ONCE)
        self._before: Collection[tuple[Owner, str]] = ()
        self._refused = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with guarded("refusals"):
                await self.look(datetime.now(UTC))

    async def look(self, now: datetime) -> None:
        """Ask for the events of the namespaces in which hosts are missing still, and keep what they say."""
        missing = self._store.lacking_hosts()
        still, self._before = [each for each in missing if each in self._before], missing
        namespaces = sorted({namespace for (namespace, _), _ in still})
        try:
            told = dict(zip(namespaces, await asyncio.gather(*map(self._asked, namespaces)), strict=True))
        except (aiohttp.ClientError, OSError) as error:
            if not self._refused:
                log.warning("events cannot be asked for", error=str(error) or type(error).__name__)
            self._refused = True
            return
        self._refused = False
        words = {owner: refusal(name, told[owner[0]], now) for owner, name in still}
        self._altered(self._store.refused({owner: said for owner, said in words.items() if said}))

    async def _asked(self, namespace: str) -> list[Manifest]:
        query = {"fieldSelector": f"reason={REASON},type=Warning", "limit": str(MOST_EVENTS)}
        async with self._free:
            answer = await self._read(f"/api/v1/namespaces/{namespace}/events", query)
        return list((answer or {}).get("items") or ())


def refusal(name: str, events: Iterable[Manifest], now: datetime) -> str | None:
    """What the newest event says on a LeaderWorkerSet of this name, or on the StatefulSets that it makes."""
    telling = [each for each in events if _about(each.get("involvedObject", {}), name) and now - _when(each) <= RECENT]
    return str(max(telling, key=_when).get("message", "")) if telling else None


def _about(what: Manifest, name: str) -> bool:
    """The set itself, the StatefulSet of its leaders, which has its name, or that of the workers of a group."""
    of, _, number = what.get("name", "").rpartition("-")
    return what.get("kind") in KINDS and (what.get("name") == name or (of == name and number.isdecimal()))


def _when(event: Manifest) -> datetime:
    """When it was told last."""
    told = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return moment(told) or datetime.min.replace(tzinfo=UTC)
