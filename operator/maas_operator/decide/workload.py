"""The manifests of a service's children, from jinja2 templates. Everything here follows from the plan alone."""

import json
import re
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import yaml

from maas_operator.api import names
from maas_operator.api.fields import digest
from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.api.seen import Manifest
from maas_operator.api.settings import AcceleratorSettings, Settings
from maas_operator.decide import groups
from maas_operator.decide.accelerators import told
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.engine import engine
from maas_operator.decide.fit import planned_cache
from maas_operator.decide.identity import labels, owner, selector
from maas_operator.decide.kept import Kept
from maas_operator.decide.parallel import hosts
from maas_operator.decide.sources import Weights, disk, weights
from maas_operator.decide.standing import TEMPLATE, pod_templates

LEAVE_SECONDS = 10
"""preStop's sleep: time in which every client has seen that the instance is leaving (gateway and kube-proxy alike)."""
FETCH_TRIES = 1000
"""Of a Job that fetches weights: with the kubelet's pauses, some days."""
SET_NAME = 39
"""Characters of the service's name that go into a LeaderWorkerSet's: of `NAME-DIGEST-GROUP`, the name of a StatefulSet,
Kubernetes makes a label of 63, with a digest of its own."""
LISTENS = f"grep -qs ':{names.PORT:04X} 0*:0000 0A' /proc/net/tcp /proc/net/tcp6"
"""Succeeds in a pod whose engine listens."""
RENDERED_KEPT = 4096
"""Services whose rendering is kept (1 to 2 KB each, compressed), so that an unchanged one is not rendered again."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_rendered: Kept[tuple[object, ...], bytes] = Kept(RENDERED_KEPT)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A service's children as the plan has them. They are the caller's to change."""

    others: list[Manifest]
    """A ConfigMap (where there are files), the Service, the PodDisruptionBudget: as they are applied."""
    job: Manifest | None
    """The Job that fetches the weights, where one does."""
    workload: Manifest
    """The Deployment or LeaderWorkerSet, without template, replicas and strategy: those follow from more than the
    plan."""
    template: str
    """What it makes its pods from, as JSON."""


def template_inputs(service: Manifest, plan: Plan) -> str:
    """A digest of what a pod template follows from: the spec, and the content of the version it names. Neither this
    operator's version nor the pool's content is among them: their changes restart no pod."""
    return digest(
        [
            plan.spec.model.name,
            _version_digest(plan),
            plan.spec.resource_pool,
            plan.spec.flavor,
            plan.spec.engine.digest if plan.spec.engine else None,
            service["metadata"].get("annotations", {}).get(names.ANNOTATION_RERENDER),
            *([{"priorityClassName": plan.spec.priority_class_name}] if plan.spec.priority_class_name else []),
            *_started(service).values(),
            *([{"credentials": plan.spec.model.credentials.digest}] if plan.spec.model.credentials else []),
        ]
    )


def _version_digest(plan: Plan) -> str:
    """Of the version as it runs on the plan's accelerator."""
    return plan.version.digest_on(told(plan.version, plan.accelerator))


def _started(service: Manifest) -> dict[str, str]:
    """The user's request to start afresh, as the pods carry it."""
    request = service["metadata"].get("annotations", {}).get(names.ANNOTATION_START)
    return {} if request is None else {names.ANNOTATION_START: request}


def render(service: Manifest, plan: Plan, settings: Settings) -> Rendered:
    """The children, as the plan and the settings have them now."""
    metadata = service["metadata"]
    who = metadata["name"], metadata["namespace"], metadata["uid"]
    ours = settings.accelerators.get(plan.accelerator.type, AcceleratorSettings())
    key = (
        *who,
        plan.spec.model.name,
        _version_digest(plan),
        plan.spec.model.credentials,
        plan.spec.resource_pool,
        plan.flavor,
        disk(plan),
        plan.pool.cache,
        tuple(plan.pool.node_selector.items()),
        tuple(plan.pool.tolerations),
        plan.spec.engine.digest if plan.spec.engine else None,
        planned_cache(plan.version, plan.flavor, plan.accelerator, plan.spec.engine),
        plan.spec.qps,
        plan.spec.priority_class_name,
        ours,
        tuple(settings.image_pull_secrets),
        settings.sources,
        settings.drain_seconds,
        settings.load_seconds,
        *_started(service).values(),
    )
    packed = _rendered.get(key, lambda: _pack(*_render(*who, plan, ours, settings, _started(service))))
    manifests, _, template = zlib.decompress(packed).decode().partition("\n")
    *others, job, made = json.loads(manifests)
    return Rendered(others, job, made, template)


def sign(manifest: Manifest) -> None:
    """Put the manifest's own digest on it: a field that is rendered no longer is noticed by it."""
    manifest["metadata"].setdefault("annotations", {})[names.ANNOTATION_APPLIED] = digest(manifest)


def dress(manifest: Manifest, text: str, inputs: str) -> None:
    """Make a workload whole: what its instances are made from (in JSON), and what that follows from."""
    annotations = {names.ANNOTATION_TEMPLATE_INPUTS: inputs, names.ANNOTATION_APPLIED_TEMPLATE: text}
    manifest["metadata"]["annotations"] = annotations
    sign(manifest)
    manifest["spec"][TEMPLATE[manifest["kind"]]] = json.loads(text)


def template_digest(template: Manifest) -> str:
    """The digest that the template's label should have: it is that of the template without the label."""
    if "workerTemplate" in template:
        bare = {key: _bare(template[key]) for key in ("leaderTemplate", "workerTemplate")}
        return digest(template | bare)
    return digest(_bare(template))


def set_name(name: str, uid: str, template: str) -> str:
    """The name of the LeaderWorkerSet of a template (its digest): another one for each service of the same name."""
    return f"{name[:SET_NAME].rstrip('-')}-{digest([uid, template])[:8]}"


def _bare(template: Manifest) -> Manifest:
    metadata = template["metadata"]
    rest = {key: value for key, value in metadata["labels"].items() if key != names.LABEL_TEMPLATE}
    return template | {"metadata": metadata | {"labels": rest}}


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, separators=(",", ":"))


def _pack(manifests: list[Manifest | None], template: Manifest) -> bytes:
    return zlib.compress(f"{compact(manifests)}\n{compact(template)}".encode())


def _render(
    name: str,
    namespace: str,
    uid: str,
    plan: Plan,
    ours: AcceleratorSettings,
    settings: Settings,
    started: dict[str, str],
) -> tuple[list[Manifest | None], Manifest]:
    brought = weights(namespace, plan, settings.sources)
    pod = engine(name, plan, brought, ours, settings)
    grouped = hosts(plan.flavor) > 1
    facts = {
        "service": {"name": name, "namespace": namespace},
        "owner": owner(MODEL_SERVICE.kind, name, uid),
        "selector": selector(name),
        "labels": labels(name),
        "port": names.PORT,
        "port_name": names.PORT_NAME,
        "container": names.CONTAINER,
        "leave_seconds": LEAVE_SECONDS,
        "drain_seconds": settings.drain_seconds,
        "load_seconds": settings.load_seconds,
        "image_pull_secrets": settings.image_pull_secrets,
        "annotations": {names.ANNOTATION_QPS: str(plan.spec.qps)} if plan.spec.qps else {},
        "started": started,
        "worker": False,
        "worker_margin": 0,
        "affinity": {},
        "leaves": _leaves(f"! {LISTENS}"),
        **pod,
    }
    if grouped:
        more = groups.facts(plan, pod["pod_labels"], pod["args"])
        known = {each["name"] for each in pod["env"]}
        facts |= more | {
            "env": [*pod["env"], *(each for each in more["more_env"] if each["name"] not in known)],
            "leaves": _leaves(f"! {LISTENS} || {{ {more['without_worker']}; }}"),
        }
    kinds = [*(["configmap"] if facts["files"] else []), "service", "poddisruptionbudget"]
    kinds.append("leaderworkerset" if grouped else "deployment")
    *others, made = [yaml.load(_template(kind).render(facts), _Loader) for kind in kinds]  # noqa: S506 it is safe
    for manifest in others:
        sign(manifest)
    template = made["spec"].pop("leaderWorkerTemplate" if grouped else "template")
    for each in pod_templates(template):
        each["metadata"]["annotations"] |= started
    label = template_digest(template)
    for each in pod_templates(template):
        each["metadata"]["labels"][names.LABEL_TEMPLATE] = label
    if grouped:
        made["metadata"]["name"] = set_name(name, uid, label)
    job = _job(name, brought, facts) if brought.job else None
    return [*others, job, made], template


def _job(name: str, brought: Weights, facts: dict[str, Any]) -> Manifest:
    """The Job that fetches the weights, under a name of its own for all that it does: no Job can be changed."""
    facts = facts | {
        "job": brought.job,
        "job_tries": FETCH_TRIES,
        "job_name": "",
        "job_pod_labels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, names.LABEL_FETCH: name},
    }
    job: Manifest = yaml.load(_template("job").render(facts), _Loader)  # noqa: S506 it is safe
    job["metadata"]["name"] = f"{name}-fetch-{digest(job['spec'])[:6]}"
    sign(job)
    return job


def _leaves(nothing_to_finish: str) -> str:
    """What an instance does before it is told to end: it waits until nobody sends it anything; one that has nothing to
    finish is killed at once."""
    return f"while {nothing_to_finish}; do kill -9 -1; sleep 1; done; sleep {LEAVE_SECONDS}"


@cache
def _template(kind: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 YAML, no HTML
    )
    environment.filters["tojson"] = _quoted
    return environment.get_template(f"{kind}.yaml.j2")


def _source(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text()


def _quoted(value: Any) -> str:
    """JSON that is YAML too: JSON writes a character beyond 16 bits as two escapes, and YAML refuses such halves."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return re.sub(r"[^ -~]", lambda match: f"\\U{ord(match[0]):08x}", text)
