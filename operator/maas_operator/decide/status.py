"""A ModelService's conditions and phase, from what its pods say."""

from dataclasses import dataclass

from maas_operator.api.conditions import ConditionType, Phase, Reason
from maas_operator.api.modelservice import State
from maas_operator.api.names import ANNOTATION_RERENDER, REPLICA_FAILURE
from maas_operator.api.seen import ServiceSeen
from maas_operator.decide.acceptance import Plan, Refusal
from maas_operator.decide.children import Children, outdated
from maas_operator.decide.conditions import Verdict, Verdicts, after_failures
from maas_operator.decide.instances import Instances, trouble
from maas_operator.decide.room import describe

TROUBLES_TOLD = 3
"""Failing instances that a message speaks of."""


@dataclass(frozen=True, slots=True)
class Situation:
    """An accepted service: what is planned, what is there, what is being done about the difference."""

    seen: ServiceSeen
    plan: Plan
    instances: Instances
    children: Children

    @property
    def desired(self) -> int:
        """How many instances there should be."""
        return self.plan.desired

    @property
    def rolling(self) -> bool:
        """Whether instances are being replaced: from the change of the template until the last new one answers."""
        if not self.desired:
            return False
        if self.instances.placed and (self.children.changing or outdated(self.instances, self.children.template)):
            return True
        return self._earlier(ConditionType.UPDATED) == Reason.ROLLING and self.instances.ready < self.desired

    @property
    def upgrading(self) -> bool:
        """Whether what is being rolled is another version of the model."""
        if not self.rolling:
            return False
        known = {None, self.plan.version.name}
        others = any(pod.model_version not in known for pod in self.instances.staying)
        return others or self.seen.service.get("status", {}).get("phase") == Phase.UPGRADING

    @property
    def refused(self) -> str | None:
        """Why the API server lets no further instance be made, in its words: a quota, a policy of the namespace."""
        deployment = self.seen.children.get(("Deployment", self.seen.service["metadata"]["name"]), {})
        conditions = deployment.get("status", {}).get("conditions", ())
        return next((each["message"] for each in conditions if each["type"] == REPLICA_FAILURE), None)

    def _earlier(self, kind: ConditionType) -> str | None:
        """The reason that the condition had."""
        earlier = self.seen.service.get("status", {}).get("conditions", ())
        return next((each.get("reason") for each in earlier if each.get("type") == kind), None)


def refused(refusal: Refusal, instances: Instances, early: bool) -> Verdicts:
    """The conditions of a service whose spec cannot be carried out. What runs goes on running. `early`: what it names
    may just not have been applied yet."""
    verdict = Verdict(False, refusal.reason, refusal.message)
    return {
        ConditionType.ACCEPTED: verdict,
        ConditionType.AVAILABLE: _available(instances, Reason.NOT_ACCEPTED),
        ConditionType.READY: verdict,
        ConditionType.RECONCILING if early else ConditionType.STALLED: Verdict(True, refusal.reason, refusal.message),
    }


def observed(now: Situation) -> Verdicts:
    """The conditions of a service that is being carried out."""
    scheduled = _scheduled(now)
    ready = _ready(now, scheduled) if now.desired else _stopped(now)
    verdicts = {
        ConditionType.ACCEPTED: Verdict(
            True, Reason.ACCEPTED, f"version {now.plan.version.name}, flavor {now.plan.flavor.name}"
        ),
        ConditionType.RECONCILED: Verdict(True, Reason.AS_DESIRED, "the cluster holds what the spec asks for"),
        ConditionType.SCHEDULED: scheduled,
        ConditionType.AVAILABLE: _available(now.instances, ready.reason),
        ConditionType.UPDATED: _updated(now),
        ConditionType.READY: ready,
    }
    if not ready.status:
        stalled = ready.reason == Reason.INSTANCE_FAILING and not now.instances.loading
        kind = ConditionType.STALLED if stalled else ConditionType.RECONCILING
        verdicts[kind] = Verdict(True, ready.reason, ready.message)
    return after_failures(verdicts, now.children.obstacles)


def _scheduled(now: Situation) -> Verdict:
    instances, desired = now.instances, now.desired
    unmade = desired - len(instances.staying)
    if not desired or (not instances.unplaced and unmade <= 0):
        return Verdict(True, Reason.ALL_SCHEDULED, "every instance has a node")
    if not instances.unplaced and now.refused:
        message = f"{unmade} of {desired} instances cannot be made: {now.refused}"
        return Verdict(False, Reason.INSTANCES_REFUSED, message)
    if not instances.unplaced:
        return Verdict(False, Reason.PLACING, f"{unmade} of {desired} instances to be made")
    waiting = _count(len(instances.unplaced))
    words = next((pod.unschedulable for pod in instances.unplaced if pod.unschedulable), None)
    if words is None:
        return Verdict(False, Reason.PLACING, f"{waiting} being placed")
    room = describe(now.plan.pool, now.plan.flavor, now.seen.nodes)
    message = f"{waiting} waiting for room in pool {now.plan.spec.resource_pool}: {room} (scheduler: {words})"
    return Verdict(False, Reason.NO_ROOM, message)


def _count(instances: int) -> str:
    return f"{instances} instance{'' if instances == 1 else 's'}"


def _available(instances: Instances, otherwise: Reason) -> Verdict:
    if instances.ready:
        return Verdict(True, Reason.INSTANCES_READY, f"{instances.ready} ready")
    return Verdict(False, Reason.INSTANCE_FAILING if instances.failing else otherwise, "no instance answers")


def _updated(now: Situation) -> Verdict:
    if now.rolling:
        return Verdict(False, Reason.ROLLING, "instances are being replaced")
    if now.children.held:
        return Verdict(
            False,
            Reason.RENDERED_BY_EARLIER_VERSION,
            "the instances run what an earlier version of the operator, its settings or the pool asked for; the "
            f"service's next change brings the new, or at once: annotate it with {ANNOTATION_RERENDER}=<any new value>",
        )
    return Verdict(True, Reason.UP_TO_DATE, "every instance runs what the spec asks for")


def _stopped(now: Situation) -> Verdict:
    """All is as asked once nothing is left, not even what the last instances are finishing."""
    reason, asked = Reason.SCALED_TO_ZERO, "spec.instances is 0"
    if now.plan.stopped_by_itself:
        reason, asked = Reason.AUTO_STOPPED, "spec.autoStop.after was reached: kubectl maas start starts it again"
    elif now.plan.spec.state == State.STOPPED:
        reason, asked = Reason.STOPPED, "spec.state is Stopped"
    left = len(now.instances.staying) + now.instances.leaving
    if left:
        return Verdict(False, reason, f"{asked}; {_count(left)} still finishing")
    return Verdict(True, reason, asked)


def _ready(now: Situation, scheduled: Verdict) -> Verdict:
    """The first thing that is amiss, the worst first."""
    instances, desired = now.instances, now.desired
    count = f"{instances.ready} of {desired} ready"
    if instances.failing:
        told = "; ".join(trouble(pod) for pod in instances.failing[:TROUBLES_TOLD])
        return Verdict(False, Reason.INSTANCE_FAILING, f"{count}; {told}")
    if not scheduled.status:
        return Verdict(False, scheduled.reason, f"{count}; {scheduled.message}")
    if now.rolling and now.refused:
        return Verdict(False, Reason.INSTANCES_REFUSED, f"{count}; no new instance can be made: {now.refused}")
    if now.rolling:
        return Verdict(False, Reason.ROLLING, f"{count}; instances are being replaced")
    if instances.loading:
        return Verdict(False, Reason.LOADING, f"{count}; loading the model")
    if len(instances.staying) > desired:
        return Verdict(False, Reason.REMOVING, f"{_count(len(instances.staying) - desired)} more than asked for")
    return Verdict(True, Reason.INSTANCES_READY, count)


def refused_phase(verdicts: Verdicts) -> Phase:
    """M12's word for a service whose spec cannot be carried out."""
    if ConditionType.RECONCILING in verdicts:
        return Phase.STARTING
    return Phase.ALARM if verdicts[ConditionType.AVAILABLE].status else Phase.FAILED


def phase(verdicts: Verdicts, now: Situation) -> Phase:
    """M12's word for the conditions: that of the instance that has come furthest."""
    instances = now.instances
    if not now.desired:
        return Phase.STOPPED
    if ConditionType.STALLED in verdicts or (instances.ready and instances.failing):
        return Phase.ALARM if instances.ready else Phase.FAILED
    came = instances.ready + instances.loading + instances.leaving
    if not came and (now.refused or any(pod.unschedulable for pod in instances.unplaced)):
        return Phase.QUEUING
    if now.rolling:
        return Phase.UPGRADING if now.upgrading else Phase.UPDATING
    if instances.ready:
        return Phase.RUNNING
    return Phase.DEPLOYING if instances.loading else Phase.STARTING
