"""What runs in an instance's pod: the facts that the Deployment's template is filled with."""

from typing import Any

from maas_operator.api import names
from maas_operator.api.fields import EnvVar, digest
from maas_operator.api.model import ModelVersion
from maas_operator.api.modelservice import EngineExtras
from maas_operator.api.quantities import parse
from maas_operator.api.seen import Manifest
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.identity import label_value, labels
from maas_operator.decide.room import needs

MODEL_FOLDER = "/mnt/model"
"""Where the weights are mounted, for sources that are mounted."""
CONFIG_FOLDER = "/etc/maas"
"""Where the files of the service's ConfigMap are mounted."""
CHAT_TEMPLATE = "chat-template.jinja"
NON_ROOT = 65532
"""User and group of engines that need no root."""


def engine(name: str, plan: Plan, image: str | None, drain_seconds: int) -> dict[str, Any]:
    """The facts of the pod: what runs, with what, on which nodes."""
    extras = plan.spec.engine or EngineExtras()
    accelerator, flavor = plan.accelerator, plan.flavor
    requests = {"cpu": flavor.cpu, "memory": flavor.memory}
    limits = {"memory": flavor.memory}
    if accelerator.resource:
        devices = {accelerator.resource: str(needs(flavor)[accelerator.resource])}
        requests, limits = requests | devices, limits | devices
    files = {CHAT_TEMPLATE: plan.version.chat_template} if plan.version.chat_template else {}
    config_name = f"{name}-{digest(files)[:8]}"
    weights = _weights(plan.version)
    volumes, mounts = [*weights["volumes"]], [*weights["mounts"]]
    for path in accelerator.host_paths:
        volumes.append({"name": path.name, "hostPath": {"path": path.path, "type": path.type}})
        mounts.append({"name": path.name, "mountPath": path.path, "readOnly": True})
    if files:
        volumes.append({"name": "config", "configMap": {"name": config_name}})
        mounts.append({"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True})
    return {
        "files": files,
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
        "pod_labels": _pod_labels(name, plan),
        "pod_security_context": _pod_security(plan),
        "container_security_context": _container_security(plan),
        "volumes": volumes,
        "mounts": mounts,
    }


def _pod_labels(name: str, plan: Plan) -> dict[str, str]:
    return labels(name) | {
        names.LABEL_POOL: label_value(plan.spec.resource_pool),
        names.LABEL_FLAVOR: plan.flavor.name,
        names.LABEL_MODEL: label_value(plan.spec.model.name),
        names.LABEL_MODEL_VERSION: plan.version.name,
    }


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
