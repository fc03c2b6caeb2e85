"""How many instances of a flavor find room on which nodes. Amounts: cpu in thousandths, everything else in units."""

from collections.abc import Iterable, Sequence

from maas_operator.api.quantities import amount
from maas_operator.api.resourcepool import Flavor, ResourcePoolSpec, TaintEffect, Toleration, TolerationOperator
from maas_operator.api.seen import Amounts, NodeSeen
from maas_operator.decide.accelerators import accelerators

NOTHING: Amounts = {}
DISK = "ephemeral-storage"
"""The nodes' own disk. A node that reports none has none: the scheduler places nothing there that asks for some."""
PASSING_TAINTS = "node.kubernetes.io/"
"""How the keys of those taints begin that Kubernetes gives a node for a while: not ready, unschedulable and so on."""


def needs(flavor: Flavor, disk: int = 0) -> Amounts:
    """What one instance requests of its node; with several hosts, of each of them. disk: bytes, for weights that it
    fetches (decide/sources.py)."""
    wanted = {"cpu": amount("cpu", flavor.cpu), "memory": amount("memory", flavor.memory)}
    if disk:
        wanted[DISK] = disk
    return {**wanted, **devices(flavor)}


def devices(flavor: Flavor) -> Amounts:
    """The extended resources among it: the accelerator's, then the others."""
    found = {}
    if flavor.accelerator and (known := accelerators().get(flavor.accelerator.type)) and known.resource:
        found[known.resource] = flavor.accelerator.count * known.resource_per_device
    return {**found, **flavor.devices}


def resource(flavor: Flavor) -> str:
    """What instances of the flavor stand in line for: the accelerator's resource, or cpu."""
    known = accelerators().get(flavor.accelerator.type) if flavor.accelerator else None
    return (known.resource if known else None) or "cpu"


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


def free(flavor: Flavor, nodes: Sequence[NodeSeen], disk: int = 0) -> int:
    """Instances of the flavor that would find room now on these (usable) nodes. disk: as of `needs`."""
    wanted = needs(flavor, disk)
    return instances(flavor, nodes, [fitting(wanted, node, node.requested, node.pods) for node in nodes])


def capacity(flavor: Flavor, nodes: Sequence[NodeSeen]) -> int:
    """Instances of the flavor that these (usable) nodes could hold if no service ran: beside others' pods alone."""
    wanted = needs(flavor)
    shares = [fitting(wanted, node, _others(node), node.pods - node.model_pods) for node in nodes]
    return instances(flavor, nodes, shares)


def ever(spec: ResourcePoolSpec, flavor: Flavor, nodes: Iterable[NodeSeen], disk: int = 0) -> int:
    """Instances of the flavor that the pool's nodes could hold if they were empty and all of them took pods. disk: as
    of `needs`."""
    wanted = needs(flavor, disk)
    able = [
        node
        for node in pool_nodes(spec, nodes)
        if all(taint[0].startswith(PASSING_TAINTS) or _tolerated(taint, spec.tolerations) for taint in node.taints)
    ]
    return instances(flavor, able, [fitting(wanted, node, NOTHING, 0) for node in able])


def instances(flavor: Flavor, nodes: Sequence[NodeSeen], shares: Sequence[int]) -> int:
    """Whole instances, where each of the nodes can hold so many shares, a share being what one host of one needs."""
    hosts = flavor.hosts or 1
    if hosts == 1:
        return sum(shares)
    return sum(_groups(hosts, [shares[index] for index in domain]) for domain in domains(flavor, nodes))


def domains(flavor: Flavor, nodes: Sequence[NodeSeen]) -> list[list[int]]:
    """Which of the nodes, by index, the hosts of one instance may lie on together."""
    if flavor.topology_key is None:
        return [list(range(len(nodes)))]
    found: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        if flavor.topology_key in node.labels:
            found.setdefault(node.labels[flavor.topology_key], []).append(index)
    return list(found.values())


def _groups(hosts: int, shares: Sequence[int]) -> int:
    """The most groups of so many different nodes each. So many can be formed as soon as the nodes have enough shares
    together, no node counting for more than one share a group."""
    least, most = 0, sum(shares) // hosts
    while least < most:
        tried = (least + most + 1) // 2
        if sum(min(share, tried) for share in shares) >= hosts * tried:
            least = tried
        else:
            most = tried - 1
    return least


def _others(node: NodeSeen) -> Amounts:
    """What pods that are not ours request on the node."""
    ours = node.requested_by_models
    return {resource: taken - ours.get(resource, 0) for resource, taken in node.requested.items()}


def describe(spec: ResourcePoolSpec, flavor: Flavor, nodes: Iterable[NodeSeen], disk: int = 0) -> str:
    """What an instance of the flavor needs, and how near the pool's nodes come to it. disk: as of `needs`."""
    wanted = needs(flavor, disk)
    asked = f"an instance needs {_asked(flavor, wanted)}"
    everyone = pool_nodes(spec, nodes)
    if not everyone:
        labels = ", ".join(f"{key}={value}" for key, value in sorted(spec.node_selector.items())) or "any"
        return f"{asked}, and the pool has no node (its selector: {labels})"
    able = usable(spec, everyone)
    if not able:
        return f"{asked}, and none of the pool's {len(everyone)} nodes takes pods (not ready, cordoned, or tainted)"
    lacking = {
        resource: max(node.allocatable.get(resource, 0) - node.requested.get(resource, 0) for node in able)
        for resource in wanted
    }
    short = [
        f"at most {_amount(resource, most)} {resource} is free on a node"
        for resource, most in lacking.items()
        if most < wanted[resource]
    ]
    why = "; ".join(short) if short else _scattered(flavor, able, wanted)
    return f"{asked}; of {len(able)} nodes that take pods, {why}"


def _asked(flavor: Flavor, wanted: Amounts) -> str:
    amounts = ", ".join(f"{_amount(resource, each)} {resource}" for resource, each in wanted.items())
    if (flavor.hosts or 1) == 1:
        return f"{amounts} on one node"
    together = f" of one {flavor.topology_key}" if flavor.topology_key else ""
    return f"{amounts} on each of {flavor.hosts} nodes{together}"


def _scattered(flavor: Flavor, able: Sequence[NodeSeen], wanted: Amounts) -> str:
    """Why there is no room although some node has enough of everything, each looked at alone."""
    whole = [index for index, node in enumerate(able) if fitting(wanted, node, node.requested, node.pods)]
    if not whole or (flavor.hosts or 1) == 1:
        return "no single node has all of it free at once"
    most = max((len(set(domain) & set(whole)) for domain in domains(flavor, able)), default=0)
    if flavor.topology_key:
        return f"{len(whole)} with all of it free at once, at most {most} of them of one {flavor.topology_key}"
    return f"{len(whole)} with all of it free at once"


def _amount(resource: str, number: int) -> str:
    if resource == "cpu":
        return f"{max(0, number) / 1000:g}"
    if resource in {"memory", DISK}:
        return f"{max(0, number) / 1024**3:.4g}Gi"
    return str(max(0, number))
