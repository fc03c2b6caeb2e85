"""How many instances of a flavor find room on which nodes. Amounts: cpu in thousandths, everything else in units."""

from collections.abc import Iterable, Sequence

from maas_operator.api.quantities import amount
from maas_operator.api.resourcepool import Flavor, ResourcePoolSpec, TaintEffect, Toleration, TolerationOperator
from maas_operator.api.seen import Amounts, NodeSeen
from maas_operator.decide.accelerators import accelerators


def needs(flavor: Flavor) -> Amounts:
    """What one instance requests of its node."""
    wanted = {"cpu": amount("cpu", flavor.cpu), "memory": amount("memory", flavor.memory)}
    if flavor.accelerator and (known := accelerators().get(flavor.accelerator.type)) and known.resource:
        wanted[known.resource] = flavor.accelerator.count
    return wanted


def pool_nodes(spec: ResourcePoolSpec, nodes: Iterable[NodeSeen]) -> list[NodeSeen]:
    """The nodes that the pool's selector finds."""
    wanted = spec.node_selector.items()
    return [node for node in nodes if wanted <= node.labels.items()]


def usable(spec: ResourcePoolSpec, nodes: Iterable[NodeSeen]) -> list[NodeSeen]:
    """Those of the pool's nodes on which a new pod may be placed."""
    return [
        node
        for node in pool_nodes(spec, nodes)
        if node.ready and not node.cordoned and all(_tolerated(taint, spec.tolerations) for taint in node.taints)
    ]


def _tolerated(taint: tuple[str, str, str], tolerations: Sequence[Toleration]) -> bool:
    key, value, effect = taint
    if effect == TaintEffect.PREFER_NO_SCHEDULE:
        return True
    return any(
        (toleration.key is None or toleration.key == key)
        and (toleration.effect is None or toleration.effect == effect)
        and (toleration.operator == TolerationOperator.EXISTS or (toleration.value or "") == value)
        for toleration in tolerations
    )


def fitting(wanted: Amounts, node: NodeSeen, taken: Amounts, pods: int) -> int:
    """Instances that the node could hold beside so many pods that have taken so much."""
    slots = node.allocatable.get("pods", 0) - pods
    counts = [
        (node.allocatable.get(resource, 0) - taken.get(resource, 0)) // each
        for resource, each in wanted.items()
        if each > 0
    ]
    return max(0, min([slots, *counts]))


def free(flavor: Flavor, nodes: Iterable[NodeSeen]) -> int:
    """Instances of the flavor that would find room now on these (usable) nodes."""
    wanted = needs(flavor)
    return sum(fitting(wanted, node, node.requested, node.pods) for node in nodes)


def capacity(flavor: Flavor, nodes: Iterable[NodeSeen]) -> int:
    """Instances of the flavor that these (usable) nodes could hold if no service ran: beside others' pods alone."""
    wanted = needs(flavor)
    return sum(fitting(wanted, node, _others(node), node.pods - node.model_pods) for node in nodes)


def _others(node: NodeSeen) -> Amounts:
    """What pods that are not ours request on the node."""
    ours = node.requested_by_models
    return {resource: taken - ours.get(resource, 0) for resource, taken in node.requested.items()}


def describe(spec: ResourcePoolSpec, flavor: Flavor, nodes: Iterable[NodeSeen]) -> str:
    """What an instance of the flavor needs, and how near the pool's nodes come to it."""
    wanted = needs(flavor)
    asked = ", ".join(f"{_amount(resource, each)} {resource}" for resource, each in wanted.items())
    everyone = pool_nodes(spec, nodes)
    if not everyone:
        labels = ", ".join(f"{key}={value}" for key, value in sorted(spec.node_selector.items())) or "any"
        return f"an instance needs {asked} on one node, and the pool has no node (its selector: {labels})"
    able = usable(spec, everyone)
    if not able:
        return (
            f"an instance needs {asked} on one node, and none of the pool's {len(everyone)} nodes takes pods "
            "(not ready, cordoned, or tainted)"
        )
    lacking = {
        resource: max(node.allocatable.get(resource, 0) - node.requested.get(resource, 0) for node in able)
        for resource in wanted
    }
    short = [
        f"at most {_amount(resource, most)} {resource} is free on a node"
        for resource, most in lacking.items()
        if most < wanted[resource]
    ]
    why = "; ".join(short) if short else "no single node has all of it free at once"
    return f"an instance needs {asked} on one node; of {len(able)} nodes that take pods, {why}"


def _amount(resource: str, number: int) -> str:
    if resource == "cpu":
        return f"{max(0, number) / 1000:g}"
    if resource == "memory":
        return f"{max(0, number) / 1024**3:.4g}Gi"
    return str(max(0, number))
