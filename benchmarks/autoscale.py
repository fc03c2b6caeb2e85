"""`python -m benchmarks.autoscale`: accelerators used over a day of load, and how long requests wait for one. JSON out.

The day is replayed second by second against what decides on instances: the operator's own decide_service, looked at
every MEASURE_SECONDS as it is in a cluster; a HorizontalPodAutoscaler on the same figures of the same pods (as a
metrics adapter gives them to it: nothing holds requests for it, so its minReplicas is 1); and fixed numbers of
instances. The instances are made up: each works on SLOTS requests at a time and queues the rest, and it takes
START_SECONDS from its creation to its first answer. The gateway sends a request to the instance that has the fewest.

A request's wait is from its arrival to an instance's beginning to work on it. Instance-hours count from an instance's
creation until it is gone; one that leaves finishes what it has.
"""

import argparse
import heapq
import json
import math
import random
import statistics
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from maas_operator.api.scaling import Scaling
from maas_operator.api.seen import (
    InstanceMeasured,
    Measured,
    PodSeen,
    Recommendation,
    ScaleEvent,
    ScalingMemory,
    ServiceSeen,
)
from maas_operator.api.settings import Settings
from maas_operator.decide import decide_service
from maas_operator.decide.scaling.algorithm import Pods, of_pods
from maas_operator.decide.scaling.behavior import complete, limited, stabilized

BEGIN = datetime(2026, 11, 23, tzinfo=UTC)
"""A Monday."""
DAY_SECONDS = 86400
REQUESTS_A_MINUTE = (0, 0, 0, 0, 0, 0, 2, 15, 60, 110, 120, 115, 80, 90, 120, 125, 110, 70, 30, 12, 6, 3, 1, 0)
"""By the hour: an office's day."""
BURSTS = ((9.5, 5, 3.0), (14.25, 4, 3.5), (16.0, 8, 2.5))
"""At an hour, for so many minutes, so many times as many: a batch job, a lecture."""
MEAN_WORK_SECONDS, SPREAD = 12.0, 0.8
"""Of a request: log-normal."""
SLOTS = 16
TARGET = 12
"""Requests an instance, which the scalers aim at."""
MOST = 8
START_SECONDS = 120
MEASURE_SECONDS = 15
PROMPT_SECONDS = 2.0
"""A wait that nobody minds."""


@dataclass
class Instance:
    """An instance, and what it works on."""

    name: str
    created: int
    ready_at: int
    ends: list[float] = field(default_factory=list)
    """When what it works on will be done."""
    queue: deque[tuple[float, float]] = field(default_factory=deque)
    """(arrival, seconds of work) of what waits in it."""
    leaving: bool = False

    @property
    def load(self) -> int:
        return len(self.ends) + len(self.queue)


class Scaler(Protocol):
    """Says how many instances there should be."""

    def desired(self, fleet: "Fleet", now: int) -> int:
        """The number, MEASURE_SECONDS after the time before."""


class Fleet:
    """The instances of a service, and the requests that wait for one."""

    def __init__(self) -> None:
        self.instances: list[Instance] = []
        self.held: deque[tuple[float, float]] = deque()
        self.last_request: float | None = None
        self.waits: list[float] = []
        self.instance_seconds = 0
        self._made = 0

    def staying(self) -> list[Instance]:
        return [each for each in self.instances if not each.leaving]

    def ready(self, now: float) -> list[Instance]:
        return [each for each in self.staying() if each.ready_at <= now]

    def arrive(self, at: float, work: float) -> None:
        self.last_request = at
        self.held.append((at, work))

    def scale(self, count: int, now: int) -> None:
        """New ones are made; of those there are, those without an answer yet go first, then the least busy."""
        staying = self.staying()
        for _ in range(count - len(staying)):
            self.instances.append(Instance(f"instance-{self._made}", now, now + START_SECONDS))
            self._made += 1
        for each in sorted(staying, key=lambda each: (each.ready_at <= now, each.load))[: max(0, len(staying) - count)]:
            each.leaving = True

    def pass_second(self, now: int) -> None:
        """What ends until now makes room; what waits begins."""
        ready = self.ready(now)
        while self.held and ready:
            min(ready, key=lambda each: each.load).queue.append(self.held.popleft())
        for each in self.instances:
            while each.ends and each.ends[0] <= now:
                heapq.heappop(each.ends)
            while each.queue and len(each.ends) < SLOTS:
                arrived, work = each.queue.popleft()
                self.waits.append(max(0.0, now - arrived))
                heapq.heappush(each.ends, now + work)
        self.instances = [each for each in self.instances if not each.leaving or each.load]
        self.instance_seconds += len(self.instances)


class Fixed:
    """So many, always."""

    def __init__(self, count: int) -> None:
        self._count = count

    def desired(self, fleet: Fleet, now: int) -> int:
        return self._count


class HorizontalPodAutoscaler:
    """Upstream's algorithm and defaults, on the average of requests an instance."""

    def __init__(self) -> None:
        self._behavior = complete(None)
        self._recommendations: list[Recommendation] = []
        self._events: list[ScaleEvent] = []
        self._current = 1

    def desired(self, fleet: Fleet, now: int) -> int:
        at = BEGIN + timedelta(seconds=now)
        if not self._recommendations:
            self._recommendations.append(Recommendation(at, self._current))
        ready = fleet.ready(now)
        pods = Pods([each.load * 1000 for each in ready], missing=len(fleet.staying()) - len(ready))
        found = of_pods(pods, self._current, TARGET * 1000, self._behavior.tolerances)
        if found is None:
            return self._current
        stable = stabilized(self._recommendations, self._current, found.instances, self._behavior, at)
        self._recommendations.append(Recommendation(at, found.instances))
        wanted, _ = limited(self._current, stable, 1, MOST, self._events, self._behavior, at)
        if wanted != self._current:
            self._events.append(ScaleEvent(at, wanted - self._current))
        self._current = wanted
        return wanted


class Operator:
    """The operator's own decisions."""

    def __init__(self, scaling: dict[str, Any]) -> None:
        Scaling.model_validate(scaling)
        self._service: dict[str, Any] = {
            "apiVersion": "maas-operator.io/v1alpha1",
            "kind": "ModelService",
            "metadata": {"name": "chat", "namespace": "team-a", "uid": "1", "generation": 1},
            "spec": {"model": {"name": "m"}, "resourcePool": "p", "flavor": "f", "scaling": scaling},
        }
        self._memory: ScalingMemory | None = None

    def desired(self, fleet: Fleet, now: int) -> int:
        at = BEGIN + timedelta(seconds=now)
        seen = ServiceSeen(
            service=self._service,
            model={"metadata": {"name": "m"}, "spec": MODEL},
            pool={"metadata": {"name": "p"}, "spec": POOL},
            namespace_labels={},
            children={},
            pods=[_pod(each, now) for each in fleet.staying()],
            nodes=[],
            measured=_measured(fleet, now),
            scaling_memory=self._memory,
        )
        decision = decide_service(seen, Settings(), at)
        self._memory = decision.scaling_memory
        self._service = self._service | {"status": decision.status}
        return int(decision.status["instances"]["desired"])


MODEL = {"type": "TextGeneration", "versions": [{"name": "v", "source": "hf://a/b", "contextLength": 4096}]}
POOL = {"flavors": [{"name": "f", "cpu": "1", "memory": "1Gi"}]}


def _pod(instance: Instance, now: int) -> PodSeen:
    return PodSeen(
        namespace="team-a",
        name=instance.name,
        uid=instance.name,
        service="chat",
        pool="p",
        flavor="f",
        model_version="v",
        template_hash=None,
        node="n",
        phase="Running",
        ready=instance.ready_at <= now,
        leaving=False,
        unschedulable=None,
        failure=None,
        requests={},
    )


def _measured(fleet: Fleet, now: int) -> Measured:
    last = fleet.last_request
    return Measured(
        at=BEGIN + timedelta(seconds=now),
        instances={
            each.name: InstanceMeasured(len(each.ends), len(each.queue), min(100, 100 * len(each.ends) // SLOTS))
            for each in fleet.ready(now)
        },
        queries_per_second=None,
        held=len(fleet.held),
        last_request=None if last is None else BEGIN + timedelta(seconds=last),
        since=BEGIN,
    )


def day() -> Iterator[tuple[float, float]]:
    """(second, seconds of work) of each request, the same each time."""
    random_ = random.Random(1)
    for minute in range(DAY_SECONDS // 60):
        rate = float(REQUESTS_A_MINUTE[minute // 60])
        for hour, minutes, times in BURSTS:
            rate *= times if hour * 60 <= minute < hour * 60 + minutes else 1
        at, end = minute * 60.0, minute * 60.0 + 60
        while rate and (at := at + random_.expovariate(rate / 60)) < end:
            mean = math.log(MEAN_WORK_SECONDS) - SPREAD**2 / 2
            yield at, random_.lognormvariate(mean, SPREAD)


def replay(requests: Sequence[tuple[float, float]], scaler: Scaler, first: int) -> dict[str, Any]:
    """The day, with this scaler. first: instances at its beginning, which answer already."""
    fleet, waiting = Fleet(), deque(requests)
    fleet.scale(first, -START_SECONDS)
    now = 0
    while now < DAY_SECONDS or waiting or len(fleet.waits) < len(requests):
        while waiting and waiting[0][0] <= now:
            fleet.arrive(*waiting.popleft())
        fleet.pass_second(now)
        if now % MEASURE_SECONDS == 0 or (fleet.held and not fleet.staying()):
            fleet.scale(scaler.desired(fleet, now), now)
        now += 1
    cuts = statistics.quantiles(fleet.waits, n=1000)
    return {
        "instance_hours": round(fleet.instance_seconds / 3600, 1),
        "wait_p50_s": round(cuts[499], 1),
        "wait_p95_s": round(cuts[949], 1),
        "wait_p99_s": round(cuts[989], 1),
        "wait_max_s": round(max(fleet.waits), 1),
        "prompt_share": round(sum(each <= PROMPT_SECONDS for each in fleet.waits) / len(fleet.waits), 4),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    requests = list(day())
    scaling: dict[str, Any] = {
        "minInstances": 0,
        "maxInstances": MOST,
        "metrics": [{"type": "Concurrency", "target": TARGET}],
    }
    office = {"name": "office", "start": "45 7 * * 1-5", "end": "0 18 * * 1-5", "minInstances": 4}
    results = {
        "maas-operator, asleep at night": replay(requests, Operator(scaling), 0),
        "maas-operator, asleep at night, four in office hours": replay(
            requests, Operator(scaling | {"schedules": [office]}), 0
        ),
        "maas-operator, never asleep": replay(requests, Operator(scaling | {"minInstances": 1}), 1),
        "HorizontalPodAutoscaler": replay(requests, HorizontalPodAutoscaler(), 1),
        **{f"{count} instances": replay(requests, Fixed(count), count) for count in (2, 4, MOST)},
    }
    about = {"requests": len(requests), "slots": SLOTS, "start_seconds": START_SECONDS}
    json.dump({"benchmark": "autoscale", **about, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
