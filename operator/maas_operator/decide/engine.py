"""What runs in an instance's pod: the facts that the Deployment's template is filled with."""

from collections.abc import Sequence
from typing import Any

from maas_operator.api import names
from maas_operator.api.fields import EnvVar, digest
from maas_operator.api.model import VersionAccelerator
from maas_operator.api.modelservice import EngineExtras
from maas_operator.api.quantities import mebibytes, parse
from maas_operator.api.seen import Manifest
from maas_operator.api.settings import AcceleratorSettings, Settings
from maas_operator.decide import parallel
from maas_operator.decide.accelerators import FieldVar, HostPath, SettingVar, told
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.fit import planned_cache
from maas_operator.decide.identity import label_value, labels
from maas_operator.decide.room import DISK, devices
from maas_operator.decide.sources import NON_ROOT, Weights, disk

CONFIG_FOLDER = "/etc/maas"
"""Where the files of the service's ConfigMap are mounted."""
CHAT_TEMPLATE = "chat-template.jinja"
_USUAL = (
    EnvVar(name="HOME", value="/tmp"),  # noqa: S108 an emptyDir of the pod
    EnvVar(name="USER", value="engine"),
    EnvVar(name="VLLM_NO_USAGE_STATS", value="1"),
)
"""The root file system is read-only, so what is written goes to /tmp; engines look their user up by name, which a bare
number has not."""
_READY_SECONDS = "VLLM_ENGINE_READY_TIMEOUT_S"
"""How long vLLM's API servers wait for its engines: where it has several (data parallelism), from the first second of
loading on, and 600 seconds where nobody says (v1/engine/core_client.py)."""
NETWORKS = "k8s.v1.cni.cncf.io/networks"
"""Annotation of pods by which Multus attaches them to further networks."""


def engine(name: str, plan: Plan, weights: Weights, ours: AcceleratorSettings, settings: Settings) -> dict[str, Any]:
    """The facts of the pod: what runs, with what, on which nodes. `ours`: what the settings say of the accelerator."""
    extras = plan.spec.engine or EngineExtras()
    accelerator, flavor = plan.accelerator, plan.flavor
    hosts = accelerator.on_hosts(flavor.hosts or 1)
    here = told(plan.version, accelerator) or VersionAccelerator(type=accelerator.type)
    requests = {"cpu": flavor.cpu, "memory": flavor.memory}
    limits = {"memory": flavor.memory}
    given = {name: str(count) for name, count in devices(flavor).items()}
    requests, limits = requests | given, limits | given
    if weights.by_engine and (size := disk(plan)):
        requests[DISK] = mebibytes(size)
    files = {CHAT_TEMPLATE: plan.version.chat_template} if plan.version.chat_template else {}
    config_name = f"{name}-{digest(files)[:8]}"
    args = _args(name, plan, here, extras, weights, settings.drain_seconds)
    usual = [*_USUAL, EnvVar(name=_READY_SECONDS, value=str(settings.load_seconds))]
    volumes, mounts = [*weights.volumes], [*weights.mounts]
    for path in host_paths(plan, ours):
        volumes.append({"name": path.name, "hostPath": {"path": path.path, "type": path.type}})
        mounts.append({"name": path.name, "mountPath": path.path, "readOnly": True})
    if files:
        volumes.append({"name": "config", "configMap": {"name": config_name}})
        mounts.append({"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True})
    return {
        "files": files,
        "config_name": config_name,
        "image": extras.image or ours.image or accelerator.image,
        "command": None if accelerator.keep_entrypoint else accelerator.command,
        "init_containers": weights.before,
        "args": [*accelerator.command, *args] if accelerator.keep_entrypoint else args,
        "env": _env(
            [usual, accelerator.env, hosts.env, plan.version.env, here.env, weights.env, extras.env],
            weights.secrets,
            ours,
        ),
        "requests": requests,
        "limits": limits,
        "shared_memory": flavor.shared_memory or str(int(parse(flavor.memory) / 2)),
        "node_selector": plan.pool.node_selector,
        "tolerations": [
            each.model_dump(by_alias=True, exclude_none=True, mode="json") for each in plan.pool.tolerations
        ],
        "priority_class_name": plan.spec.priority_class_name,
        "pod_annotations": {NETWORKS: ",".join(flavor.networks)} if flavor.networks else {},
        "pod_labels": accelerator.pod_labels | _pod_labels(name, plan),
        "runtime_class_name": ours.runtime_class_name,
        "scheduler_name": ours.scheduler_name or accelerator.scheduler_name,
        "pod_security_context": _pod_security(plan),
        "container_security_context": _container_security(plan),
        "volumes": volumes,
        "mounts": mounts,
    }


def host_paths(plan: Plan, ours: AcceleratorSettings) -> list[HostPath]:
    """What an instance mounts of its node."""
    accelerator = plan.accelerator
    driver = accelerator.driver_mounts if ours.driver_mounts is None else ours.driver_mounts
    return [
        *(accelerator.driver_paths if driver else []),
        *accelerator.host_paths,
        *accelerator.on_hosts(plan.flavor.hosts or 1).host_paths,
    ]


def _pod_labels(name: str, plan: Plan) -> dict[str, str]:
    return labels(name) | {
        names.LABEL_POOL: label_value(plan.spec.resource_pool),
        names.LABEL_FLAVOR: plan.flavor.name,
        names.LABEL_MODEL: label_value(plan.spec.model.name),
        names.LABEL_MODEL_VERSION: plan.version.name,
    }


def _args(
    name: str, plan: Plan, here: VersionAccelerator, extras: EngineExtras, weights: Weights, drain_seconds: int
) -> list[str]:
    """The engine's arguments: ours, then the accelerator's, the version's, the version's on this accelerator and the
    user's, so that a later one wins."""
    version = plan.version
    args = [weights.path, "--served-model-name", plan.spec.model.name]
    if name != plan.spec.model.name:
        args.append(name)
    args += [f"--port={names.PORT}", f"--max-model-len={version.context_length}", f"--shutdown-timeout={drain_seconds}"]
    if weights.revision:
        args.append(f"--revision={weights.revision}")
    later = [*plan.accelerator.args, *version.args, *here.args, *extras.args]
    args += parallel.arguments(plan.flavor, later)
    if cache := planned_cache(version, plan.flavor, plan.accelerator, extras):
        args.append(f"--kv-cache-memory-bytes={cache}")
    if version.reasoning_parser:
        args.append(f"--reasoning-parser={version.reasoning_parser}")
    if version.tool_call_parser:
        args += ["--enable-auto-tool-choice", f"--tool-call-parser={version.tool_call_parser}"]
    if version.sampling and (defaults := version.sampling.generation_config):
        args.append(f"--override-generation-config={defaults}")
    if version.chat_template:
        args.append(f"--chat-template={CONFIG_FOLDER}/{CHAT_TEMPLATE}")
    return [*args, *later]


def _env(
    sources: Sequence[Sequence[EnvVar | FieldVar | SettingVar]], secrets: list[Manifest], ours: AcceleratorSettings
) -> list[Manifest]:
    """One list of variables, a later source winning, and those from Secrets over all."""
    merged: dict[str, Manifest] = {}
    for source in sources:
        merged |= {variable.name: _value(variable, ours) for variable in source}
    secret = {each["name"] for each in secrets}
    return [{"name": name} | value for name, value in merged.items() if name not in secret] + secrets


def _value(variable: EnvVar | FieldVar | SettingVar, ours: AcceleratorSettings) -> Manifest:
    if isinstance(variable, FieldVar):
        return {"valueFrom": {"fieldRef": {"fieldPath": variable.field_path}}}
    if isinstance(variable, SettingVar):
        return {"value": ours.network_interface}
    return {"value": variable.value}


def _pod_security(plan: Plan) -> Manifest:
    context: Manifest = {"seccompProfile": {"type": plan.accelerator.seccomp}}
    if plan.accelerator.run_as_root or plan.flavor.locks_memory:
        context |= {"runAsUser": 0}
    else:
        context |= {"runAsNonRoot": True, "runAsUser": NON_ROOT, "runAsGroup": NON_ROOT, "fsGroup": NON_ROOT}
    if plan.accelerator.supplemental_groups:
        context["supplementalGroups"] = plan.accelerator.supplemental_groups
    return context


def _container_security(plan: Plan) -> Manifest:
    capabilities: Manifest = {"drop": ["ALL"]}
    added = [*plan.accelerator.capabilities, *(["IPC_LOCK"] if plan.flavor.locks_memory else [])]
    if added:
        capabilities["add"] = added
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": capabilities}
