"""Short ways to say what was seen."""

from typing import Any

from maas_operator.api.quantities import amount
from maas_operator.api.seen import Failure, NodeSeen, PodSeen


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
