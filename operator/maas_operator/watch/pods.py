"""Pods and nodes, trimmed to what a decision needs."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from sys import intern
from types import MappingProxyType

from maas_operator.api import names
from maas_operator.api.quantities import amount
from maas_operator.api.seen import Amounts, FetchState, Manifest, NodeSeen, PodSeen
from maas_operator.api.times import moment
from maas_operator.watch.failures import failure

FINISHED = frozenset({"Succeeded", "Failed"})
"""Phases of pods that hold no room on their node any more."""
NOTHING: Amounts = MappingProxyType({})


def pod_seen(raw: Manifest) -> PodSeen:
    """The facts of a pod."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status", {})
    labels = metadata.get("labels", {})
    managed = labels.get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER
    ours = labels.get(names.LABEL_SERVICE) if managed else None
    fetches_for = labels.get(names.LABEL_FETCH) if managed and not ours else None
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
        unschedulable=_unschedulable(conditions.get("PodScheduled", {})) if ours or fetches_for else None,
        failure=failure(spec, status) if ours or fetches_for else None,
        requests=_requests(spec),
        template=labels.get(names.LABEL_TEMPLATE) if ours else None,
        deletion_cost=metadata.get("annotations", {}).get(names.ANNOTATION_DELETION_COST) if ours else None,
        address=status.get("podIP") if ours or fetches_for else None,
        fetch=_fetch(status) if ours or fetches_for else None,
        fetches_for=_interned(fetches_for),
        set_up_since=_set_up_since(status, conditions) if ours and node else None,
        group=_group(labels) if ours else None,
        worker_index=_number(labels.get(names.LABEL_LWS_WORKER)) if ours else 0,
        scheduled_at=_since(conditions.get("PodScheduled", {})) if ours and node else None,
        finished_at=_finished(status, "deletionTimestamp" in metadata) if ours else None,
        leaving_by=_seconds(metadata.get("deletionTimestamp")) if ours else None,
    )


def _group(labels: Mapping[str, str]) -> str | None:
    """The instance of several hosts that a pod is of, in its leader's name."""
    if not {names.LABEL_LWS_NAME, names.LABEL_LWS_GROUP} <= labels.keys():
        return None
    return f"{labels[names.LABEL_LWS_NAME]}-{labels[names.LABEL_LWS_GROUP]}"


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _interned(text: str | None) -> str | None:
    return None if text is None else intern(text)


def _set_up_since(status: Manifest, conditions: Mapping[str, Manifest]) -> str | None:
    """Clusters before 1.29 do not say whether a pod is set up."""
    if status.get("phase") != "Pending" or conditions.get("PodReadyToStartContainers", {}).get("status") != "False":
        return None
    since: str | None = conditions.get("PodScheduled", {}).get("lastTransitionTime")
    return since


def _fetch(status: Manifest) -> FetchState | None:
    """How the container that fetches weights stands, before the engine or in a Job."""
    statuses = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    found = next((each for each in statuses if each["name"] == names.FETCH_CONTAINER), None)
    if found is None:
        return None
    state = found.get("state", {})
    if "running" in state:
        return FetchState.RUNNING
    if "terminated" in state:
        return FetchState.FAILING if state["terminated"].get("exitCode") else FetchState.DONE
    return FetchState.FAILING if found.get("restartCount") or found.get("lastState") else None


def _unschedulable(scheduled: Manifest) -> str | None:
    return scheduled.get("message") if scheduled.get("reason") == "Unschedulable" else None


def _since(condition: Manifest) -> int | None:
    """Since when a condition is true."""
    return _seconds(condition.get("lastTransitionTime")) if condition.get("status") == "True" else None


def _finished(status: Manifest, leaving: bool) -> int | None:
    """When the last container ended; None while one may run again, or where the kubelet did not say."""
    if not leaving and status.get("phase") not in FINISHED:
        return None
    ends = [_seconds(_end(each)) for each in status.get("containerStatuses", ())]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def _end(container: Manifest) -> str | None:
    end: str | None = container.get("state", {}).get("terminated", {}).get("finishedAt")
    return end


def _seconds(text: str | None) -> int | None:
    """None also for the zero time, which some runtimes write for what they do not know."""
    time = moment(text)
    return int(time.timestamp()) if time and time.year > 1970 else None


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
