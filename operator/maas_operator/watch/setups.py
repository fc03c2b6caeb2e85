"""Why nodes cannot set pods up: a file of the node that is missing, a claim, a runtime. The kubelet says so in events
alone, which are asked for where a pod has had its node for a while; nobody watches all events of a cluster."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import aiohttp
import structlog

from maas_operator.api.seen import Failure, Manifest, PodSeen
from maas_operator.guard import guarded
from maas_operator.watch.objects import Altered
from maas_operator.watch.resync import Read
from maas_operator.watch.store import Store

REASONS = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"})
"""Reasons of the events that tell."""
PATIENCE = timedelta(seconds=20)
"""How long a node may take before its events are asked for: most pods are set up in a few seconds."""
LOOK_SECONDS = 10.0
"""Between two looks."""
AT_ONCE = 4
"""Questions in flight."""
MOST_ASKED = 100
"""Pods that are asked about in a look, those that have waited longest first."""
MOST_EVENTS = 50
"""Events of a pod that are read."""

log = structlog.get_logger()


class Setups:
    """Keeps in the store why nodes cannot set pods of services up."""

    def __init__(self, store: Store, altered: Callable[[Altered], None], read: Read) -> None:
        self._store = store
        self._altered = altered
        self._read = read
        self._free = asyncio.Semaphore(AT_ONCE)
        self._refused = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with guarded("setups"):
                await self.look(datetime.now(UTC))

    async def look(self, now: datetime) -> None:
        """Ask for the events of every pod that its node has not set up for PATIENCE, and keep what they say."""
        late = [pod for pod in self._store.set_up() if now - datetime.fromisoformat(pod.set_up_since or "") > PATIENCE]
        late.sort(key=lambda pod: pod.set_up_since or "")
        try:
            said = await asyncio.gather(*(self._asked(pod) for pod in late[:MOST_ASKED]))
        except (aiohttp.ClientError, OSError) as error:
            if not self._refused:
                log.warning("events cannot be asked for", error=str(error) or type(error).__name__)
            self._refused = True
            return
        self._refused = False
        failures = {pod.uid: failure for pod, failure in zip(late, said, strict=False) if failure is not None}
        self._altered(self._store.not_set_up(failures))

    async def _asked(self, pod: PodSeen) -> Failure | None:
        path = f"/api/v1/namespaces/{pod.namespace}/events"
        query = {"fieldSelector": f"involvedObject.uid={pod.uid},type=Warning", "limit": str(MOST_EVENTS)}
        async with self._free:
            answer = await self._read(path, query)
        return failure(pod, (answer or {}).get("items") or ())


def failure(pod: PodSeen, events: Iterable[Manifest]) -> Failure | None:
    """What the newest of a pod's events says that tell why it is not set up. Those on one volume come first: the
    kubelet also says now and then that it still waits for some."""
    telling = [each for each in events if each.get("reason") in REASONS]
    if not telling:
        return None
    newest = max(telling, key=lambda each: ("Volume" in each.get("message", "").partition(" ")[0], _when(each)))
    return Failure(newest["reason"], newest.get("message", ""), node=pod.node or "")


def _when(event: Manifest) -> str:
    """When it was told last."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp", ""))
