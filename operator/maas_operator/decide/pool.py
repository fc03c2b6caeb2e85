"""A ResourcePool's figures."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from pydantic import ValidationError

from maas_operator.api.conditions import ConditionType, Reason
from maas_operator.api.decision import Decision
from maas_operator.api.resourcepool import Flavor, ResourcePoolSpec
from maas_operator.api.seen import Manifest, NodeSeen, PodSeen, PoolSeen, Standing
from maas_operator.decide import conditions
from maas_operator.decide.accelerators import accelerator_of, accelerators, impossible
from maas_operator.decide.identity import label_value
from maas_operator.decide.instances import FINISHED
from maas_operator.decide.room import capacity, free, pool_nodes, usable
from maas_operator.decide.specs import first_error, parsed

USERS_NAMED = 20
"""Users of a pool or model that its status names."""
MAX_SUMMARY = 4096
"""Characters of status.summary in the CRD."""


def decide_pool(seen: PoolSeen, now: datetime) -> Decision:
    """Count the pool's nodes, and the room in them for each flavor."""
    before = tuple(seen.pool.get("status", {}).get("conditions", ()))
    generation = seen.pool["metadata"].get("generation", 0)
    body: Manifest = {"observedGeneration": generation, **used_by(seen.users)}
    try:
        spec = parsed(ResourcePoolSpec, seen.pool)
    except ValidationError as error:
        verdicts = conditions.simple(conditions.Verdict(False, Reason.INVALID, first_error(error)))
    else:
        able = usable(spec, seen.nodes)
        rows = _rows(spec, seen, able)
        body |= {
            "nodes": len(pool_nodes(spec, seen.nodes)),
            "readyNodes": len(able),
            "flavors": rows,
            "summary": listed([f"{row['name']}: {row['used']} used, {row['free']} free" for row in rows], MAX_SUMMARY),
        }
        verdicts = _verdicts(spec, body)
    body["conditions"] = conditions.written(verdicts, before, generation, now)
    return Decision(status=body, before=before)


def _rows(spec: ResourcePoolSpec, seen: PoolSeen, able: Sequence[NodeSeen]) -> list[Manifest]:
    pool = label_value(seen.pool["metadata"]["name"])
    alive = [pod for pod in seen.pods if pod.phase not in FINISHED and pod.pool == pool]
    used, waiting = _counts(spec, alive, seen.asking)
    return [
        {
            "name": flavor.name,
            "capacity": 0 if _unknown(flavor) else capacity(flavor, able),
            "used": used[flavor.name],
            "free": 0 if _unknown(flavor) else free(flavor, able),
            "waiting": waiting[flavor.name],
        }
        for flavor in spec.flavors
    ]


def _counts(
    spec: ResourcePoolSpec, pods: Sequence[PodSeen], asking: Sequence[Standing]
) -> tuple[Counter[str], Counter[str]]:
    """Instances that have a node, and those that wait for one, by flavor. An instance of several hosts counts once; one
    that waits in line has no pods yet."""
    hosts = {flavor.name: flavor.hosts or 1 for flavor in spec.flavors}
    instances: dict[tuple[str | None, ...], list[PodSeen]] = {}
    for pod in pods:
        one = pod.name if hosts.get(pod.flavor or "", 1) == 1 else pod.group
        instances.setdefault((pod.namespace, pod.service, pod.flavor, one), []).append(pod)
    used: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    staying: Counter[tuple[str | None, ...]] = Counter()
    for (namespace, service, flavor, _), parts in instances.items():
        leaving = any(pod.leaving for pod in parts)
        if sum(pod.node is not None for pod in parts) >= hosts.get(flavor or "", 1):
            used[flavor or ""] += 1
        elif not leaving:
            waiting[flavor or ""] += 1
        staying[namespace, service, flavor] += not leaving
    for each in (each for each in asking if each.waiting or each.quota):
        waiting[each.flavor] += max(0, each.desired - staying[each.namespace, each.name, each.flavor])
    return used, waiting


def _verdicts(spec: ResourcePoolSpec, body: Manifest) -> conditions.Verdicts:
    unknown = [flavor for flavor in spec.flavors if _unknown(flavor)]
    if unknown:
        told = ", ".join(f"{flavor.name} ({flavor.accelerator.type})" for flavor in unknown if flavor.accelerator)
        message = f"unknown accelerator types: {told}; this operator knows {', '.join(accelerators())}"
        return conditions.simple(conditions.Verdict(False, Reason.ACCELERATOR_UNKNOWN, message))
    if wrong := list(filter(None, map(_impossible, spec.flavors))):
        return conditions.simple(conditions.Verdict(False, Reason.FLAVOR_IMPOSSIBLE, "; ".join(wrong)))
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


def _impossible(flavor: Flavor) -> str | None:
    known = accelerator_of(flavor)
    return impossible(flavor, known) if known else None


def _unknown(flavor: Flavor) -> bool:
    return flavor.accelerator is not None and flavor.accelerator.type not in accelerators()


def used_by(users: Sequence[str]) -> Manifest:
    """The status fields that say who uses a pool or a model."""
    return {"services": len(users), "users": list(users[:USERS_NAMED])}


def listed(words: Sequence[str], most: int) -> str:
    """Words in one line of at most so many characters; what finds no room is left out, and dots say so."""
    line = ", ".join(words)
    if len(line) <= most:
        return line
    return line[: line.rindex(", ", 0, most - 3)] + ", ..."
