"""A ModelService's conditions and phase, from what its pods say."""

from collections.abc import Sequence

from maas_operator.api.conditions import ConditionType, Phase, Reason
from maas_operator.api.names import ANNOTATION_RERENDER
from maas_operator.api.seen import ServiceSeen, WriteFailure
from maas_operator.decide.acceptance import Plan, Refusal
from maas_operator.decide.conditions import Verdict, Verdicts, after_failures
from maas_operator.decide.instances import Instances, trouble
from maas_operator.decide.room import describe

TROUBLES_TOLD = 3
"""Failing instances that a message speaks of."""


def refused(refusal: Refusal, instances: Instances) -> Verdicts:
    """The conditions of a service whose spec cannot be carried out. What runs goes on running."""
    verdict = Verdict(False, refusal.reason, refusal.message)
    return {
        ConditionType.ACCEPTED: verdict,
        ConditionType.AVAILABLE: _available(instances, Reason.NOT_ACCEPTED),
        ConditionType.READY: verdict,
        ConditionType.STALLED: Verdict(True, refusal.reason, refusal.message),
    }


def observed(seen: ServiceSeen, plan: Plan, instances: Instances, desired: int, rolling: bool, held: bool) -> Verdicts:
    """The conditions of a service that is being carried out."""
    scheduled = _scheduled(seen, plan, instances, desired)
    verdicts = {
        ConditionType.ACCEPTED: Verdict(
            True, Reason.ACCEPTED, f"version {plan.version.name}, flavor {plan.flavor.name}"
        ),
        ConditionType.RECONCILED: Verdict(True, Reason.AS_DESIRED, "the cluster holds what the spec asks for"),
        ConditionType.SCHEDULED: scheduled,
        ConditionType.AVAILABLE: _available(instances, Reason.LOADING),
        ConditionType.UPDATED: _updated(instances, rolling, held),
    }
    if desired == 0:
        return verdicts | _stopped(plan, instances)
    ready = _ready(instances, desired, rolling, scheduled)
    verdicts[ConditionType.READY] = ready
    if not ready.status:
        stalled = ready.reason == Reason.INSTANCE_FAILING and not instances.loading
        verdicts[ConditionType.STALLED if stalled else ConditionType.RECONCILING] = Verdict(
            True, ready.reason, ready.message
        )
    return verdicts


def _scheduled(seen: ServiceSeen, plan: Plan, instances: Instances, desired: int) -> Verdict:
    if not instances.unplaced and instances.placed < desired:
        return Verdict(False, Reason.PLACING, f"{desired - instances.placed} of {desired} instances to be made")
    if not instances.unplaced:
        return Verdict(True, Reason.ALL_SCHEDULED, "every instance has a node")
    waiting = f"{len(instances.unplaced)} instance{'s' if len(instances.unplaced) > 1 else ''}"
    words = next((pod.unschedulable for pod in instances.unplaced if pod.unschedulable), None)
    if words is None:
        return Verdict(False, Reason.PLACING, f"{waiting} being placed")
    room = describe(plan.pool, plan.flavor, seen.nodes)
    message = f"{waiting} waiting for room in pool {plan.spec.resource_pool}: {room} (scheduler: {words})"
    return Verdict(False, Reason.NO_ROOM, message)


def _available(instances: Instances, otherwise: Reason) -> Verdict:
    if instances.ready:
        return Verdict(True, Reason.INSTANCES_READY, f"{instances.ready} ready")
    return Verdict(False, Reason.INSTANCE_FAILING if instances.failing else otherwise, "no instance answers")


def _updated(instances: Instances, rolling: bool, held: bool) -> Verdict:
    if rolling:
        return Verdict(False, Reason.ROLLING, "instances are being replaced")
    if held:
        return Verdict(
            False,
            Reason.RENDERED_BY_EARLIER_VERSION,
            "the instances run what an earlier version of the operator, its settings or the pool asked for; the "
            f"service's next change brings the new, or at once: annotate it with {ANNOTATION_RERENDER}=<any new value>",
        )
    return Verdict(True, Reason.UP_TO_DATE, "every instance runs what the spec asks for")


def _stopped(plan: Plan, instances: Instances) -> Verdicts:
    reason = Reason.STOPPED if plan.spec.state else Reason.SCALED_TO_ZERO
    asked = "spec.state is Stopped" if plan.spec.state else "spec.instances is 0"
    verdicts = {ConditionType.AVAILABLE: Verdict(False, reason, asked)}
    if instances.present:
        message = f"{asked}; {instances.present} still finishing what they have"
        leaving = Verdict(True, reason, message)
        return verdicts | {ConditionType.READY: Verdict(False, reason, message), ConditionType.RECONCILING: leaving}
    return verdicts | {ConditionType.READY: Verdict(True, reason, asked)}


def _ready(instances: Instances, desired: int, rolling: bool, scheduled: Verdict) -> Verdict:
    """The first thing that is amiss, the worst first."""
    count = f"{instances.ready} of {desired} ready"
    if instances.failing:
        told = "; ".join(trouble(pod) for pod in instances.failing[:TROUBLES_TOLD])
        return Verdict(False, Reason.INSTANCE_FAILING, f"{count}; {told}")
    if not scheduled.status:
        return Verdict(False, scheduled.reason, f"{count}; {scheduled.message}")
    if rolling:
        return Verdict(False, Reason.ROLLING, f"{count}; instances are being replaced")
    if instances.ready < desired:
        return Verdict(False, Reason.LOADING, f"{count}; loading the model")
    return Verdict(True, Reason.INSTANCES_READY, count)


def phase(
    verdicts: Verdicts,
    instances: Instances,
    desired: int,
    rolling: bool,
    upgrading: bool,
    failures: Sequence[WriteFailure],
) -> Phase:
    """M12's word for the conditions."""
    verdicts = after_failures(verdicts, failures)
    if desired == 0:
        return Phase.STOPPED
    stalled = ConditionType.STALLED in verdicts
    if instances.ready:
        if stalled or instances.failing:
            return Phase.ALARM
        return (Phase.UPGRADING if upgrading else Phase.UPDATING) if rolling else Phase.RUNNING
    if stalled or instances.failing:
        return Phase.FAILED
    if rolling:
        return Phase.UPGRADING if upgrading else Phase.UPDATING
    if any(pod.unschedulable for pod in instances.unplaced):
        return Phase.QUEUING
    return Phase.DEPLOYING if instances.loading else Phase.STARTING
