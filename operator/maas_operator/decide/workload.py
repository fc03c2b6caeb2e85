"""The manifests of a service's children, from jinja2 templates. Everything here follows from the plan alone."""

import hashlib
import json
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import jinja2
import yaml

from maas_operator.api import names
from maas_operator.api.fields import EnvVar
from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.api.model import ModelVersion
from maas_operator.api.modelservice import EngineExtras, State
from maas_operator.api.quantities import parse
from maas_operator.api.seen import Manifest
from maas_operator.api.settings import AcceleratorSettings, Settings
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.room import needs

LEAVE_SECONDS = 10
"""preStop's sleep: time in which every client has seen that the instance is leaving (gateway and kube-proxy alike)."""
MODEL_FOLDER = "/mnt/model"
"""Where the weights are mounted, for sources that are mounted."""
CONFIG_FOLDER = "/etc/maas"
"""Where the files of the service's ConfigMap are mounted."""
CHAT_TEMPLATE = "chat-template.jinja"
NON_ROOT = 65532
"""User and group of engines that need no root."""
RENDERED_KEPT = 4096
"""Rendered services that are kept in memory, so that an unchanged one is not rendered again."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def digest(value: Any) -> str:
    """A short digest of a JSON value: 16 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def template_inputs(service: Manifest, plan: Plan) -> str:
    """A digest of what a pod template follows from: the spec, and the content of the version it names. Neither this
    operator's version nor the pool's content is among them: their changes restart no pod."""
    extras = plan.spec.engine or EngineExtras()
    return digest(
        [
            service["metadata"]["uid"],
            plan.spec.model.name,
            plan.version.model_dump(),
            plan.spec.resource_pool,
            plan.spec.flavor,
            extras.model_dump(),
            service["metadata"].get("annotations", {}).get(names.ANNOTATION_RERENDER),
        ]
    )


def selector(name: str) -> dict[str, str]:
    """Labels that find a service's pods."""
    return {names.LABEL_SERVICE: name}


def desired_instances(plan: Plan) -> int:
    """How many instances the spec asks for."""
    if plan.spec.state == State.STOPPED:
        return 0
    return 1 if plan.spec.instances is None else plan.spec.instances


def render(service: Manifest, plan: Plan, settings: Settings) -> list[Manifest]:
    """The children in the order in which they are applied: each stands after those it needs.

    The Deployment carries neither its replicas nor its strategy: those follow from more than the plan.
    """
    metadata = service["metadata"]
    accelerator = settings.accelerators.get(plan.accelerator.type, AcceleratorSettings())
    return _parsed(
        _rendered(
            metadata["name"],
            metadata["namespace"],
            metadata["uid"],
            plan,
            accelerator.image,
            tuple(settings.image_pull_secrets),
            settings.drain_seconds,
            settings.load_seconds,
        )
    )


def _parsed(texts: tuple[str, ...]) -> list[Manifest]:
    return [json.loads(text) for text in texts]


class _Key:
    """A plan as a cache key: equal when its content is."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.text = repr(plan)

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.text == other.text


def _rendered(name: str, namespace: str, uid: str, plan: Plan, *settings: Any) -> tuple[str, ...]:
    return _rendered_once(name, namespace, uid, _Key(plan), *settings)


@lru_cache(maxsize=RENDERED_KEPT)
def _rendered_once(
    name: str,
    namespace: str,
    uid: str,
    key: _Key,
    image: str | None,
    image_pull_secrets: tuple[str, ...],
    drain_seconds: int,
    load_seconds: int,
) -> tuple[str, ...]:
    plan = key.plan
    facts = {
        "service": {"name": name, "namespace": namespace},
        "owner": _owner(name, uid),
        "selector": selector(name),
        "labels": _labels(name),
        "port": names.PORT,
        "port_name": names.PORT_NAME,
        "container": names.CONTAINER,
        "leave_seconds": LEAVE_SECONDS,
        "drain_seconds": drain_seconds,
        "load_seconds": load_seconds,
        "image_pull_secrets": image_pull_secrets,
        "annotations": {names.ANNOTATION_QPS: str(plan.spec.qps)} if plan.spec.qps else {},
        **_engine(name, plan, image, drain_seconds),
    }
    templates = ["service", "poddisruptionbudget", "deployment"]
    if facts["files"]:
        templates.insert(0, "configmap")
    manifests = [yaml.load(_template(each).render(facts), _Loader) for each in templates]  # noqa: S506 a safe loader
    return tuple(json.dumps(manifest, separators=(",", ":")) for manifest in manifests)


@cache
def _template(name: str) -> jinja2.Template:
    text = files(__package__).joinpath("templates", f"{name}.yaml.j2").read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 YAML, no HTML
    return environment.from_string(text)


def _owner(name: str, uid: str) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": MODEL_SERVICE.kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _labels(name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "model-service",
        "app.kubernetes.io/instance": name,
        names.LABEL_MANAGED_BY: names.FIELD_MANAGER,
        names.LABEL_SERVICE: name,
    }


def _engine(name: str, plan: Plan, image: str | None, drain_seconds: int) -> dict[str, Any]:
    """The facts of the pod: what runs, with what, on which nodes."""
    extras = plan.spec.engine or EngineExtras()
    accelerator, flavor = plan.accelerator, plan.flavor
    requests = {"cpu": flavor.cpu, "memory": flavor.memory}
    limits = {"memory": flavor.memory}
    if accelerator.resource:
        devices = {accelerator.resource: str(needs(flavor)[accelerator.resource])}
        requests, limits = requests | devices, limits | devices
    content = {CHAT_TEMPLATE: plan.version.chat_template} if plan.version.chat_template else {}
    weights = _weights(plan.version)
    config_name = f"{name}-{digest(content)[:8]}"
    volumes = [
        *weights["volumes"],
        *({"name": path.name, "hostPath": {"path": path.path, "type": path.type}} for path in accelerator.host_paths),
    ]
    mounts = [
        *weights["mounts"],
        *({"name": path.name, "mountPath": path.path, "readOnly": True} for path in accelerator.host_paths),
    ]
    if content:
        volumes.append({"name": "config", "configMap": {"name": config_name}})
        mounts.append({"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True})
    return {
        "files": content,
        "config_name": config_name,
        "image": extras.image or image or accelerator.image,
        "command": accelerator.command,
        "args": _args(name, plan, extras, weights["path"], drain_seconds),
        "env": _env(accelerator.env, plan.version.env, weights["env"], extras.env),
        "requests": requests,
        "limits": limits,
        "shared_memory": flavor.shared_memory or str(int(parse(flavor.memory) / 2)),
        "node_selector": plan.pool.node_selector,
        "tolerations": [
            each.model_dump(by_alias=True, exclude_none=True, mode="json") for each in plan.pool.tolerations
        ],
        "pod_labels": _labels(name)
        | {
            names.LABEL_POOL: _label_value(plan.spec.resource_pool),
            names.LABEL_FLAVOR: flavor.name,
            names.LABEL_MODEL: _label_value(plan.spec.model.name),
            names.LABEL_MODEL_VERSION: plan.version.name,
        },
        "pod_security_context": _pod_security(plan),
        "container_security_context": _container_security(plan),
        "volumes": volumes,
        "mounts": mounts,
    }


def _label_value(name: str) -> str:
    """A name that may be too long for a label (63 characters), shortened so that it stays one of its own."""
    return name if len(name) <= 63 else f"{name[:46]}-{digest(name)}"


def _weights(version: ModelVersion) -> dict[str, Any]:
    """How the weights of a source come into the pod: what vLLM is told, what is mounted, what is set."""
    scheme, _, rest = version.source.partition("://")
    mount = {"name": "model", "mountPath": MODEL_FOLDER, "readOnly": True}
    if scheme == "oci":
        image = {"reference": rest, "pullPolicy": "IfNotPresent"}
        return {"path": MODEL_FOLDER, "volumes": [{"name": "model", "image": image}], "mounts": [mount], "env": []}
    if scheme == "pvc":
        claim, _, folder = rest.partition("/")
        volume = {"name": "model", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        path = f"{MODEL_FOLDER}/{folder}".rstrip("/")
        return {"path": path, "volumes": [volume], "mounts": [mount], "env": []}
    hub = [EnvVar(name="VLLM_USE_MODELSCOPE", value="True")] if scheme == "modelscope" else []
    return {"path": rest.partition("@")[0], "volumes": [], "mounts": [], "env": hub}


def _args(name: str, plan: Plan, extras: EngineExtras, path: str, drain_seconds: int) -> list[str]:
    """The engine's arguments: ours, then the accelerator's, the version's and the user's, so that a later one wins."""
    version = plan.version
    args = [path, "--served-model-name", plan.spec.model.name]
    if name != plan.spec.model.name:
        args.append(name)
    args += [f"--port={names.PORT}", f"--max-model-len={version.context_length}", f"--shutdown-timeout={drain_seconds}"]
    revision = version.source.partition("@")[2] if version.source.startswith(("hf://", "modelscope://")) else ""
    if revision:
        args.append(f"--revision={revision}")
    if plan.flavor.accelerator and plan.flavor.accelerator.count > 1:
        args.append(f"--tensor-parallel-size={plan.flavor.accelerator.count}")
    if version.reasoning_parser:
        args.append(f"--reasoning-parser={version.reasoning_parser}")
    if version.tool_call_parser:
        args += ["--enable-auto-tool-choice", f"--tool-call-parser={version.tool_call_parser}"]
    if version.chat_template:
        args.append(f"--chat-template={CONFIG_FOLDER}/{CHAT_TEMPLATE}")
    return [*args, *plan.accelerator.args, *version.args, *extras.args]


def _env(*sources: list[EnvVar]) -> list[Manifest]:
    """One list of variables, a later source winning. The root file system is read-only, so what is written goes to
    /tmp; engines look their user up by name, which a bare number does not have."""
    merged = {"HOME": "/tmp", "USER": "engine", "VLLM_NO_USAGE_STATS": "1"}  # noqa: S108 an emptyDir of the pod
    for source in sources:
        merged |= {variable.name: variable.value for variable in source}
    return [{"name": name, "value": value} for name, value in merged.items()]


def _pod_security(plan: Plan) -> Manifest:
    context: Manifest = {"seccompProfile": {"type": "RuntimeDefault"}}
    if plan.accelerator.run_as_root:
        context |= {"runAsUser": 0}
    else:
        context |= {"runAsNonRoot": True, "runAsUser": NON_ROOT, "runAsGroup": NON_ROOT, "fsGroup": NON_ROOT}
    if plan.accelerator.supplemental_groups:
        context["supplementalGroups"] = plan.accelerator.supplemental_groups
    return context


def _container_security(plan: Plan) -> Manifest:
    capabilities: Manifest = {"drop": ["ALL"]}
    if plan.accelerator.capabilities:
        capabilities["add"] = plan.accelerator.capabilities
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": capabilities}
