"""How instances pass from one workload to another: from a LeaderWorkerSet to that of a new template, or between it and
a Deployment where a flavor of several hosts takes the place of one of a single host, or the other way round.

The rule is a Deployment's own for its ReplicaSets: new instances first, and one of before goes for each that answers;
where the new find no room, one of before goes first, if that helps and is allowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from maas_operator.api.decision import Apply, Remove
from maas_operator.api.names import ANNOTATION_APPLIED_TEMPLATE, ANNOTATION_TEMPLATE_INPUTS, LWS_KIND
from maas_operator.api.seen import Manifest, PodSeen, ServiceSeen
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.instances import Instances
from maas_operator.decide.rollout import why_wait
from maas_operator.decide.room import free, usable
from maas_operator.decide.sources import disk
from maas_operator.decide.standing import annotation, replicas, skeleton
from maas_operator.decide.workload import dress


@dataclass(frozen=True, slots=True)
class Handover:
    """How many instances the workload is to have that they are to be of, and what becomes of those before it."""

    instances: int
    shrink: tuple[Apply, ...] = ()
    remove: tuple[Remove, ...] = ()
    waits: str | None = None
    """Why no instance of before is taken away for one that finds no room."""


def hand_over(
    seen: ServiceSeen, plan: Plan, instances: Instances, template: str, live: Manifest | None, earlier: list[Manifest]
) -> Handover:
    """Look how far it has come, and take the next step. `template`: the digest of the one that the instances are to
    have; `live`: the workload of it; `earlier`: the service's others."""
    if not earlier:
        return Handover(plan.replicas)
    new = [pod for pod in instances.staying if pod.template == template]
    before = [pod for pod in instances.staying if pod.template != template and pod.ready]
    short = _short(seen, plan, instances, new, live)
    waits = why_wait(seen, plan, before) if short else None
    gives = short and waits is None
    left = plan.replicas - sum(pod.ready for pod in new) - gives
    shrink, remove, kept = [], [], 0
    for each in earlier:
        count, answering = _keeps(each, before, max(0, left))
        left, kept = left - answering, kept + count
        if count == 0:
            metadata = each["metadata"]
            remove.append(Remove(each["kind"], metadata["namespace"], metadata["name"], metadata["uid"]))
        elif count < replicas(each):
            shrink.append(_shrunk(each, count))
    wanted = plan.replicas + (not gives) - kept
    there = replicas(live) if live else 0
    return Handover(min(plan.replicas, max(there, wanted)), tuple(shrink), tuple(remove), waits)


def _short(seen: ServiceSeen, plan: Plan, instances: Instances, new: Sequence[PodSeen], live: Manifest | None) -> bool:
    """Whether a new instance finds no room, or would find none."""
    if live is None:
        return free(plan.flavor, usable(plan.pool, seen.nodes), disk(plan)) <= 0
    return any(pod in instances.unplaced and pod.unschedulable for pod in new)


def _keeps(workload: Manifest, answering: Sequence[PodSeen], wanted: int) -> tuple[int, int]:
    """How many instances a workload of before keeps so that no more than `wanted` of those that answer stay, and how
    many of them these are. What answers nobody goes; but a LeaderWorkerSet gives up its last groups first."""
    name = workload["metadata"]["name"]
    if workload["kind"] != LWS_KIND:
        count = min(wanted, sum(pod.group is None for pod in answering), replicas(workload))
        return count, count
    groups = [pod.group.rpartition("-") for pod in answering if pod.group]
    numbers = sorted(int(number) for set_name, _, number in groups if set_name == name)[: max(0, wanted)]
    return min(numbers[-1] + 1, replicas(workload)) if numbers else 0, len(numbers)


def _shrunk(live: Manifest, count: int) -> Apply:
    manifest = skeleton(live)
    manifest["spec"]["replicas"] = count
    dress(manifest, annotation(live, ANNOTATION_APPLIED_TEMPLATE), annotation(live, ANNOTATION_TEMPLATE_INPUTS))
    return Apply(manifest, live["metadata"]["uid"], "handed over")
