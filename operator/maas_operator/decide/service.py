"""What a ModelService needs now: is the spec acceptable, what is there, what should be, what is to be told."""

from dataclasses import replace
from datetime import datetime

from maas_operator.api.conditions import ConditionType, Phase, Reason, condition
from maas_operator.api.decision import Decision, Event
from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.api.names import PORT
from maas_operator.api.seen import Manifest, ScalingMemory, ServiceSeen
from maas_operator.api.settings import Settings
from maas_operator.decide import conditions, contests
from maas_operator.decide.acceptance import Plan, Refusal, accept, asks_for_none
from maas_operator.decide.autostop import AutoStop, auto_stop
from maas_operator.decide.beforehand import written_first
from maas_operator.decide.children import awaited, decide_children, stop
from maas_operator.decide.conditions import Verdicts
from maas_operator.decide.hangs import hang
from maas_operator.decide.identity import routed, selector
from maas_operator.decide.idle import Traffic, traffic
from maas_operator.decide.instances import Instances, look
from maas_operator.decide.line import left_line, take_turn
from maas_operator.decide.marks import marks
from maas_operator.decide.notified import notified
from maas_operator.decide.scaling import Scaled, scale
from maas_operator.decide.sources import refused as refused_source
from maas_operator.decide.status import Situation, observed, phase, refused, refused_phase
from maas_operator.decide.stranded import stranded

EARLY_SECONDS = 10.0
"""Age of a service up to which something that it names and that is not there is waited for, not complained of."""
NOT_FOUND = frozenset({Reason.MODEL_NOT_FOUND, Reason.POOL_NOT_FOUND, Reason.PRIORITY_CLASS_NOT_FOUND})
WORTH_TELLING = frozenset({Phase.QUEUING, Phase.ALARM, Phase.FAILED})
"""Phases whose beginning is told as a Warning."""


def decide_service(seen: ServiceSeen, settings: Settings, now: datetime) -> Decision:
    """Objects to hold, objects to remove, the status to show, what to tell."""
    if "deletionTimestamp" in seen.service["metadata"]:
        return Decision(status=_earlier(seen), before=_before(seen))
    decision = _decided(contests.recent(seen, now), settings, now)
    return replace(decision, written_first=written_first(_earlier(seen), decision.status))


def _decided(seen: ServiceSeen, settings: Settings, now: datetime) -> Decision:
    instances = look(seen.pods, seen.nodes)
    known = traffic(seen, instances, now)
    timed = auto_stop(seen.service, instances.ready > 0, known.idle, now)
    plan = accept(seen)
    if isinstance(plan, Plan):
        plan = refused_source(seen, plan, settings.sources) or plan
    if isinstance(plan, Refusal):
        return _timed(_refused(seen, plan, instances, timed.stopped, now), timed)
    plan = replace(plan, stopped_by_itself=timed.why_stopped)
    scaled = None
    if plan.spec.scaling and not plan.stopped:
        scaled = scale(seen, plan.spec.scaling, known, instances, bool(settings.gateways), now)
        plan = replace(plan, scaled=scaled.desired)
    turn = take_turn(seen, plan, instances, now, awaited(seen, plan, instances, settings))
    plan = replace(plan, granted=turn.replicas)
    children = decide_children(seen, plan, instances, settings, changes_later=turn.moves_later)
    hung = None if children.obstacles else hang(seen, instances, plan.desired, settings.hang_seconds)
    decision = _carried_out(Situation(seen, plan, turn, instances, children, hung), now)
    return _timed(_scaled(decision, scaled, known), timed)


def _scaled(decision: Decision, scaled: Scaled | None, known: Traffic) -> Decision:
    """The decision, with what scaling has to say; and what the next one has to know of the traffic."""
    if scaled is None:
        return replace(decision, scaling_memory=ScalingMemory(busy_at=known.busy_at) if known.busy_at else None)
    return replace(
        decision,
        status=decision.status | {"scaling": scaled.status},
        events=(*decision.events, *([scaled.event] if scaled.event else [])),
        look_again=_sooner(decision.look_again, scaled.look_again),
        scaling_memory=scaled.memory,
    )


def _timed(decision: Decision, timed: AutoStop) -> Decision:
    """The decision, with what auto-stop has to say."""
    return replace(
        decision,
        status=decision.status | ({"autoStop": timed.status} if timed.status else {}),
        events=(*decision.events, *([Event("Normal", "StopsSoon", timed.warning)] if timed.warning else [])),
        look_again=_sooner(decision.look_again, timed.look_again),
    )


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _refused(
    seen: ServiceSeen, refusal: Refusal, instances: Instances, stopped_by_itself: bool, now: datetime
) -> Decision:
    none = stopped_by_itself or asks_for_none(seen.service)
    early = _early(seen, refusal, now)
    verdicts = refused(refusal, instances, early > 0)
    word = Phase.STOPPED if none else refused_phase(verdicts)
    desired = 0 if none else int(_earlier(seen).get("instances", {}).get("desired", 0))
    keeps = {"model", "endpoints"} | (set() if none else {"scaling"})
    kept = {key: value for key, value in _earlier(seen).items() if key in keeps}
    kept |= {} if none else left_line(seen)
    return Decision(
        status=_status(seen, verdicts, word, desired, instances, now) | kept,
        before=_before(seen),
        remove=stop(seen) if none else (),
        events=_events(seen, word, verdicts),
        look_again=early or None,
        scaling_memory=seen.scaling_memory,
    )


def _early(seen: ServiceSeen, refusal: Refusal, now: datetime) -> float:
    """Seconds for which what a new service names may still come: one `kubectl apply` brings both, in any order."""
    created = seen.service["metadata"].get("creationTimestamp")
    if created is None or refusal.reason not in NOT_FOUND:
        return 0.0
    return max(0.0, EARLY_SECONDS - (now - datetime.fromisoformat(created)).total_seconds())


def _carried_out(situation: Situation, now: datetime) -> Decision:
    seen, plan, children, hung = situation.seen, situation.plan, situation.children, situation.hung
    verdicts = observed(situation)
    word = phase(verdicts, situation)
    metadata = seen.service["metadata"]
    url = f"http://{metadata['name']}.{metadata['namespace']}.svc:{PORT}/v1"
    more = {
        "model": {"name": plan.spec.model.name, "version": plan.version.name},
        "endpoints": [{"name": "cluster", "url": url}],
        **({"suspension": hung.status} if hung else {}),
        **({"queue": situation.turn.queue} if situation.turn.queue else {}),
    }
    return Decision(
        status=_status(seen, verdicts, word, plan.desired, situation.instances, now) | more,
        before=_before(seen),
        marks=marks(seen, plan, situation.instances),
        apply=children.apply,
        remove=(*children.remove, *(hung.remove if hung else ()), *stranded(seen)),
        events=(*(hung.events if hung else ()), *_events(seen, word, verdicts)),
        look_again=contests.look_again(seen, now),
    )


def _status(
    seen: ServiceSeen, verdicts: Verdicts, word: Phase, desired: int, instances: Instances, now: datetime
) -> Manifest:
    metadata = seen.service["metadata"]
    generation = metadata.get("generation", 0)
    found_by = (selector if all(pod.leads for pod in seen.pods) else routed)(metadata["name"])
    return {
        "observedGeneration": generation,
        "phase": str(word),
        "serviceId": metadata["uid"],
        "instances": {
            "desired": desired,
            "ready": instances.ready,
            "summary": f"{instances.ready}/{desired}",
        },
        "replicas": len(instances.staying),
        "selector": ",".join(f"{key}={value}" for key, value in found_by.items()),
        "conditions": conditions.written(verdicts | notified(seen), _before(seen), generation, now),
    }


def _earlier(seen: ServiceSeen) -> Manifest:
    status: Manifest = seen.service.get("status", {})
    return status


def _before(seen: ServiceSeen) -> tuple[Manifest, ...]:
    return tuple(_earlier(seen).get("conditions", ()))


def _events(seen: ServiceSeen, word: Phase, verdicts: Verdicts) -> tuple[Event, ...]:
    """A Warning when something that someone should know of begins."""
    ready = verdicts[ConditionType.READY]
    earlier = condition(_earlier(seen), ConditionType.READY).get("reason")
    if word not in WORTH_TELLING or (_earlier(seen).get("phase"), earlier) == (word, ready.reason):
        return ()
    return (Event("Warning", str(word), f"{MODEL_SERVICE.kind} is {word}: {ready.message}"),)
