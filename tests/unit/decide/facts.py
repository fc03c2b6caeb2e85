"""Short ways to say what was seen."""

import copy
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from maas_operator.api.decision import Decision
from maas_operator.api.fetching import FetchProgress
from maas_operator.api.names import LABEL_TEMPLATE
from maas_operator.api.quantities import amount
from maas_operator.api.seen import (
    Failure,
    FetchState,
    InstanceMeasured,
    Manifest,
    Measured,
    NodeSeen,
    PodSeen,
    Recommendation,
    ScalingMemory,
    ServiceSeen,
)
from maas_operator.api.settings import Settings
from maas_operator.decide.standing import WORKLOADS, pod_labels
from maas_operator.decide.standing import template_of as template_of_workload

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=1)


def amounts(**given: Any) -> dict[str, int]:
    return {resource: amount(resource, str(value)) for resource, value in given.items()}


def pod(name: str, **given: Any) -> PodSeen:
    failure = given.pop("failure", None)
    facts: dict[str, Any] = {
        "namespace": "team-a",
        "uid": f"uid-{name}",
        "service": "assistant",
        "pool": "pool-a",
        "flavor": "one",
        "model_version": "4k",
        "template_hash": "aaa",
        "node": "node-1",
        "phase": "Running",
        "ready": False,
        "leaving": False,
        "unschedulable": None,
        "requests": {},
    }
    if "fetch" in given:
        given["fetch"] = FetchState(given["fetch"])
    return PodSeen(name=name, failure=Failure(**failure) if failure else None, **(facts | given))


def node(name: str, **given: Any) -> NodeSeen:
    facts: dict[str, Any] = {
        "labels": {},
        "taints": [],
        "ready": True,
        "cordoned": False,
        "allocatable": {},
        "requested": {},
        "requested_by_models": {},
        "pods": 0,
        "model_pods": 0,
    } | given
    facts["taints"] = tuple(tuple(taint) for taint in facts["taints"])
    for field in ("allocatable", "requested", "requested_by_models"):
        facts[field] = amounts(**facts[field])
    facts["allocatable"].setdefault("pods", 110)
    return NodeSeen(name=name, **facts)


def stuck(**seconds: float) -> Measured:
    """Ready instances, and for how many seconds each has made no progress; 0: it makes some."""
    instances = {
        name: InstanceMeasured(2, 0, 10, NOW - timedelta(seconds=long) if long else None)
        for name, long in seconds.items()
    }
    return Measured(NOW, instances, queries_per_second=1.0, held=0, last_request=NOW, since=EARLIER)


def service_seen(facts: Manifest, **given: Any) -> ServiceSeen:
    """What the facts of a golden pair say was seen."""
    service = copy.deepcopy(facts["service"])
    service["metadata"] = {"namespace": "team-a", "uid": "0a1b", "generation": 1} | service["metadata"]
    children = facts.get("children", [])
    seen: dict[str, Any] = {
        "service": service,
        "model": facts.get("model"),
        "pool": facts.get("pool"),
        "namespace_labels": facts.get("namespaceLabels", {}),
        "children": {(child["kind"], child["metadata"]["name"]): child for child in children},
        "pods": [pod(**each) for each in facts.get("pods", [])],
        "nodes": [node(**each) for each in facts.get("nodes", [])],
        "measured": _measured(facts["measured"]) if "measured" in facts else None,
        "scaling_memory": _remembered(facts["remembered"]) if "remembered" in facts else None,
        "absent": frozenset(facts.get("absent", ())),
        "refused": facts.get("refused"),
    }
    seen["fetchers"] = [
        pod(**({"service": None, "fetches_for": "assistant"} | each)) for each in facts.get("fetchers", [])
    ]
    if "fetching" in facts:
        told = {name: FetchProgress.model_validate(each) for name, each in facts["fetching"].items()}
        seen["measured"] = Measured(NOW, {}, None, None, None, None, told)
    if "stuck" in facts:
        seen["measured"] = stuck(**facts["stuck"])
    return ServiceSeen(**(seen | given))


def _measured(facts: Manifest) -> Measured:
    """Of each instance [running, waiting, per cent of the cache]."""
    return Measured(
        at=datetime.fromisoformat(facts["at"]),
        instances={name: InstanceMeasured(*figures) for name, figures in facts["instances"].items()},
        queries_per_second=facts.get("qps"),
        held=facts.get("held"),
        last_request=None,
        since=datetime.fromisoformat(facts["since"]) if "since" in facts else None,
    )


def _remembered(facts: Manifest) -> ScalingMemory:
    before = [
        Recommendation(datetime.fromisoformat(each["at"]), each["instances"]) for each in facts["recommendations"]
    ]
    return ScalingMemory(recommendations=tuple(before))


def settings_from(facts: Manifest) -> Settings:
    return Settings.model_validate(facts.get("settings", {}))


def merged(base: Any, over: Any) -> Any:
    """`base` with what `over` says otherwise; null takes a field away."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {
        key: merged(base.get(key), over[key]) if key in over else base[key]
        for key in [*base, *(key for key in over if key not in base)]
        if over.get(key, "") is not None
    }


def template_of(manifests: Iterable[Manifest]) -> str | None:
    """The digest on the template of the first workload among these."""
    for manifest in manifests:
        if manifest["kind"] in WORKLOADS:
            return str(pod_labels(template_of_workload(manifest))[LABEL_TEMPLATE])
    return None


def manifests_of(decision: Decision) -> list[Manifest]:
    return [each.manifest for each in decision.apply]
