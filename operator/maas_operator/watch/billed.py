"""What is billed: instances on their nodes, those that have left them, and what pools cost; until it has been told."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from maas_operator.api.seen import InstanceEnded, Manifest, PodSeen, PoolEdit
from maas_operator.api.times import moment
from maas_operator.watch.pods import FINISHED


class Billed:
    """Kept up to date by the store. `changed` is set with each instance or price that is news; whoever tells of them
    clears it, and takes what there is."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._here: dict[str, PodSeen] = {}
        self._over: set[str] = set()
        self._pools: dict[str, PoolEdit] = {}
        self._new: set[str] = set()
        self._ended: list[InstanceEnded] = []
        self._edits: list[PoolEdit] = []
        self.changed = asyncio.Event()

    @property
    def here(self) -> Mapping[str, PodSeen]:
        """The instances that have a node, by uid."""
        return self._here

    @property
    def pools(self) -> list[PoolEdit]:
        """The specs of all pools."""
        return list(self._pools.values())

    def take_new(self) -> list[PodSeen]:
        """The instances that have come since this was asked last."""
        new, self._new = self._new, set()
        return [self._here[uid] for uid in new if uid in self._here]

    def take_ended(self) -> list[InstanceEnded]:
        """Those that have left their nodes since this was asked last."""
        ended, self._ended = self._ended, []
        return ended

    def take_edits(self) -> list[PoolEdit]:
        """The specs of pools that were seen for the first time since this was asked last."""
        edits, self._edits = self._edits, []
        return edits

    def put(self, pods: Sequence[PodSeen]) -> None:
        """A pod as it was and as it is; nothing, where nothing changed."""
        if pods:
            self._seen(pods[-1])

    def drop(self, pods: Sequence[PodSeen]) -> None:
        """A pod that is gone."""
        for pod in pods:
            self._over.discard(pod.uid)
            self._left(pod)

    def put_pool(self, raw: Manifest) -> None:
        """A ResourcePool as it is."""
        metadata = raw["metadata"]
        name, uid, generation = metadata["name"], metadata["uid"], metadata.get("generation", 0)
        known = self._pools.get(name)
        if known and (known.uid, known.generation) == (uid, generation):
            return
        since = edited_at(metadata) or int(self._clock())
        edit = PoolEdit(name, uid, generation, since, raw.get("spec", {}))
        self._pools[name] = edit
        self._edits.append(edit)
        self.changed.set()

    def drop_pool(self, name: str) -> None:
        """A ResourcePool that is gone: what it cost last holds for what still runs there."""
        self._pools.pop(name, None)

    def _seen(self, pod: PodSeen) -> None:
        if pod.service is None or pod.scheduled_at is None or not pod.leads:
            self._left(pod)  # somebody has taken its labels off
        elif pod.phase in FINISHED or pod.finished_at is not None:
            if pod.uid not in self._over:
                self._over.add(pod.uid)
                self._end(pod)
        else:
            if pod.uid not in self._here:
                self._new.add(pod.uid)
                self.changed.set()
            self._here[pod.uid] = pod

    def _left(self, pod: PodSeen) -> None:
        if pod.uid in self._here:
            self._end(self._here[pod.uid])

    def _end(self, pod: PodSeen) -> None:
        """When it ended is known where it was seen to run."""
        ran = self._here.pop(pod.uid, None) is not None
        self._ended.append(InstanceEnded(pod, int(self._clock()) if ran else None))
        self.changed.set()


def edited_at(metadata: Manifest) -> int | None:
    """When somebody last changed the spec of an object of ours, as the API server noted it: any operator that sees this
    generation reads the same, also one that was not there. None where it is not noted."""
    entries = metadata.get("managedFields") or ()
    edits = [moment(each.get("time")) for each in entries if not each.get("subresource") and _of_spec(each)]
    if not any(edits) and metadata.get("generation") == 1:
        edits = [moment(metadata.get("creationTimestamp"))]
    known = [int(edit.timestamp()) for edit in edits if edit]
    return max(known, default=None)


def _of_spec(entry: Manifest) -> bool:
    return "f:spec" in entry.get("fieldsV1", ())
