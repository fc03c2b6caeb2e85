"""A ResourcePool's figures."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from pydantic import ValidationError

from maas_operator.api.conditions import ConditionType, Reason
from maas_operator.api.decision import Decision
from maas_operator.api.resourcepool import Flavor, ResourcePoolSpec
from maas_operator.api.seen import Manifest, PoolSeen
from maas_operator.decide import conditions
from maas_operator.decide.accelerators import accelerators
from maas_operator.decide.room import capacity, free, pool_nodes, usable

USERS_NAMED = 20
"""Users of a pool or model that its status names."""


def decide_pool(seen: PoolSeen, now: datetime) -> Decision:
    """Count the pool's nodes, and the room in them for each flavor."""
    before = tuple(seen.pool.get("status", {}).get("conditions", ()))
    generation = seen.pool["metadata"].get("generation", 0)
    body: Manifest = {"observedGeneration": generation, **used_by(seen.users)}
    try:
        spec = ResourcePoolSpec.model_validate(seen.pool["spec"])
    except ValidationError as error:
        verdicts = conditions.simple(conditions.Verdict(False, Reason.INVALID, str(error)))
    else:
        rows = _rows(spec, seen)
        body |= {
            "nodes": len(pool_nodes(spec, seen.nodes)),
            "readyNodes": len(usable(spec, seen.nodes)),
            "flavors": rows,
            "summary": ", ".join(f"{row['name']}: {row['used']} used, {row['free']} free" for row in rows),
        }
        verdicts = _verdicts(spec, body)
    body["conditions"] = conditions.written(verdicts, before, generation, now)
    return Decision(status=body, before=before)


def _rows(spec: ResourcePoolSpec, seen: PoolSeen) -> list[Manifest]:
    alive = [pod for pod in seen.pods if pod.phase not in {"Succeeded", "Failed"}]
    used = Counter(pod.flavor for pod in alive if pod.node is not None)
    waiting = Counter(pod.flavor for pod in alive if pod.node is None and not pod.leaving)
    return [
        {
            "name": flavor.name,
            "capacity": capacity(spec, flavor, seen.nodes),
            "used": used[flavor.name],
            "free": free(spec, flavor, seen.nodes),
            "waiting": waiting[flavor.name],
        }
        for flavor in spec.flavors
    ]


def _verdicts(spec: ResourcePoolSpec, body: Manifest) -> conditions.Verdicts:
    unknown = [flavor for flavor in spec.flavors if _unknown(flavor)]
    if unknown:
        told = ", ".join(f"{flavor.name} ({flavor.accelerator.type})" for flavor in unknown if flavor.accelerator)
        message = f"unknown accelerator types: {told}; this operator knows {', '.join(accelerators())}"
        return conditions.simple(conditions.Verdict(False, Reason.ACCELERATOR_UNKNOWN, message))
    accepted = conditions.Verdict(True, Reason.ACCEPTED, "the spec can be carried out")
    if body["readyNodes"]:
        ready = conditions.Verdict(True, Reason.NODES_FOUND, f"{body['readyNodes']} of {body['nodes']} nodes take pods")
    else:
        ready = conditions.Verdict(
            False, Reason.NO_NODES, f"{body['nodes']} nodes match spec.nodeSelector, and none of them takes pods"
        )
    verdicts = {ConditionType.ACCEPTED: accepted, ConditionType.READY: ready}
    if not ready.status:
        verdicts[ConditionType.RECONCILING] = conditions.Verdict(True, ready.reason, ready.message)
    return verdicts


def _unknown(flavor: Flavor) -> bool:
    return flavor.accelerator is not None and flavor.accelerator.type not in accelerators()


def used_by(users: Sequence[str]) -> Manifest:
    """The status fields that say who uses a pool or a model."""
    return {"services": len(users), "users": list(users[:USERS_NAMED])}
