"""Short ways to say what was seen."""

import copy
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from maas_operator.api.decision import Decision
from maas_operator.api.names import LABEL_TEMPLATE
from maas_operator.api.quantities import amount
from maas_operator.api.seen import Failure, Manifest, NodeSeen, PodSeen, ServiceSeen
from maas_operator.api.settings import Settings

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
    }
    return ServiceSeen(**(seen | given))


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
    """The digest on the pod template of the Deployment among these."""
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            return str(manifest["spec"]["template"]["metadata"]["labels"][LABEL_TEMPLATE])
    return None


def manifests_of(decision: Decision) -> list[Manifest]:
    return [each.manifest for each in decision.apply]
