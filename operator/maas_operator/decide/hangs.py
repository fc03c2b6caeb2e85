"""Hangs (M9): an instance that is ready, has requests, and makes no progress with any is replaced.

One at a time: until as many instances answer as before, no other is taken for hung. So a cause that all share, a prompt
that takes longer than hangSeconds say, cannot take the whole service down.
"""

from dataclasses import dataclass
from datetime import datetime

from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Event, Remove
from maas_operator.api.seen import Manifest, PodSeen, ServiceSeen
from maas_operator.api.times import written
from maas_operator.decide.instances import Instances
from maas_operator.decide.workload import LEAVE_SECONDS

GRACE_SECONDS = LEAVE_SECONDS + 5
"""Until a hung instance is killed. Its manifest's grace is for finishing requests, of which it will finish none, and
for so long it would keep its accelerators from the one that replaces it. LEAVE_SECONDS of it: until all have seen that
it is leaving, since a request that comes meanwhile would hang, too."""


@dataclass(frozen=True, slots=True)
class Hang:
    """An instance that is suspected to hang, until it is replaced."""

    status: Manifest
    """For status.suspension."""
    message: str
    remove: tuple[Remove, ...] = ()
    events: tuple[Event, ...] = ()


def hang(seen: ServiceSeen, instances: Instances, desired: int, hang_seconds: int) -> Hang | None:
    """The instance that is to be replaced, or is being replaced; None: there is none."""
    if not desired:
        return None
    stuck = _stuck(seen, instances, hang_seconds)
    earlier: Manifest = seen.service.get("status", {}).get("suspension") or {}
    name = earlier.get("instance")
    there = next((pod for pod in instances.staying if pod.name == name and pod.ready), None)
    if there is not None and name in stuck:
        return _removed(there, earlier)
    if earlier and there is None and instances.ready < min(earlier["ready"], desired):
        return Hang(earlier, _being_replaced(seen, earlier))
    if not stuck:
        return None
    name = min(stuck, key=lambda each: (stuck[each], each))
    pod = next(pod for pod in instances.staying if pod.name == name)
    return _removed(pod, {"instance": name, "since": written(stuck[name]), "ready": instances.ready})


def _stuck(seen: ServiceSeen, instances: Instances, hang_seconds: int) -> dict[str, datetime]:
    """The ready instances that had made no progress for so long when they were looked at last, by name: since when."""
    measured = seen.measured
    if measured is None:
        return {}
    return {
        pod.name: found.stuck_since
        for pod in instances.staying
        if pod.ready
        and (found := measured.instances.get(pod.name))
        and found.stuck_since
        and (measured.at - found.stuck_since).total_seconds() >= hang_seconds
    }


def _removed(pod: PodSeen, status: Manifest) -> Hang:
    message = (
        f"instance {pod.name} answers /health, but has made no progress with its requests since {status['since']}: it "
        f"is suspected to hang, and is replaced (killed within {GRACE_SECONDS} s, since it would finish nothing)"
    )
    return Hang(
        status,
        message,
        (Remove("Pod", pod.namespace, pod.name, pod.uid, GRACE_SECONDS, dependents_first=pod.group is not None),),
        (Event("Warning", str(Reason.SUSPECTED_SUSPENSION), message),),
    )


def _being_replaced(seen: ServiceSeen, status: Manifest) -> str:
    pod = next((pod for pod in seen.pods if pod.name == status["instance"]), None)
    where = "is gone"
    if pod is not None:
        where = f"is leaving (for {GRACE_SECONDS} s at most)" if pod.leaving else "does not answer any more"
    return (
        f"instance {status['instance']}, which had made no progress with its requests since {status['since']}, "
        f"{where}; the one that replaces it does not answer yet"
    )
