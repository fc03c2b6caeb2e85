"""How many instances a service with spec.scaling has now, and what is said of it."""

from dataclasses import dataclass, replace
from datetime import datetime

from maas_operator.api.decision import Event
from maas_operator.api.scaling import Scaling
from maas_operator.api.seen import Manifest, Recommendation, ScalingMemory, ServiceSeen
from maas_operator.api.times import written
from maas_operator.decide.idle import Traffic, asleep_since, wake_request
from maas_operator.decide.instances import Instances
from maas_operator.decide.scaling.number import Number, at_least, number
from maas_operator.decide.scaling.schedules import Bounds, bounds_at
from maas_operator.decide.scaling.sleep import falls_asleep, sleep_after, start_request, wakes
from maas_operator.decide.standing import standing_replicas

_WITHOUT_GATEWAY = "without a gateway it does not fall asleep, since no request would wake it"


@dataclass(frozen=True, slots=True)
class Scaled:
    """How many instances, and what is said of it."""

    desired: int
    """0: it is asleep."""
    status: Manifest
    """For status.scaling."""
    memory: ScalingMemory
    event: Event | None
    look_again: float | None
    """Seconds until a schedule begins or ends."""


def scale(
    seen: ServiceSeen, scaling: Scaling, traffic: Traffic, instances: Instances, has_gateway: bool, now: datetime
) -> Scaled:
    """The decision on a service that is to run."""
    bounds = bounds_at(scaling, now)
    memory = replace(seen.scaling_memory or ScalingMemory(), busy_at=traffic.busy_at)
    if not _decided_upon(seen.service):  # what was measured may mean something else now
        memory = replace(memory, measured_at=None)
    seen = replace(seen, scaling_memory=memory)
    earlier = _earlier(seen.service)
    slept = asleep_since(seen.service) is not None
    if slept and (why := wakes(seen, bounds)):
        found, reason = _woken(bounds, why, memory, now), "Woken"
    elif slept:
        found, reason = Number(0, None, replace(memory, recommendations=(), events=())), "FellAsleep"
    elif falls_asleep(seen, scaling, bounds, traffic.idle):
        found, reason = Number(0, _asleep(scaling), replace(memory, recommendations=(), events=())), "FellAsleep"
    else:
        found, reason = _awake(seen, scaling, bounds, instances, now), "Scaled"
    if not has_gateway and not bounds.least and found.instances and found.why:
        found = replace(found, why=f"{found.why}; {_WITHOUT_GATEWAY}")
    status = _status(seen.service, found, bounds, now)
    return Scaled(
        desired=found.instances,
        status=status,
        memory=found.memory,
        event=_event(earlier, status, reason, now),
        look_again=(bounds.until - now).total_seconds() if bounds.until else None,
    )


def _woken(bounds: Bounds, why: str, memory: ScalingMemory, now: datetime) -> Number:
    first = Recommendation(now, bounds.awake)
    return Number(bounds.awake, why, replace(memory, recommendations=(first,), events=()))


def _asleep(scaling: Scaling) -> str:
    return f"no request for {sleep_after(scaling)}; a request wakes it"


def _awake(seen: ServiceSeen, scaling: Scaling, bounds: Bounds, instances: Instances, now: datetime) -> Number:
    """The number goes on from the one that was decided on last; else from what runs; else from the lower bound. What
    was stopped does not run, even where its Deployment is not yet seen to have followed."""
    earlier = _earlier(seen.service)
    current, why = int(earlier.get("desired", 0)), None
    if not current and seen.service.get("status", {}).get("instances", {}).get("desired"):
        current, why = standing_replicas(seen), "as many as ran before spec.scaling decided on it"
    if not current:
        current, why = bounds.awake, at_least(bounds)
    found = number(seen, scaling, bounds, instances.staying, current, now)
    return replace(found, why=why) if found.why is None else found


def _status(service: Manifest, found: Number, bounds: Bounds, now: datetime) -> Manifest:
    """What status.scaling says. While the decision stays what it was, the figures in it do too."""
    earlier = _earlier(service)
    said = {
        "desired": found.instances,
        "schedules": list(bounds.schedules),
        "wakeRequest": wake_request(service),
        "startRequest": start_request(service),
    }
    readings = [each.manifest for each in found.readings]
    same = all(earlier.get(key) == value for key, value in said.items())
    as_known = not readings or _known(readings) == _known(earlier.get("metrics", []))
    explained = found.why is None or _decided_upon(service)
    if same and as_known and explained:
        return earlier
    moved = found.instances != earlier.get("desired")
    asleep = found.instances == 0
    times = {
        "lastScaleTime": written(now) if moved and earlier else earlier.get("lastScaleTime"),
        "asleepSince": (earlier.get("asleepSince") or written(now)) if asleep else None,
    }
    return {
        **said,
        "reason": _sentence(found, asleep) or earlier.get("reason", ""),
        "metrics": readings or ([] if moved or "metrics" not in earlier else earlier["metrics"]),
        **{key: value for key, value in times.items() if value is not None},
    }


def _known(metrics: list[Manifest]) -> dict[str, bool]:
    """Of which metrics anything is known."""
    return {each["type"]: "averageValue" in each for each in metrics}


def _sentence(found: Number, asleep: bool) -> str | None:
    if found.why is None:
        return None
    count = f"{found.instances} instance{'' if found.instances == 1 else 's'}"
    return f"{'asleep' if asleep else count}: {found.why}"


def _event(earlier: Manifest, status: Manifest, reason: str, now: datetime) -> Event | None:
    """A change of the number is told; the first decision is none."""
    if not earlier or earlier["desired"] == status["desired"]:
        return None
    message = f"from {earlier['desired']} to {status['reason']}"
    return Event("Normal", reason, message, written(now))


def _earlier(service: Manifest) -> Manifest:
    scaling: Manifest = service.get("status", {}).get("scaling") or {}
    return scaling


def _decided_upon(service: Manifest) -> bool:
    """Whether the last decision was on the spec as it is now."""
    return bool(service.get("status", {}).get("observedGeneration") == service["metadata"].get("generation", 0))
