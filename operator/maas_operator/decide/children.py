"""Which of a service's children are written, and which stand in the way."""

import json
from dataclasses import dataclass

from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Apply, Remove
from maas_operator.api.names import (
    ANNOTATION_APPLIED,
    ANNOTATION_APPLIED_TEMPLATE,
    ANNOTATION_TEMPLATE_INPUTS,
    LABEL_TEMPLATE,
)
from maas_operator.api.seen import Manifest, ServiceSeen, WriteFailure
from maas_operator.api.settings import Settings
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.drift import holds
from maas_operator.decide.identity import controller, owned
from maas_operator.decide.instances import Instances
from maas_operator.decide.rollout import strategy
from maas_operator.decide.workload import render, sign, template_digest, template_inputs

MAX_TEMPLATE = 250_000
"""Characters of a pod template: the Deployment carries it as an annotation too, and all of an object's annotations
together may have 256 KiB."""


@dataclass(frozen=True, slots=True)
class Children:
    """What to write, what to remove, what stands in the way, and which template the instances should have."""

    apply: tuple[Apply, ...]
    remove: tuple[Remove, ...]
    obstacles: tuple[WriteFailure, ...]
    template: str
    """Its digest, as the pods are labelled with it."""
    changing: bool
    """The Deployment that stands there has another template, and is written anew."""
    held: bool
    """The template is one that an earlier version of the operator, its settings or the pool asked for."""


def decide_children(seen: ServiceSeen, plan: Plan, instances: Instances, settings: Settings) -> Children:
    """Compare what the plan asks for with what stands there."""
    rendered = render(seen.service, plan, settings)
    live = _live(seen, rendered.deployment)
    inputs = template_inputs(seen.service, plan)
    text = _template(rendered.template, live, inputs, instances)
    changing = live is not None and _annotation(live, ANNOTATION_APPLIED_TEMPLATE) != text
    deployment, template = rendered.deployment, json.loads(text)
    deployment["metadata"]["annotations"] = {ANNOTATION_TEMPLATE_INPUTS: inputs, ANNOTATION_APPLIED_TEMPLATE: text}
    deployment["spec"]["replicas"] = plan.desired
    deployment["spec"]["strategy"] = strategy(seen, plan, live, instances, changing)
    sign(deployment)
    deployment["spec"]["template"] = template

    writes, obstacles = [], [*_too_large(deployment, text)]
    for manifest in [*rendered.others, deployment]:
        there = _live(seen, manifest)
        if there is not None and not owned(there, seen.service["metadata"]["uid"]):
            obstacles.append(_obstacle(there, seen.service))
        elif why := _reason_to_write(there, manifest):
            writes.append(Apply(manifest, there["metadata"]["uid"] if there else None, why))
    if obstacles:
        writes = [each for each in writes if each.manifest is deployment and each.uid and plan.desired == 0]
    wanted = {each["metadata"]["name"] for each in rendered.others}
    return Children(
        apply=tuple(writes),
        remove=() if obstacles else _leftovers(seen, instances, wanted, template),
        obstacles=tuple(obstacles),
        template=template["metadata"]["labels"][LABEL_TEMPLATE],
        changing=changing,
        held=text != rendered.template,
    )


def _live(seen: ServiceSeen, manifest: Manifest) -> Manifest | None:
    return seen.children.get((manifest["kind"], manifest["metadata"]["name"]))


def _annotation(live: Manifest, name: str) -> str:
    return str(live["metadata"].get("annotations", {}).get(name, ""))


def _template(rendered: str, live: Manifest | None, inputs: str, instances: Instances) -> str:
    """The pod template, as JSON: while instances work that nobody asked to change, the one they were made from."""
    if live is None or not instances.working or _annotation(live, ANNOTATION_TEMPLATE_INPUTS) != inputs:
        return rendered
    applied = _annotation(live, ANNOTATION_APPLIED_TEMPLATE)
    return applied if applied == rendered or _genuine(applied) else rendered


def _genuine(text: str) -> bool:
    """Whether this is a template as the operator wrote it: its label then is its digest."""
    try:
        template = json.loads(text)
        return bool(template["metadata"]["labels"][LABEL_TEMPLATE] == template_digest(template))
    except (ValueError, TypeError, LookupError, AttributeError):
        return False


def _reason_to_write(live: Manifest | None, manifest: Manifest) -> str | None:
    if live is None:
        return "created"
    if _annotation(live, ANNOTATION_APPLIED) != manifest["metadata"]["annotations"][ANNOTATION_APPLIED]:
        return "changed"
    return None if holds(live, manifest) else "drifted"


def _too_large(deployment: Manifest, template: str) -> list[WriteFailure]:
    if len(template) <= MAX_TEMPLATE:
        return []
    what = f"Deployment {deployment['metadata']['namespace']}/{deployment['metadata']['name']}"
    message = (
        f"{what} would have a pod template of {len(template)} characters, and can have {MAX_TEMPLATE}: shorten args "
        "and env in spec.engine and in the Model's version"
    )
    return [WriteFailure(what, Reason.REFUSED, message, retry=False)]


def _obstacle(live: Manifest, service: Manifest) -> WriteFailure:
    kind, metadata = live["kind"], live["metadata"]
    what = f"{kind} {metadata['namespace']}/{metadata['name']}"
    by = controller(live)
    if by and by["kind"] == service["kind"] and by["name"] == service["metadata"]["name"]:
        message = f"{what} belongs to an earlier service of this name and is being removed"
        return WriteFailure(what, Reason.WAITING_FOR_REMOVAL, message)
    whose = f"{by['kind']} {by['name']}" if by else "nobody that the cluster knows of"
    return WriteFailure(
        what,
        Reason.NOT_OURS,
        f"{what} is there already and belongs to {whose}: it is left alone; delete or rename it, or give the "
        "ModelService another name",
        retry=False,
    )


def outdated(instances: Instances, template: str) -> bool:
    """Whether an instance runs another template than this one."""
    return instances.mixed or any(pod.template not in {None, template} for pod in instances.staying)


def _leftovers(seen: ServiceSeen, instances: Instances, wanted: set[str], template: Manifest) -> tuple[Remove, ...]:
    """ConfigMaps of earlier templates, once the Deployment has a later one and no pod of an earlier one is there."""
    metadata = seen.service["metadata"]
    spare = [
        live
        for (kind, name), live in seen.children.items()
        if kind == "ConfigMap" and name not in wanted and owned(live, metadata["uid"])
    ]
    label = template["metadata"]["labels"][LABEL_TEMPLATE]
    if not spare or instances.leaving or outdated(instances, label):
        return ()
    deployment = seen.children.get(("Deployment", metadata["name"]), {}).get("spec", {}).get("template")
    mounted = _config_maps(template) | _config_maps(deployment)
    return tuple(
        Remove("ConfigMap", live["metadata"]["namespace"], live["metadata"]["name"], live["metadata"]["uid"])
        for live in spare
        if live["metadata"]["name"] not in mounted
    )


def _config_maps(template: Manifest | None) -> set[str]:
    """Names of the ConfigMaps that a pod template mounts."""
    volumes = (template or {}).get("spec", {}).get("volumes", ())
    return {volume["configMap"].get("name", "") for volume in volumes if "configMap" in volume}


def stop(seen: ServiceSeen) -> tuple[Remove, ...]:
    """The removal of the Deployment, for a service whose spec cannot be carried out and that is to stop."""
    metadata = seen.service["metadata"]
    live = seen.children.get(("Deployment", metadata["name"]))
    if live is None or not owned(live, metadata["uid"]):
        return ()
    return (Remove("Deployment", metadata["namespace"], metadata["name"], live["metadata"]["uid"]),)
