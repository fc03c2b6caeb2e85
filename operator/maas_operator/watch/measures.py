"""From what gateways and engines say to what is measured of each service. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from maas_operator.api.fetching import FetchProgress
from maas_operator.api.names import PORT
from maas_operator.api.seen import FetchState, InstanceMeasured, Measured, PodSeen
from maas_operator.watch.engines import Engine, Progress, followed
from maas_operator.watch.gateways import Gateways
from maas_operator.watch.keys import Key

NOTHING: Mapping[str, FetchProgress] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ServiceInstances:
    """A ModelService and those of its pods that can be asked."""

    key: Key
    uid: str
    pods: tuple[PodSeen, ...]
    follows: bool
    """How many instances it has follows from what is measured."""
    fetchers: tuple[PodSeen, ...] = ()
    """Pods of Jobs that fetch its weights."""


def ready(pods: Iterable[PodSeen]) -> tuple[PodSeen, ...]:
    """The pods that can be asked how they are: of an instance of several hosts its leader."""
    return tuple(pod for pod in pods if pod.ready and pod.address and pod.leads and not pod.leaving)


def fetching(service: ServiceInstances) -> tuple[PodSeen, ...]:
    """The pods that can be asked how far they are with fetching weights."""
    return tuple(
        pod
        for pod in (*service.pods, *service.fetchers)
        if pod.fetch == FetchState.RUNNING and pod.address and not pod.leaving
    )


def place(address: str) -> str:
    """ADDRESS:PORT of an instance, as Envoy writes it and URLs have it."""
    return f"[{address}]:{PORT}" if ":" in address else f"{address}:{PORT}"


def matters(before: Measured | None, now: Measured, follows: bool) -> bool:
    """Whether a decision on a service may be another one now. follows: how many instances it has follows from this.
    Where nothing runs and nobody asks, nothing but the time has changed: a decision says itself when it looks again."""
    if (before.fetching if before else {}) != now.fetching:
        return True
    stuck = any(each.stuck_since for measured in (before, now) if measured for each in measured.instances.values())
    if stuck or not follows or before is None:
        return stuck or follows
    return bool(now.instances) or replace(before, at=now.at) != now


class Measures:
    """What was measured last, and what has to be remembered for the next time."""

    def __init__(self) -> None:
        self.gateways = Gateways()
        self._progress: dict[str, Progress] = {}
        """By the pod's uid."""
        self._last: dict[str, float] = {}
        """When each service's last request came, by uid; seconds since 1970."""

    def to_ask(self, services: Iterable[ServiceInstances]) -> list[PodSeen]:
        """The instances whose engines are worth asking: of services that follow what they say, and those that the
        gateways have requests under way at, which may hang. Of thousands of services most are neither."""
        asked = []
        for service in services:
            under_way = self.gateways.under_way(service.uid)
            asked += [pod for pod in ready(service.pods) if service.follows or place(pod.address or "") in under_way]
        return asked

    def take(
        self,
        services: Iterable[ServiceInstances],
        engines: Mapping[str, Engine | None],
        at: float,
        now: float,
        fetches: Mapping[str, FetchProgress] = NOTHING,
    ) -> dict[Key, Measured]:
        """What is measured of each service, once the gateways' answers have been taken. engines: what those that were
        asked answered, by the pod's uid; None: nothing that can be read. fetches: how far pods that fetch weights are,
        likewise. at: seconds since 1970; now: seconds that only
        grow."""
        progress, last = self._progress, self._last
        self._progress, self._last = {}, {}
        made = {}
        for service in services:
            unanswered, requests = self.gateways.unanswered(service.uid), False
            instances = {}
            for pod in (each for each in service.pods if each.uid in engines):
                before, engine = progress.get(pod.uid), engines[pod.uid]
                if engine is None:
                    if before is not None:
                        self._progress[pod.uid] = before
                    continue
                has_requests = engine.busy or place(pod.address or "") in unanswered
                known = self._progress[pod.uid] = followed(before, engine, has_requests, now)
                requests = requests or engine.busy or known.worked(before)
                instances[pod.name] = _instance(engine, known, at, now)
            told = {pod.name: fetches[pod.uid] for pod in fetching(service) if pod.uid in fetches}
            measured = self._measured(service.uid, instances, requests, last.get(service.uid), at)
            made[service.key] = replace(measured, fetching=told)
        return made

    def _measured(
        self, uid: str, instances: Mapping[str, InstanceMeasured], requests: bool, last: float | None, at: float
    ) -> Measured:
        """requests: the engines have had some since the look before."""
        gateways = self.gateways
        held, since = gateways.held(uid), gateways.since
        called = min(gateways.last_request(uid) or 0.0, at)
        told = called
        if requests or held or gateways.under_way(uid):
            told = at
        if latest := max(told, last or 0.0):
            self._last[uid] = latest
        return Measured(
            at=_moment(at),
            instances=instances,
            queries_per_second=gateways.per_second(uid),
            held=held,
            last_request=_moment(latest) if latest else None,
            since=None if since is None else _moment(since),
            called=_moment(called) if called else None,
        )


def _instance(engine: Engine, progress: Progress, at: float, now: float) -> InstanceMeasured:
    seconds = 0.0 if progress.since is None else now - progress.since
    return InstanceMeasured(
        running=engine.running,
        waiting=engine.waiting,
        kv_cache=min(100, math.ceil(engine.kv_cache * 100)),
        stuck_since=_moment(at - seconds) if seconds > 0 else None,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
