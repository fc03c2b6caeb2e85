"""What a ModelService needs now: is the spec acceptable, what is there, what should be, what is to be told."""

from dataclasses import replace
from datetime import datetime

from maas_operator.api.conditions import ConditionType, Phase, Reason
from maas_operator.api.decision import Decision, Event
from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.api.names import PORT
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.api.settings import Settings
from maas_operator.decide import conditions
from maas_operator.decide.acceptance import Refusal, accept, asks_for_none
from maas_operator.decide.autostop import AutoStop, auto_stop
from maas_operator.decide.children import decide_children, stop
from maas_operator.decide.conditions import Verdicts
from maas_operator.decide.identity import selector
from maas_operator.decide.instances import Instances, look
from maas_operator.decide.status import Situation, observed, phase, refused, refused_phase

EARLY_SECONDS = 10.0
"""Age of a service up to which something that it names and that is not there is waited for, not complained of."""
NOT_FOUND = frozenset({Reason.MODEL_NOT_FOUND, Reason.POOL_NOT_FOUND})
WORTH_TELLING = frozenset({Phase.QUEUING, Phase.ALARM, Phase.FAILED})
"""Phases whose beginning is told as a Warning."""


def decide_service(seen: ServiceSeen, settings: Settings, now: datetime) -> Decision:
    """Objects to hold, objects to remove, the status to show, what to tell."""
    if "deletionTimestamp" in seen.service["metadata"]:
        return Decision(status=_earlier(seen), before=_before(seen))
    instances = look(seen.pods)
    timed = auto_stop(seen.service, instances.ready > 0, now)
    plan = accept(seen)
    if isinstance(plan, Refusal):
        return _timed(_refused(seen, plan, instances, timed.stopped, now), timed)
    plan = replace(plan, stopped_by_itself=timed.stopped)
    children = decide_children(seen, plan, instances, settings)
    return _timed(_carried_out(Situation(seen, plan, instances, children), now), timed)


def _timed(decision: Decision, timed: AutoStop) -> Decision:
    """The decision, with what auto-stop has to say."""
    looks = [each for each in (decision.look_again, timed.look_again) if each is not None]
    return replace(
        decision,
        status=decision.status | ({"autoStop": timed.status} if timed.status else {}),
        events=(*decision.events, *([Event("Normal", "StopsSoon", timed.warning)] if timed.warning else [])),
        look_again=min(looks, default=None),
    )


def _refused(
    seen: ServiceSeen, refusal: Refusal, instances: Instances, stopped_by_itself: bool, now: datetime
) -> Decision:
    none = stopped_by_itself or asks_for_none(seen.service)
    early = _early(seen, refusal, now)
    verdicts = refused(refusal, instances, early > 0)
    word = Phase.STOPPED if none else refused_phase(verdicts)
    desired = 0 if none else int(_earlier(seen).get("instances", {}).get("desired", 0))
    kept = {key: value for key, value in _earlier(seen).items() if key in {"model", "endpoints"}}
    return Decision(
        status=_status(seen, verdicts, word, desired, instances, now) | kept,
        before=_before(seen),
        remove=stop(seen) if none else (),
        events=_events(seen, word, verdicts),
        look_again=early or None,
    )


def _early(seen: ServiceSeen, refusal: Refusal, now: datetime) -> float:
    """Seconds for which what a new service names may still come: one `kubectl apply` brings both, in any order."""
    created = seen.service["metadata"].get("creationTimestamp")
    if created is None or refusal.reason not in NOT_FOUND:
        return 0.0
    return max(0.0, EARLY_SECONDS - (now - datetime.fromisoformat(created)).total_seconds())


def _carried_out(situation: Situation, now: datetime) -> Decision:
    seen, plan, children = situation.seen, situation.plan, situation.children
    verdicts = observed(situation)
    word = phase(verdicts, situation)
    metadata = seen.service["metadata"]
    url = f"http://{metadata['name']}.{metadata['namespace']}.svc:{PORT}/v1"
    more = {
        "model": {"name": plan.spec.model.name, "version": plan.version.name},
        "endpoints": [{"name": "cluster", "url": url}],
    }
    return Decision(
        status=_status(seen, verdicts, word, plan.desired, situation.instances, now) | more,
        before=_before(seen),
        apply=children.apply,
        remove=children.remove,
        events=_events(seen, word, verdicts),
    )


def _status(
    seen: ServiceSeen, verdicts: Verdicts, word: Phase, desired: int, instances: Instances, now: datetime
) -> Manifest:
    metadata = seen.service["metadata"]
    generation = metadata.get("generation", 0)
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
        "selector": ",".join(f"{key}={value}" for key, value in selector(metadata["name"]).items()),
        "conditions": conditions.written(verdicts, _before(seen), generation, now),
    }


def _earlier(seen: ServiceSeen) -> Manifest:
    status: Manifest = seen.service.get("status", {})
    return status


def _before(seen: ServiceSeen) -> tuple[Manifest, ...]:
    return tuple(_earlier(seen).get("conditions", ()))


def _events(seen: ServiceSeen, word: Phase, verdicts: Verdicts) -> tuple[Event, ...]:
    """A Warning when something that someone should know of begins."""
    ready = verdicts[ConditionType.READY]
    earlier = next((each.get("reason") for each in _before(seen) if each.get("type") == ConditionType.READY), None)
    if word not in WORTH_TELLING or (_earlier(seen).get("phase"), earlier) == (word, ready.reason):
        return ()
    return (Event("Warning", str(word), f"{MODEL_SERVICE.kind} is {word}: {ready.message}"),)
