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
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.engine import engine
from maas_operator.decide.identity import labels, owner, selector
from maas_operator.decide.kept import Kept

LEAVE_SECONDS = 10
"""preStop's sleep: time in which every client has seen that the instance is leaving (gateway and kube-proxy alike)."""
RENDERED_KEPT = 4096
"""Services whose rendering is kept (1 to 2 KB each, compressed), so that an unchanged one is not rendered again."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_rendered: Kept[tuple[object, ...], bytes] = Kept(RENDERED_KEPT)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A service's children as the plan has them. They are the caller's to change."""

    others: list[Manifest]
    """A ConfigMap (where there are files), the Service, the PodDisruptionBudget: as they are applied."""
    deployment: Manifest
    """Without pod template, replicas and strategy: those follow from more than the plan."""
    template: str
    """The pod template, as JSON."""


def template_inputs(service: Manifest, plan: Plan) -> str:
    """A digest of what a pod template follows from: the spec, and the content of the version it names. Neither this
    operator's version nor the pool's content is among them: their changes restart no pod."""
    return digest(
        [
            plan.spec.model.name,
            plan.version.digest,
            plan.spec.resource_pool,
            plan.spec.flavor,
            plan.spec.engine.digest if plan.spec.engine else None,
            service["metadata"].get("annotations", {}).get(names.ANNOTATION_RERENDER),
            *_started(service).values(),
        ]
    )


def _started(service: Manifest) -> dict[str, str]:
    """The user's request to start afresh, as the pods carry it."""
    request = service["metadata"].get("annotations", {}).get(names.ANNOTATION_START)
    return {} if request is None else {names.ANNOTATION_START: request}


def render(service: Manifest, plan: Plan, settings: Settings) -> Rendered:
    """The children, as the plan and the settings have them now."""
    metadata = service["metadata"]
    who = metadata["name"], metadata["namespace"], metadata["uid"]
    image = settings.accelerators.get(plan.accelerator.type, AcceleratorSettings()).image
    key = (
        *who,
        plan.spec.model.name,
        plan.version.digest,
        plan.spec.resource_pool,
        plan.flavor,
        tuple(plan.pool.node_selector.items()),
        tuple(plan.pool.tolerations),
        plan.spec.engine.digest if plan.spec.engine else None,
        plan.spec.qps,
        image,
        tuple(settings.image_pull_secrets),
        settings.drain_seconds,
        settings.load_seconds,
        *_started(service).values(),
    )
    packed = _rendered.get(key, lambda: _pack(*_render(*who, plan, image, settings, _started(service))))
    manifests, _, template = zlib.decompress(packed).decode().partition("\n")
    *others, deployment = json.loads(manifests)
    return Rendered(others, deployment, template)


def sign(manifest: Manifest) -> None:
    """Put the manifest's own digest on it: a field that is rendered no longer is noticed by it."""
    manifest["metadata"].setdefault("annotations", {})[names.ANNOTATION_APPLIED] = digest(manifest)


def template_digest(template: Manifest) -> str:
    """The digest that the template's label should have: it is that of the template without the label."""
    metadata = template["metadata"]
    rest = {key: value for key, value in metadata["labels"].items() if key != names.LABEL_TEMPLATE}
    return digest(template | {"metadata": metadata | {"labels": rest}})


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, separators=(",", ":"))


def _pack(manifests: list[Manifest], template: Manifest) -> bytes:
    return zlib.compress(f"{compact(manifests)}\n{compact(template)}".encode())


def _render(
    name: str, namespace: str, uid: str, plan: Plan, image: str | None, settings: Settings, started: dict[str, str]
) -> tuple[list[Manifest], Manifest]:
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
        **engine(name, plan, image, settings.drain_seconds),
    }
    kinds = [*(["configmap"] if facts["files"] else []), "service", "poddisruptionbudget", "deployment"]
    *others, deployment = [yaml.load(_template(kind).render(facts), _Loader) for kind in kinds]  # noqa: S506 it is safe
    for manifest in others:
        sign(manifest)
    template = deployment["spec"].pop("template")
    template["metadata"]["annotations"] |= started
    template["metadata"]["labels"][names.LABEL_TEMPLATE] = template_digest(template)
    return [*others, deployment], template


@cache
def _template(kind: str) -> jinja2.Template:
    text = files(__package__).joinpath("templates", f"{kind}.yaml.j2").read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 YAML, no HTML
    environment.filters["tojson"] = _quoted
    return environment.from_string(text)


def _quoted(value: Any) -> str:
    """JSON that is YAML too: JSON writes a character beyond 16 bits as two escapes, and YAML refuses such halves."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return re.sub(r"[^ -~]", lambda match: f"\\U{ord(match[0]):08x}", text)
