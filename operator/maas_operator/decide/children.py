"""Which of a service's children are written, and which stand in the way."""

import json
from dataclasses import dataclass

from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Apply, Remove
from maas_operator.api.names import ANNOTATION_APPLIED, ANNOTATION_APPLIED_TEMPLATE, ANNOTATION_TEMPLATE_INPUTS
from maas_operator.api.seen import Manifest, ServiceSeen, WriteFailure
from maas_operator.api.settings import Settings
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.drift import holds
from maas_operator.decide.instances import Instances
from maas_operator.decide.rollout import strategy
from maas_operator.decide.workload import desired_instances, digest, render, template_inputs


@dataclass(frozen=True)
class Children:
    """What to write, what to remove, what stands in the way, and whether pods hold to an earlier rendering."""

    apply: tuple[Apply, ...] = ()
    remove: tuple[Remove, ...] = ()
    obstacles: tuple[WriteFailure, ...] = ()
    held: bool = False
    """The pods run what an earlier version of the operator (or of the pool) rendered; this one would differ."""


def decide_children(seen: ServiceSeen, plan: Plan, instances: Instances, settings: Settings) -> Children:
    """Compare what the plan asks for with what stands there."""
    uid = seen.service["metadata"]["uid"]
    manifests = render(seen.service, plan, settings)
    deployment = manifests[-1]
    held = _settle_deployment(deployment, seen, plan, instances)
    writes, obstacles = [], []
    for manifest in manifests:
        _sign(manifest)
        live = seen.children.get((manifest["kind"], manifest["metadata"]["name"]))
        if live and not owned(live, uid):
            obstacles.append(_obstacle(live, seen.service))
        elif why := _reason_to_write(live, manifest):
            writes.append(Apply(manifest, live["metadata"]["uid"] if live else None, why))
    if obstacles:
        return Children(obstacles=tuple(obstacles), held=held)
    return Children(apply=tuple(writes), remove=_leftovers(seen, manifests), held=held)


def owned(live: Manifest, uid: str) -> bool:
    """Whether the object's controller is the service with this uid."""
    owners = live["metadata"].get("ownerReferences", [])
    return any(owner["uid"] == uid for owner in owners if owner.get("controller"))


def _settle_deployment(deployment: Manifest, seen: ServiceSeen, plan: Plan, instances: Instances) -> bool:
    """Give the rendered Deployment its replicas, its strategy and, while pods run that nobody asked to change, the
    template that they were started from. Returns whether that differs from what was rendered."""
    live = seen.children.get(("Deployment", deployment["metadata"]["name"]))
    inputs = template_inputs(seen.service, plan)
    rendered = deployment["spec"]["template"]
    kept = _kept_template(live, inputs) if instances.placed else None
    template = kept or rendered
    text = json.dumps(template, separators=(",", ":"))
    deployment["metadata"]["annotations"] = {ANNOTATION_TEMPLATE_INPUTS: inputs, ANNOTATION_APPLIED_TEMPLATE: text}
    deployment["spec"]["template"] = template
    deployment["spec"]["replicas"] = desired_instances(plan)
    changes = live is None or _annotation(live, ANNOTATION_APPLIED_TEMPLATE) != text
    deployment["spec"]["strategy"] = strategy(seen, plan, live, instances, changes)
    return template != rendered


def _kept_template(live: Manifest | None, inputs: str) -> Manifest | None:
    """The template that the running pods were started from, if the spec asks for no other."""
    if live is None or _annotation(live, ANNOTATION_TEMPLATE_INPUTS) != inputs:
        return None
    try:
        template = json.loads(_annotation(live, ANNOTATION_APPLIED_TEMPLATE))
    except ValueError:
        return None
    return template if isinstance(template, dict) else None


def _annotation(live: Manifest, name: str) -> str:
    return str(live["metadata"].get("annotations", {}).get(name, ""))


def _sign(manifest: Manifest) -> None:
    """Put the manifest's own digest on it: a field that we no longer render is noticed by it."""
    annotations = manifest["metadata"].setdefault("annotations", {})
    annotations[ANNOTATION_APPLIED] = digest(manifest)


def _reason_to_write(live: Manifest | None, manifest: Manifest) -> str | None:
    if live is None:
        return "created"
    if _annotation(live, ANNOTATION_APPLIED) != manifest["metadata"]["annotations"][ANNOTATION_APPLIED]:
        return "changed"
    return None if holds(live, manifest) else "drifted"


def _obstacle(live: Manifest, service: Manifest) -> WriteFailure:
    kind, metadata = live["kind"], live["metadata"]
    what = f"{kind} {metadata['namespace']}/{metadata['name']}"
    owner = next((each for each in metadata.get("ownerReferences", []) if each.get("controller")), None)
    if owner and owner["kind"] == service["kind"] and owner["name"] == service["metadata"]["name"]:
        message = f"{what} belongs to an earlier service of this name and is being removed"
        return WriteFailure(what, Reason.WAITING_FOR_REMOVAL, message)
    whose = f"{owner['kind']} {owner['name']}" if owner else "nobody that the cluster knows of"
    return WriteFailure(
        what,
        Reason.NOT_OURS,
        f"{what} is there already and belongs to {whose}: it is left alone; delete or rename it, or give the "
        "ModelService another name",
        retry=False,
    )


def _leftovers(seen: ServiceSeen, manifests: list[Manifest]) -> tuple[Remove, ...]:
    """ConfigMaps of earlier templates, once the rollout is over and no pod can need them any more."""
    uid, wanted = seen.service["metadata"]["uid"], {(each["kind"], each["metadata"]["name"]) for each in manifests}
    if any(pod.leaving for pod in seen.pods) or len({pod.template_hash for pod in seen.pods}) > 1:
        return ()
    deployment = seen.children.get(("Deployment", seen.service["metadata"]["name"]), {})
    template = json.dumps(deployment.get("spec", {}).get("template", {}))
    return tuple(
        Remove(kind, live["metadata"]["namespace"], name, live["metadata"]["uid"])
        for (kind, name), live in seen.children.items()
        if kind == "ConfigMap" and (kind, name) not in wanted and owned(live, uid) and f'"{name}"' not in template
    )


def stop(seen: ServiceSeen) -> tuple[Remove, ...]:
    """The removal of the Deployment, for a service whose spec cannot be carried out and that is to stop."""
    metadata = seen.service["metadata"]
    live = seen.children.get(("Deployment", metadata["name"]))
    if live is None or not owned(live, metadata["uid"]):
        return ()
    return (Remove("Deployment", metadata["namespace"], metadata["name"], live["metadata"]["uid"]),)
