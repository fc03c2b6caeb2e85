"""Sleep and waking: with minInstances 0 nothing runs while there is nothing to do.

Falling asleep wants certainty: for sleepAfter no request came, none is worked on, none is held, and all of that is
known. Waking wants a sign alone: the gateway's annotation (another value than the one that status remembers, so that
no clocks are compared and none is missed), a user's start, bounds that ask for an instance, or, should the annotation
not have been written, what is measured: a request that is held, or one that came since it fell asleep.
"""

from maas_operator.api.conditions import ConditionType, condition
from maas_operator.api.durations import duration
from maas_operator.api.fields import digest
from maas_operator.api.names import ANNOTATION_START
from maas_operator.api.scaling import Scaling
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.decide.idle import Idle, asleep_since, wake_requested
from maas_operator.decide.scaling.schedules import Bounds

SLEEP_AFTER = "10m"
"""Without a request, where spec.scaling.sleepAfter is left out."""


def sleep_after(scaling: Scaling) -> str:
    """How long a service is without a request before it falls asleep."""
    return scaling.sleep_after or SLEEP_AFTER


def falls_asleep(seen: ServiceSeen, scaling: Scaling, bounds: Bounds, idle: Idle | None) -> bool:
    """Whether the service goes to sleep now. It does so from rest alone: what has just been changed shows first
    whether it runs."""
    if bounds.least > 0 or idle is None or not _at_rest(seen.service):
        return False
    return idle.seconds >= (duration(sleep_after(scaling)) or 0.0)


def wakes(seen: ServiceSeen, bounds: Bounds) -> str | None:
    """What wakes a sleeping service now; None: nothing."""
    if wake_requested(seen.service) or _is_called(seen):
        return "woken by a request"
    if start_asked(seen.service) and seen.service["status"]["scaling"].get("startRequest") != start_request(
        seen.service
    ):
        return "woken by its user"
    if bounds.least > 0:
        return f"woken by {bounds.least_by}"
    return None


def _is_called(seen: ServiceSeen) -> bool:
    """Whether a request is held, or has come since the service fell asleep, as far as that was measured."""
    measured, since = seen.measured, asleep_since(seen.service)
    if measured is None:
        return False
    return bool(measured.held) or (measured.called is not None and since is not None and measured.called > since)


def start_asked(service: Manifest) -> bool:
    """Whether the user's last request to start the service still stands. One that is taken away, by a tool that knows
    only what Git has, asks for nothing."""
    return ANNOTATION_START in service["metadata"].get("annotations", {})


def start_request(service: Manifest) -> str:
    """Digest of the user's last request to start the service."""
    return digest(service["metadata"].get("annotations", {}).get(ANNOTATION_START))


def _at_rest(service: Manifest) -> bool:
    """Whether the service was Ready, as its present spec asks, when it was last decided on."""
    ready = condition(service.get("status", {}), ConditionType.READY)
    current = ready.get("observedGeneration") == service["metadata"].get("generation", 0)
    return bool(current and ready.get("status") == "True")
