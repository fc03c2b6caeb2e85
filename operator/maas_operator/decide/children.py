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
    LWS_KIND,
)
from maas_operator.api.seen import Manifest, ServiceSeen, WriteFailure
from maas_operator.api.settings import Settings
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.conditions import Verdict
from maas_operator.decide.contests import left_alone
from maas_operator.decide.drift import holds
from maas_operator.decide.fetching import FetchJob, fetch_job, under_way, weights_ready
from maas_operator.decide.handover import hand_over
from maas_operator.decide.identity import controller, owned, routed
from maas_operator.decide.instances import Instances
from maas_operator.decide.rollout import strategy
from maas_operator.decide.sources import prefetched
from maas_operator.decide.standing import (
    DEPLOYMENT,
    annotation,
    pod_labels,
    pod_templates,
    replicas,
    skeleton,
    standing_replicas,
    template_of,
    workloads,
)
from maas_operator.decide.workload import Rendered, dress, render, sign, template_digest, template_inputs

MAX_TEMPLATE = 250_000
"""Characters of a pod template: the workload carries it as an annotation too, and all of an object's annotations
together may have 256 KiB."""


@dataclass(frozen=True, slots=True)
class Children:
    """What to write, what to remove, what stands in the way, and which template the instances should have."""

    apply: tuple[Apply, ...]
    remove: tuple[Remove, ...]
    obstacles: tuple[WriteFailure, ...]
    workload: str
    """The name of what the instances are to be of."""
    template: str
    """Its digest, as the pods are labelled with it."""
    changing: bool
    """The workload that stands there has another template: it is written anew, or another one is made."""
    waits: str | None
    """Why a change that finds no room takes no instance away; None where it does, or finds room."""
    job: FetchJob
    """What is done about Jobs that fetch the weights."""
    awaits: bool
    """A change, or the first instance, waits until the weights are there."""
    held: bool
    """The template is one that an earlier version of the operator, its settings or the pool asked for; or what was
    there before a change that has to wait."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The workload that the instances are to be of, and what it makes them from."""

    manifest: Manifest
    text: str
    inputs: str
    """What the template follows from, digested."""
    live: Manifest | None
    """What stands there under its name."""


def awaited(seen: ServiceSeen, plan: Plan, instances: Instances, settings: Settings) -> Verdict | None:
    """What is known of the weights that the first instances wait for; None: they wait for none, or are made already."""
    if not plan.desired or not prefetched(plan) or instances.staying or standing_replicas(seen):
        return None
    job = fetch_job(seen, plan, render(seen.service, plan, settings).job, in_use=True)
    return weights_ready(seen, plan, instances, job, held=False) if job.pending else None


def decide_children(
    seen: ServiceSeen, plan: Plan, instances: Instances, settings: Settings, changes_later: bool = False
) -> Children:
    """Compare what the plan asks for with what stands there. changes_later: the pods' template stays as it is."""
    rendered = render(seen.service, plan, settings)
    inputs, standing = template_inputs(seen.service, plan), workloads(seen)
    if changes_later and standing:
        inputs = annotation(max(standing, key=replicas), ANNOTATION_TEMPLATE_INPUTS)
    chosen = _chosen(seen, rendered, standing, inputs, instances)
    job = fetch_job(seen, plan, rendered.job, chosen.text == rendered.template)
    awaits = job.pending and plan.desired > 0 and not _runs(chosen)
    if awaits:
        chosen = _as_it_is(rendered, standing) or chosen
    workload, live = chosen.manifest, chosen.live
    template = json.loads(chosen.text)
    label = pod_labels(template)[LABEL_TEMPLATE]
    earlier = [each for each in standing if each is not live]
    changing = annotation(live, ANNOTATION_APPLIED_TEMPLATE) != chosen.text if live else bool(standing)
    over, waits = hand_over(seen, plan, instances, label, live, [] if awaits else earlier), None
    workload["spec"]["replicas"] = 0 if awaits and live and not replicas(live) else over.instances
    if workload["kind"] == DEPLOYMENT:
        rolling = strategy(seen, plan, live, instances, changing, label)
        workload["spec"]["strategy"], waits = rolling.manifest, rolling.waits
    dress(workload, chosen.text, chosen.inputs)
    if workload["kind"] == LWS_KIND or earlier or any(not pod.leads for pod in seen.pods):
        _route_to_leaders(rendered.others, seen.service["metadata"]["name"])

    writes, obstacles = [], [*_too_large(workload, chosen.text)]
    wanted = [*rendered.others, *([job.wanted] if job.wanted else [])]
    for manifest in [*wanted, *([] if awaits and live is None else [workload])]:
        there = _live(seen, manifest)
        if there is not None and not owned(there, seen.service["metadata"]["uid"]):
            obstacles.append(_obstacle(there, seen.service))
        elif why := _reason_to_write(there, manifest):
            contested = left_alone(seen, manifest) if why == "drifted" and plan.desired else None
            if contested:
                obstacles.append(contested)
                continue
            writes.append(Apply(manifest, there["metadata"]["uid"] if there else None, why))
    if obstacles:
        writes = [each for each in writes if each.manifest is workload and each.uid and plan.desired == 0]
    names = {each["metadata"]["name"] for each in rendered.others}
    removals = (*over.remove, *_leftovers(seen, instances, names, template), *job.remove)
    if obstacles:
        removals = () if plan.desired else over.remove
    return Children(
        apply=(*writes, *(() if obstacles else over.shrink)),
        remove=removals,
        obstacles=tuple(obstacles),
        workload=workload["metadata"]["name"],
        template=label,
        changing=changing,
        waits=over.waits or waits,
        job=job,
        awaits=awaits,
        held=chosen.text != rendered.template,
    )


def _chosen(
    seen: ServiceSeen, rendered: Rendered, standing: list[Manifest], inputs: str, instances: Instances
) -> _Chosen:
    """While instances work that nobody asked to change, the workload that they are of, as it was applied; else the one
    that is rendered now."""
    made = rendered.workload
    same = [each for each in standing if annotation(each, ANNOTATION_TEMPLATE_INPUTS) == inputs]
    texts = {id(each): annotation(each, ANNOTATION_APPLIED_TEMPLATE) for each in same}
    same.sort(key=lambda each: texts[id(each)] != rendered.template)
    for live in same if instances.working else ():
        text = texts[id(live)]
        if text != rendered.template and not _genuine(text):
            continue
        return _Chosen(_under_its_name(rendered, live), text, inputs, live)
    return _Chosen(made, rendered.template, inputs, _live(seen, made))


def _as_it_is(rendered: Rendered, standing: list[Manifest]) -> _Chosen | None:
    """What stands there, while nothing may begin that the weights are missing for; None: nothing does."""
    live = max(standing, key=replicas, default=None)
    text = annotation(live, ANNOTATION_APPLIED_TEMPLATE) if live else ""
    if live is None or not _genuine(text):
        return None
    return _Chosen(_under_its_name(rendered, live), text, annotation(live, ANNOTATION_TEMPLATE_INPUTS), live)


def _runs(chosen: _Chosen) -> bool:
    """Whether instances of this template are asked for already."""
    live = chosen.live
    if live is None or "spec" not in live or not live["spec"].get("replicas"):
        return False
    return annotation(live, ANNOTATION_APPLIED_TEMPLATE) == chosen.text


def _under_its_name(rendered: Rendered, live: Manifest) -> Manifest:
    """The workload as it is rendered now, but for its kind and name."""
    made = rendered.workload if rendered.workload["kind"] == live["kind"] else skeleton(live)
    made["metadata"]["name"] = live["metadata"]["name"]
    return made


def _route_to_leaders(others: list[Manifest], name: str) -> None:
    """Have the Service find those pods alone that take requests. Where there are no others this is not said, so that
    the Services of an operator before this one stay as they are."""
    for manifest in others:
        if manifest["kind"] == "Service":
            manifest["spec"]["selector"] = routed(name)
            del manifest["metadata"]["annotations"][ANNOTATION_APPLIED]
            sign(manifest)


def _live(seen: ServiceSeen, manifest: Manifest) -> Manifest | None:
    return seen.children.get((manifest["kind"], manifest["metadata"]["name"]))


def _genuine(text: str) -> bool:
    """Whether this is a template as the operator wrote it: its label then is its digest."""
    try:
        template = json.loads(text)
        label = template_digest(template)
        return all(each["metadata"]["labels"][LABEL_TEMPLATE] == label for each in pod_templates(template))
    except (ValueError, TypeError, LookupError, AttributeError):
        return False


def _reason_to_write(live: Manifest | None, manifest: Manifest) -> str | None:
    if live is None:
        return "created"
    if annotation(live, ANNOTATION_APPLIED) != manifest["metadata"]["annotations"][ANNOTATION_APPLIED]:
        return "changed"
    return None if holds(live, manifest) else "drifted"


def _too_large(workload: Manifest, template: str) -> list[WriteFailure]:
    if len(template) <= MAX_TEMPLATE:
        return []
    what = f"{workload['kind']} {workload['metadata']['namespace']}/{workload['metadata']['name']}"
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
    """ConfigMaps of earlier templates, once the workload has a later one and no pod of an earlier one is there."""
    metadata = seen.service["metadata"]
    spare = [
        live
        for (kind, name), live in seen.children.items()
        if kind == "ConfigMap" and name not in wanted and owned(live, metadata["uid"])
    ]
    label = pod_labels(template)[LABEL_TEMPLATE]
    if not spare or instances.leaving or outdated(instances, label):
        return ()
    mounted = _config_maps(template).union(*(_config_maps(template_of(live)) for live in workloads(seen)))
    return tuple(
        Remove("ConfigMap", live["metadata"]["namespace"], live["metadata"]["name"], live["metadata"]["uid"])
        for live in spare
        if live["metadata"]["name"] not in mounted
    )


def _config_maps(template: Manifest) -> set[str]:
    """Names of the ConfigMaps that a workload's template mounts."""
    volumes = (volume for each in pod_templates(template) for volume in each.get("spec", {}).get("volumes", ()))
    return {volume["configMap"].get("name", "") for volume in volumes if "configMap" in volume}


def stop(seen: ServiceSeen) -> tuple[Remove, ...]:
    """The removal of the workloads and of the Jobs that still fetch, for a service whose spec cannot be carried out and
    that is to stop."""
    found = [(live["kind"], live["metadata"]) for live in workloads(seen)]
    return (*(Remove(kind, each["namespace"], each["name"], each["uid"]) for kind, each in found), *under_way(seen))
