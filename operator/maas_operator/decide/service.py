"""What a ModelService needs now: is the spec acceptable, what is there, what should be, what is to be told."""

from datetime import datetime

from maas_operator.api.conditions import ConditionType, Phase
from maas_operator.api.decision import Decision, Event
from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.api.modelservice import State
from maas_operator.api.names import ANNOTATION_APPLIED_TEMPLATE, PORT
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.api.settings import Settings
from maas_operator.decide import conditions, status
from maas_operator.decide.acceptance import Plan, Refusal, accept
from maas_operator.decide.children import Children, decide_children, stop
from maas_operator.decide.instances import Instances, look
from maas_operator.decide.workload import desired_instances, selector

WORTH_TELLING = frozenset({Phase.QUEUING, Phase.ALARM, Phase.FAILED})
"""Phases whose beginning is told as a Warning."""


def decide_service(seen: ServiceSeen, settings: Settings, now: datetime) -> Decision:
    """Objects to hold, objects to remove, the status to show, what to tell."""
    instances = look(seen.pods)
    plan = accept(seen)
    if isinstance(plan, Refusal):
        return _refused(seen, plan, instances, now)
    children = decide_children(seen, plan, instances, settings)
    return _carried_out(seen, plan, instances, children, now)


def _refused(seen: ServiceSeen, refusal: Refusal, instances: Instances, now: datetime) -> Decision:
    stopped = seen.service["spec"].get("state") == State.STOPPED
    verdicts = status.refused(refusal, instances)
    desired = 0 if stopped else _earlier_desired(seen)
    phase = Phase.STOPPED if stopped else status.phase(verdicts, instances, max(1, desired), False, False, ())
    body = _status(seen, verdicts, phase, desired, instances, now)
    return Decision(
        status=body,
        before=_before(seen),
        remove=stop(seen) if stopped else (),
        events=_events(seen, phase, refusal.message),
    )


def _carried_out(seen: ServiceSeen, plan: Plan, instances: Instances, children: Children, now: datetime) -> Decision:
    desired = desired_instances(plan)
    rolling = _rolling(seen, instances, children)
    upgrading = rolling and any(
        pod.model_version not in {None, plan.version.name} for pod in seen.pods if pod.node is not None
    )
    verdicts = status.observed(seen, plan, instances, desired, rolling, children.held)
    phase = status.phase(verdicts, instances, desired, rolling, upgrading, children.obstacles)
    verdicts = conditions.after_failures(verdicts, children.obstacles)
    body = _status(seen, verdicts, phase, desired, instances, now)
    body["model"] = {"name": plan.spec.model.name, "version": plan.version.name}
    metadata = seen.service["metadata"]
    url = f"http://{metadata['name']}.{metadata['namespace']}.svc:{PORT}/v1"
    body["endpoints"] = [{"name": "cluster", "url": url}]
    return Decision(
        status=body,
        before=_before(seen),
        apply=children.apply,
        remove=children.remove,
        events=_events(seen, phase, verdicts[ConditionType.READY].message),
    )


def _rolling(seen: ServiceSeen, instances: Instances, children: Children) -> bool:
    """Whether pods of an earlier template are there, or a new template is on its way."""
    if not instances.placed:
        return False
    if instances.templates > 1:
        return True
    deployment = seen.children.get(("Deployment", seen.service["metadata"]["name"]))
    written = next((each.manifest for each in children.apply if each.manifest["kind"] == "Deployment"), None)
    if deployment is None or written is None:
        return False
    earlier = deployment["metadata"].get("annotations", {}).get(ANNOTATION_APPLIED_TEMPLATE)
    return bool(written["metadata"]["annotations"][ANNOTATION_APPLIED_TEMPLATE] != earlier)


def _status(
    seen: ServiceSeen, verdicts: conditions.Verdicts, phase: Phase, desired: int, instances: Instances, now: datetime
) -> Manifest:
    metadata = seen.service["metadata"]
    earlier = seen.service.get("status", {})
    generation = metadata.get("generation", 0)
    body: Manifest = {
        "observedGeneration": generation,
        "phase": str(phase),
        "serviceId": metadata["uid"],
        "instances": {
            "desired": desired,
            "ready": instances.ready,
            "summary": f"{instances.ready}/{desired}",
        },
        "replicas": instances.present,
        "selector": ",".join(f"{key}={value}" for key, value in selector(metadata["name"]).items()),
        "conditions": conditions.written(verdicts, _before(seen), generation, now),
    }
    kept = {key: earlier[key] for key in ("model", "endpoints") if key in earlier}
    return body | kept


def _before(seen: ServiceSeen) -> tuple[Manifest, ...]:
    return tuple(seen.service.get("status", {}).get("conditions", ()))


def _earlier_desired(seen: ServiceSeen) -> int:
    return int(seen.service.get("status", {}).get("instances", {}).get("desired", 0))


def _events(seen: ServiceSeen, phase: Phase, message: str) -> tuple[Event, ...]:
    """A Warning when a phase that someone should know of begins."""
    if phase not in WORTH_TELLING or seen.service.get("status", {}).get("phase") == phase:
        return ()
    return (Event("Warning", str(phase), f"{MODEL_SERVICE.kind} is {phase}: {message}"),)
