"""How a change reaches the instances: new ones first where the pool has room, else one by one, where that helps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from maas_operator.api.modelservice import WithoutRoom
from maas_operator.api.seen import Manifest, NodeSeen, PodSeen, ServiceSeen
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.instances import Instances
from maas_operator.decide.parallel import hosts
from maas_operator.decide.room import free, usable
from maas_operator.decide.sources import disk

NEW_FIRST: Manifest = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
ONE_BY_ONE: Manifest = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
"""The Deployment takes one away, and no further one until its successor answers: a new version that fails costs one
instance at most."""

AS_ASKED = "spec.rollout.withoutRoom is Wait"
NO_HELP = "taking one of them away would not make that room"


@dataclass(frozen=True, slots=True)
class Strategy:
    """How the Deployment replaces its pods. `waits`: why no instance is taken away for one that finds no room."""

    manifest: Manifest
    waits: str | None = None


def strategy(
    seen: ServiceSeen, plan: Plan, live: Manifest | None, instances: Instances, changing: bool, template: str
) -> Strategy:
    """The Deployment's strategy. It is chosen when a change begins, and once more while a new instance finds no room:
    otherwise every pod that comes or goes in the pool would have all of its services written again. `template`: the
    digest of the one that the instances are to have."""
    if live is None:
        return Strategy(NEW_FIRST)
    if changing and free(plan.flavor, usable(plan.pool, seen.nodes), disk(plan)) > 0:
        return Strategy(NEW_FIRST)
    before = [pod for pod in instances.staying if pod.template != template] or list(instances.staying)
    answering = [pod for pod in before if pod.ready]
    nowhere = any(pod.unschedulable for pod in instances.unplaced)
    if changing or (nowhere and instances.mixed):
        waits = why_wait(seen, plan, answering)
        return Strategy(NEW_FIRST if waits else ONE_BY_ONE, waits)
    rolling = live["spec"].get("strategy", {}).get("rollingUpdate", {})
    return Strategy(ONE_BY_ONE if rolling.get("maxUnavailable") == 1 else NEW_FIRST)


def why_wait(seen: ServiceSeen, plan: Plan, answering: list[PodSeen]) -> str | None:
    """Why none of the instances that answer is taken away for one that finds no room; None where one may be. What
    answers nobody may always go."""
    if not answering:
        return None
    if plan.spec.rollout and plan.spec.rollout.without_room == WithoutRoom.WAIT:
        return AS_ASKED
    return None if all(_makes_room(seen, plan, pod) for pod in answering) else NO_HELP


def _makes_room(seen: ServiceSeen, plan: Plan, instance: PodSeen) -> bool:
    """Whether a new instance could have the instance's place: the pool or the flavor may be another, its node
    cordoned. One of several hosts may need more than the nodes that this one leaves."""
    leaving = [pod for pod in seen.pods if pod.group == instance.group] if instance.group else [instance]
    leaves = {pod.node for pod in leaving}
    places = [
        _without(node, [pod for pod in leaving if pod.node == node.name])
        for node in seen.nodes
        if node.name in leaves or hosts(plan.flavor) > 1
    ]
    return free(plan.flavor, usable(plan.pool, places), disk(plan)) > 0


def _without(node: NodeSeen, leaving: Sequence[PodSeen]) -> NodeSeen:
    taken = {name: sum(pod.requests.get(name, 0) for pod in leaving) for name in node.requested}
    requested = {name: amount - taken[name] for name, amount in node.requested.items()}
    return replace(node, requested=requested, pods=node.pods - len(leaving))
