"""Since when a service has had no request, as far as that is known.

The gateways know of each request when it came, and the engines what they still work on. Only time that every gateway
knows without a gap counts, and only while an instance answers. Of a service that is asleep all of it counts since the
last request that is known: the next would have woken it.
"""

from dataclasses import dataclass
from datetime import datetime

from maas_operator.api.conditions import ConditionType, condition
from maas_operator.api.fields import digest
from maas_operator.api.names import ANNOTATION_WAKE
from maas_operator.api.seen import Manifest, Measured, ServiceSeen
from maas_operator.api.times import moment
from maas_operator.decide.instances import Instances


@dataclass(frozen=True, slots=True)
class Idle:
    """A span without a request."""

    since: datetime
    until: datetime
    """Up to when that is known."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return max(0.0, (self.until - self.since).total_seconds())


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is known of a service's requests."""

    idle: Idle | None
    """None: nothing can be said now."""
    busy_at: datetime | None
    """When it was last seen to have requests, or to be asked for."""


def traffic(seen: ServiceSeen, instances: Instances, now: datetime) -> Traffic:
    """What is known now."""
    busy_at = _busy_at(seen, now)
    if asleep_since(seen.service) is not None:
        since = kept_since(seen.service) or asleep_since(seen.service) or now
        last = seen.measured.last_request if seen.measured else None
        return Traffic(Idle(max(since, busy_at or since, last or since), now), busy_at)
    answering = _answering_since(seen.service)
    if not instances.ready or answering is None:
        return Traffic(Idle(now, now), busy_at)
    measured = seen.measured
    if measured is None or measured.since is None or not _all_answered(instances, measured):
        return Traffic(None, busy_at)
    known = (answering, measured.since, measured.last_request, busy_at, kept_since(seen.service))
    since = max(each for each in known if each is not None)
    return Traffic(Idle(min(since, now), min(measured.at, now)), busy_at)


def asleep_since(service: Manifest) -> datetime | None:
    """Since when the service is asleep, as its status says."""
    return moment(service.get("status", {}).get("scaling", {}).get("asleepSince"))


def kept_since(service: Manifest) -> datetime | None:
    """Since when it is idle, as its status says."""
    return moment(service.get("status", {}).get("autoStop", {}).get("idleSince"))


def wake_request(service: Manifest) -> str:
    """Digest of the gateway's last request to wake the service."""
    return digest(service["metadata"].get("annotations", {}).get(ANNOTATION_WAKE))


def wake_requested(service: Manifest) -> bool:
    """Whether the gateway has asked to wake the service since a decision was last written down. An annotation that
    somebody takes away asks for nothing."""
    scaling = service.get("status", {}).get("scaling", {})
    asked = ANNOTATION_WAKE in service["metadata"].get("annotations", {})
    return asked and "wakeRequest" in scaling and scaling["wakeRequest"] != wake_request(service)


def _busy_at(seen: ServiceSeen, now: datetime) -> datetime | None:
    """A request to wake it is a sign of life, whether or not it sleeps: the measurement may be older than that."""
    if wake_requested(seen.service):
        return now
    known = [seen.scaling_memory.busy_at if seen.scaling_memory else None]
    if seen.measured and _has_requests(seen.measured):
        known.append(min(seen.measured.at, now))
    # A time that is still to come is from before the clock was set back.
    return max((each for each in known if each is not None and each <= now), default=None)


def _has_requests(measured: Measured) -> bool:
    return bool(measured.held) or any(each.running or each.waiting for each in measured.instances.values())


def _all_answered(instances: Instances, measured: Measured) -> bool:
    """Whether every instance that takes requests told what it works on, and every gateway what it holds."""
    ready = {pod.name for pod in instances.staying if pod.ready}
    return measured.held is not None and ready <= measured.instances.keys()


def _answering_since(service: Manifest) -> datetime | None:
    """Since when an instance has answered."""
    available = condition(service.get("status", {}), ConditionType.AVAILABLE)
    return moment(available.get("lastTransitionTime")) if available.get("status") == "True" else None
