"""A ModelService's conditions and phase, from what its pods say."""

from collections.abc import Sequence
from dataclasses import dataclass

from maas_operator.api.conditions import ConditionType, Phase, Reason, condition
from maas_operator.api.events import Happening
from maas_operator.api.modelservice import State
from maas_operator.api.names import ANNOTATION_RERENDER, REPLICA_FAILURE
from maas_operator.api.seen import PodSeen, ServiceSeen
from maas_operator.decide import contests
from maas_operator.decide.accelerators import Accelerator, missing
from maas_operator.decide.acceptance import Plan, Refusal
from maas_operator.decide.children import Children, outdated
from maas_operator.decide.conditions import Verdict, Verdicts, after_failures
from maas_operator.decide.fetching import weights_ready
from maas_operator.decide.hangs import Hang
from maas_operator.decide.instances import Instances, trouble
from maas_operator.decide.line import Turn
from maas_operator.decide.parallel import hosts
from maas_operator.decide.room import describe
from maas_operator.decide.sources import disk
from maas_operator.decide.standing import workloads

RELAPSES = 2
"""Failures of an instance of several hosts from which it is taken for failing until it answers, as the kubelet takes a
container that was restarted twice. After one it is loading again, and requests wait for it."""
AS_DESIRED = Verdict(True, Reason.AS_DESIRED, "the cluster holds what the spec asks for")
TROUBLES_TOLD = 3
"""Failing instances that a message speaks of."""


@dataclass(frozen=True, slots=True)
class Situation:
    """An accepted service: what is planned, what is there, what is being done about the difference."""

    seen: ServiceSeen
    plan: Plan
    turn: Turn
    instances: Instances
    children: Children
    hung: Hang | None

    @property
    def desired(self) -> int:
        """How many instances there should be."""
        return self.plan.desired

    @property
    def weights(self) -> Verdict | None:
        """Whether the weights are there, where they are fetched before instances start."""
        return weights_ready(
            self.seen, self.plan, self.instances, self.children.job, self.children.held and not self.children.awaits
        )

    @property
    def rolling(self) -> bool:
        """Whether instances are being replaced: from the change of the template until the last new one answers."""
        if not self.desired:
            return False
        if self.instances.placed and (self.children.changing or outdated(self.instances, self.children.template)):
            return True
        return self._earlier(ConditionType.UPDATED) == Reason.ROLLING and self.instances.ready < self.desired

    @property
    def stuck(self) -> bool:
        """Whether a change has stopped because what it brings fails, while instances of before answer."""
        new = [pod for pod in self.instances.failing if pod.template == self.children.template]
        return self.rolling and bool(new and self.instances.ready)

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
        conditions = (each for live in workloads(self.seen) for each in live.get("status", {}).get("conditions", ()))
        told = (each["message"] for each in conditions if each["type"] == REPLICA_FAILURE)
        return next(told, self.seen.refused)

    @property
    def again(self) -> str | None:
        """What an instance of several hosts has failed of more than once, while all of its hosts are made anew for it:
        they have no restarts to tell by, and until it answers it has not got on. None: none has, or what is amiss is
        another thing now."""
        instances, status = self.instances, self.seen.service.get("status", {})
        if hosts(self.plan.flavor) == 1 or instances.failing or instances.unplaced or instances.ready >= self.desired:
            return None
        same = status.get("observedGeneration") == self.seen.service["metadata"].get("generation", 0)
        if not same or self._earlier(ConditionType.READY) != Reason.INSTANCE_FAILING or self._failures() < RELAPSES:
            return None
        words = str(condition(status, ConditionType.READY)["message"]).partition("; ")[2]
        return words if f"instance {self.children.workload}-" in words else None

    def _failures(self) -> int:
        """How often the service has been seen to fail since all of it ran."""
        failures = 0
        for event in reversed(self.seen.service.get("status", {}).get("events", ())):
            if event["reason"] in {Phase.RUNNING, Happening.UPDATED, Happening.UPGRADED}:
                break
            failures += event["reason"] in {Phase.FAILED, Phase.ALARM}
        return failures

    def _earlier(self, kind: ConditionType) -> str | None:
        """The reason that the condition had."""
        return condition(self.seen.service.get("status", {}), kind).get("reason")


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
        ConditionType.ACCEPTED: _accepted(now.plan),
        ConditionType.RECONCILED: contests.verdict(now.seen) or AS_DESIRED,
        ConditionType.SCHEDULED: scheduled,
        ConditionType.AVAILABLE: _available(now.instances, ready.reason),
        ConditionType.UPDATED: _updated(now),
        ConditionType.READY: ready,
    }
    if now.weights:
        verdicts[ConditionType.WEIGHTS_READY] = now.weights
    if not ready.status:
        failing = ready.reason in {Reason.INSTANCE_FAILING, Reason.FETCH_FAILING}
        stalled = failing and (not now.instances.loading or bool(now.again))
        kind = ConditionType.STALLED if stalled else ConditionType.RECONCILING
        verdicts[kind] = Verdict(True, ready.reason, ready.message)
    return after_failures(verdicts, now.children.obstacles)


def _accepted(plan: Plan) -> Verdict:
    chosen = f"version {plan.version.name}, flavor {plan.flavor.name}"
    if plan.unfit is None:
        return Verdict(True, Reason.ACCEPTED, chosen)
    return Verdict(True, Reason.FLAVOR_UNFIT, f"{chosen}: deployed before, and left as it is; but {plan.unfit}")


def _scheduled(now: Situation) -> Verdict:
    instances, desired = now.instances, now.desired
    unmade = desired - len(instances.staying)
    if now.turn.moves_later:
        message = f"what runs goes on until the service can be moved; {_why_held(now.turn)}"
        return Verdict(False, _reason_held(now.turn), message)
    if desired and not instances.unplaced and unmade <= 0 and now.seen.refused:
        message = f"hosts of an instance cannot be made: {now.seen.refused}"
        return Verdict(False, Reason.INSTANCES_REFUSED, message)
    if not desired or (not instances.unplaced and unmade <= 0):
        return Verdict(True, Reason.ALL_SCHEDULED, "every instance has a node")
    if not instances.unplaced and now.refused:
        message = f"{unmade} of {desired} instances cannot be made: {now.refused}"
        return Verdict(False, Reason.INSTANCES_REFUSED, message)
    if not instances.unplaced and now.turn.held_back:
        return Verdict(False, _reason_held(now.turn), f"{_count(unmade)} waiting: {_why_held(now.turn)}")
    if not instances.unplaced and not now.turn.no_place:
        return Verdict(False, Reason.PLACING, f"{unmade} of {desired} instances to be made")
    waiting = _count(len(instances.unplaced) or unmade)
    words = next((pod.unschedulable for pod in instances.unplaced if pod.unschedulable), None)
    if instances.unplaced and words is None:
        return Verdict(False, Reason.PLACING, f"{waiting} being placed")
    room = describe(now.plan.pool, now.plan.flavor, now.seen.nodes, disk(now.plan))
    message = f"{waiting} waiting for room in pool {now.plan.spec.resource_pool}: {room}"
    message += f" (scheduler: {words})" if words else ""
    if now.turn.hopeless:
        message += "; its nodes could not hold that even if they were empty: others do not wait for it"
    elif why := _why_held(now.turn):
        message += f"; {why}"
    return Verdict(False, Reason.NO_ROOM, message)


def _why_held(turn: Turn) -> str:
    """Its place in line, and the quota that it has reached."""
    return "; ".join(words for words in (turn.in_line, turn.quota) if words)


def _reason_held(turn: Turn) -> Reason:
    return Reason.QUOTA_REACHED if turn.quota and not turn.behind else Reason.IN_LINE


def _count(instances: int) -> str:
    return f"{instances} instance{'' if instances == 1 else 's'}"


def _available(instances: Instances, otherwise: Reason) -> Verdict:
    if instances.ready:
        return Verdict(True, Reason.INSTANCES_READY, f"{instances.ready} ready")
    return Verdict(False, Reason.INSTANCE_FAILING if instances.failing else otherwise, "no instance answers")


def _updated(now: Situation) -> Verdict:
    if now.children.awaits and now.instances.staying:
        return Verdict(False, Reason.FETCHING, "the change waits for its weights")
    if now.rolling:
        return Verdict(False, Reason.ROLLING, "instances are being replaced")
    if now.turn.moves_later:
        return Verdict(False, _reason_held(now.turn), "the instances run what was asked for before")
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
    if now.plan.asleep:
        reason, asked = Reason.ASLEEP, "asleep: a request wakes it"
    elif now.plan.stopped_by_itself:
        reason, asked = Reason.AUTO_STOPPED, now.plan.stopped_by_itself
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
    if instances.failing or now.again:
        reason = Reason.NODE_NOT_READY if instances.failing and instances.cut_off else Reason.INSTANCE_FAILING
        return Verdict(False, reason, f"{count}; {now.again or _failing(now)}")
    if now.hung:
        room = "" if scheduled.status else f"; {scheduled.message}"
        return Verdict(False, Reason.SUSPECTED_SUSPENSION, f"{count}; {now.hung.message}{room}")
    if now.children.awaits and now.weights:
        if now.turn.no_place and now.weights.reason == Reason.FETCHING:
            return Verdict(False, scheduled.reason, f"{count}; {scheduled.message}; meanwhile: {now.weights.message}")
        return Verdict(False, now.weights.reason, f"{count}; {now.weights.message}")
    ended = [pod for pod in instances.ended if pod.template == now.children.template]
    if ended and instances.ready < desired:
        count = f"{count}; {_troubles(ended, now.plan.accelerator)}"
    if not scheduled.status and now.children.waits:
        message = f"{scheduled.message}; the instances of before go on answering until there is room: "
        return Verdict(False, scheduled.reason, f"{count}; {message}{now.children.waits}")
    if not scheduled.status:
        return Verdict(False, scheduled.reason, f"{count}; {scheduled.message}")
    if now.rolling and now.refused:
        return Verdict(False, Reason.INSTANCES_REFUSED, f"{count}; no new instance can be made: {now.refused}")
    if now.rolling:
        return Verdict(False, Reason.ROLLING, f"{count}; instances are being replaced")
    if instances.loading and now.weights and not now.weights.status:
        return Verdict(False, now.weights.reason, f"{count}; {now.weights.message}")
    if instances.loading:
        return Verdict(False, Reason.LOADING, f"{count}; loading the model")
    if len(instances.staying) > desired:
        return Verdict(False, Reason.REMOVING, f"{_count(len(instances.staying) - desired)} more than asked for")
    return Verdict(True, Reason.INSTANCES_READY, count)


def _failing(now: Situation) -> str:
    told = _troubles(now.instances.failing, now.plan.accelerator)
    return f"the change goes no further: {told}" if now.stuck else told


def _troubles(pods: Sequence[PodSeen], accelerator: Accelerator) -> str:
    """What is wrong with the first of them and, where it is something that a node lacks, what to do."""
    return "; ".join(trouble(pod) + _to_do(pod, accelerator) for pod in pods[:TROUBLES_TOLD])


def _to_do(pod: PodSeen, accelerator: Accelerator) -> str:
    if pod.failure is None or not pod.failure.node:
        return ""
    what = missing(accelerator, pod.failure.message)
    return f"; on {pod.failure.node}, {what}" if what else ""


def refused_phase(verdicts: Verdicts) -> Phase:
    """M12's word for a service whose spec cannot be carried out."""
    if ConditionType.RECONCILING in verdicts:
        return Phase.STARTING
    return Phase.ALARM if verdicts[ConditionType.AVAILABLE].status else Phase.FAILED


def phase(verdicts: Verdicts, now: Situation) -> Phase:
    """M12's word for the conditions: that of the instance that has come furthest."""
    instances = now.instances
    if not now.desired and not now.plan.asleep:
        return Phase.STOPPED
    failing = instances.failing and not now.plan.asleep and (instances.ready or not instances.loading)
    if ConditionType.STALLED in verdicts or failing:
        return Phase.ALARM if instances.ready else Phase.FAILED
    if now.plan.asleep:
        return Phase.RUNNING
    if now.hung:
        return Phase.ALARM
    came = instances.ready + instances.loading + instances.leaving
    held = now.turn.no_place if now.children.awaits else now.turn.held_back
    if not came and (now.refused or held or any(pod.unschedulable for pod in instances.unplaced)):
        return Phase.QUEUING
    if now.children.awaits and instances.ready:
        other = any(pod.model_version != now.plan.version.name for pod in instances.staying)
        return Phase.UPGRADING if other else Phase.UPDATING
    if now.children.awaits:
        return Phase.DEPLOYING
    if now.rolling:
        return Phase.UPGRADING if now.upgrading else Phase.UPDATING
    if instances.ready:
        return Phase.RUNNING
    return Phase.DEPLOYING if instances.loading else Phase.STARTING
