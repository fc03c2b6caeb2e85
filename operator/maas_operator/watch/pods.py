"""Pods and nodes, trimmed to what a decision needs."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from sys import intern
from types import MappingProxyType

from maas_operator.api import names
from maas_operator.api.quantities import amount
from maas_operator.api.seen import Amounts, Failure, Manifest, NodeSeen, PodSeen

FINISHED = frozenset({"Succeeded", "Failed"})
"""Phases of pods that hold no room on their node any more."""
STARTING = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons for waiting that are no failure."""
CRASH_LOOP = 2
"""Restarts from which a container that runs again is still taken for failing, until it is ready."""
NOTHING: Amounts = MappingProxyType({})


def pod_seen(raw: Manifest) -> PodSeen:
    """The facts of a pod."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status", {})
    labels = metadata.get("labels", {})
    ours = labels.get(names.LABEL_SERVICE) if labels.get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER else None
    node = spec.get("nodeName")
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    return PodSeen(
        namespace=intern(metadata["namespace"]),
        name=metadata["name"],
        uid=metadata["uid"],
        service=_interned(ours),
        pool=_interned(labels.get(names.LABEL_POOL)) if ours else None,
        flavor=_interned(labels.get(names.LABEL_FLAVOR)) if ours else None,
        model_version=_interned(labels.get(names.LABEL_MODEL_VERSION)) if ours else None,
        template_hash=labels.get("pod-template-hash") if ours else None,
        node=_interned(node),
        phase=intern(status.get("phase", "Pending")),
        ready=conditions.get("Ready", {}).get("status") == "True",
        leaving="deletionTimestamp" in metadata,
        unschedulable=_unschedulable(conditions.get("PodScheduled", {})) if ours else None,
        failure=_failure(status) if ours else None,
        requests=_requests(spec),
        template=labels.get(names.LABEL_TEMPLATE) if ours else None,
    )


def _interned(text: str | None) -> str | None:
    return None if text is None else intern(text)


def _unschedulable(scheduled: Manifest) -> str | None:
    return scheduled.get("message") if scheduled.get("reason") == "Unschedulable" else None


def _failure(status: Manifest) -> Failure | None:
    """The first container that does not run, the engine's before any other."""
    statuses = [*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())]
    statuses.sort(key=lambda each: bool(each["name"] != names.CONTAINER))
    found = next((failure for each in statuses if (failure := _container_failure(each))), None)
    if found is None and status.get("phase") == "Failed":
        return Failure(status.get("reason", "Error"), status.get("message", ""))
    return found


def _container_failure(container: Manifest) -> Failure | None:
    state, last = container.get("state", {}), container.get("lastState", {}).get("terminated", {})
    restarts = container.get("restartCount", 0)
    if ended := state.get("terminated"):
        if not ended.get("exitCode"):
            return None
        return Failure(ended.get("reason", "Error"), ended.get("message", ""), ended["exitCode"], restarts)
    if "running" in state and not container.get("ready") and restarts >= CRASH_LOOP and last.get("exitCode"):
        return Failure(last.get("reason", "Error"), last.get("message", ""), last["exitCode"], restarts)
    waiting = state.get("waiting", {})
    reason = waiting.get("reason")
    if not reason or reason in STARTING:
        return None
    # The engine's last words tell more than the kubelet's "back-off 5m0s restarting failed container".
    message = last.get("message") or waiting.get("message", "")
    return Failure(reason, message, last.get("exitCode"), restarts)


def _requests(spec: Manifest) -> Amounts:
    """What the scheduler counts for the pod: its containers together, or an init container that wants more."""
    inits = tuple((_listed(each), each.get("restartPolicy") == "Always") for each in spec.get("initContainers", ()))
    return _effective(
        tuple(_listed(each) for each in spec.get("containers", ())),
        inits,
        tuple(sorted(spec.get("overhead", {}).items())),
        _listed(spec),
    )


Listed = tuple[tuple[str, str], ...]


def _listed(container: Manifest) -> Listed:
    return tuple(sorted(container.get("resources", {}).get("requests", {}).items()))


@lru_cache(maxsize=1024)
def _effective(
    containers: tuple[Listed, ...], inits: tuple[tuple[Listed, bool], ...], over: Listed, pod: Listed
) -> Amounts:
    """Cached, since most pods are alike: they then share one mapping."""
    beside: dict[str, int] = {}
    peak: dict[str, int] = {}
    for listed, sidecar in inits:
        wanted = _sum([beside, _amounts(listed)])
        peak = {name: max(peak.get(name, 0), wanted.get(name, 0)) for name in peak.keys() | wanted.keys()}
        if sidecar:
            beside = wanted
    running = _sum([beside, *map(_amounts, containers)])
    total = {name: max(peak.get(name, 0), running.get(name, 0)) for name in peak.keys() | running.keys()}
    return MappingProxyType(_sum([total | _amounts(pod), _amounts(over)]))


def _amounts(listed: Iterable[tuple[str, str]]) -> dict[str, int]:
    return {intern(name): _amount(name, text) for name, text in listed}


def _amount(name: str, text: str) -> int:
    """An amount; 0 for a quantity in words that nobody here knows, so that one odd pod stops nothing."""
    try:
        return amount(name, text)
    except ValueError:
        return 0


def _sum(parts: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return total


def node_seen(raw: Manifest) -> NodeSeen:
    """The facts of a node, with nothing on it."""
    metadata, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    taints = ((each["key"], each.get("value", ""), each["effect"]) for each in spec.get("taints", ()))
    return NodeSeen(
        name=intern(metadata["name"]),
        labels=_shared(metadata.get("labels", {})),
        taints=tuple(taints),
        ready=conditions.get("Ready", {}).get("status") == "True",
        cordoned=spec.get("unschedulable", False),
        allocatable=_allocatable(tuple(sorted(status.get("allocatable", {}).items()))),
        requested=NOTHING,
        requested_by_models=NOTHING,
        pods=0,
        model_pods=0,
    )


def _shared(labels: Mapping[str, str]) -> Mapping[str, str]:
    return {intern(key): intern(value) for key, value in labels.items()}


@lru_cache(maxsize=1024)
def _allocatable(listed: Listed) -> Amounts:
    return MappingProxyType(_amounts(listed))
