"""Whether those who wait in line would find room together, and whether they ever could: the nodes are filled with them,
the first first. All who wait ask the same, so the answers are kept until the nodes or the line are others."""

from collections.abc import Mapping, Sequence

from maas_operator.api.resourcepool import Flavor, ResourcePoolSpec
from maas_operator.api.seen import Amounts, Manifest, NodeSeen, Standing
from maas_operator.decide.kept import Kept
from maas_operator.decide.room import domains, ever, fitting, instances, needs, usable

LINES_KEPT = 256
"""Lines, and flavors, whose answers are kept."""

_Packed = tuple[Sequence[Standing], Sequence[NodeSeen], Manifest, int]
_kept: Kept[tuple[str, str], _Packed] = Kept(LINES_KEPT)
_ever: Kept[tuple[str, str, int], tuple[Sequence[NodeSeen], Manifest, int]] = Kept(LINES_KEPT)


def could_hold(pool: Manifest, spec: ResourcePoolSpec, flavor: Flavor, nodes: Sequence[NodeSeen], disk: int = 0) -> int:
    """Instances of the flavor that the pool's nodes could hold if they were empty. pool: the manifest of `spec`; disk:
    as of `room.needs`."""
    *_, found = _ever.get(
        (pool["metadata"].get("uid", ""), flavor.name, disk),
        lambda: (nodes, pool["spec"], ever(spec, flavor, nodes, disk)),
        lambda known: known[0] is nodes and known[1] is pool["spec"],
    )
    return found


def fits_ahead(pool: Manifest, spec: ResourcePoolSpec, line: Sequence[Standing], nodes: Sequence[NodeSeen]) -> int:
    """How many of a line, from its front, find room now with all that they wait for. pool: the manifest of `spec`."""
    key = pool["metadata"].get("uid", ""), line[0].resource if line else ""
    *_, found = _kept.get(
        key,
        lambda: (line, nodes, pool["spec"], _fits_ahead(spec, line, nodes)),
        lambda known: known[0] is line and known[1] is nodes and known[2] is pool["spec"],
    )
    return found


def _fits_ahead(spec: ResourcePoolSpec, line: Sequence[Standing], nodes: Sequence[NodeSeen]) -> int:
    flavors = {flavor.name: flavor for flavor in spec.flavors}
    room = _Room(usable(spec, nodes))
    for place, each in enumerate(line):
        flavor = flavors.get(each.flavor)
        if flavor is not None and not room.take(flavor, each.waiting, each.disk):
            return place
    return len(line)


class _Room:
    """What is left on the nodes."""

    def __init__(self, nodes: Sequence[NodeSeen]) -> None:
        self._nodes = nodes
        self._requested: list[Amounts] = [node.requested for node in nodes]
        self._pods = [node.pods for node in nodes]

    def take(self, flavor: Flavor, count: int, disk: int) -> bool:
        """Place so many instances. disk: as of `room.needs`. Returns whether all of them found room; if not, what is
        left is not to be used."""
        wanted = needs(flavor, disk)
        shares = [
            fitting(wanted, node, taken, pods)
            for node, taken, pods in zip(self._nodes, self._requested, self._pods, strict=True)
        ]
        if instances(flavor, self._nodes, shares) < count:
            return False
        if (flavor.hosts or 1) == 1:
            for index, share in enumerate(shares):
                placed = min(share, count)
                self._fill(index, wanted, placed)
                count -= placed
            return True
        for domain in domains(flavor, self._nodes):
            for _ in range(min(count, instances(flavor, *self._part(domain, shares)))):
                # The nodes with most shares: so as many groups find room as can at all.
                chosen = sorted(domain, key=lambda index: -shares[index])[: flavor.hosts]
                for index in chosen:
                    shares[index] -= 1
                    self._fill(index, wanted, 1)
                count -= 1
        return True

    def _part(self, domain: Sequence[int], shares: Sequence[int]) -> tuple[list[NodeSeen], list[int]]:
        return [self._nodes[index] for index in domain], [shares[index] for index in domain]

    def _fill(self, index: int, wanted: Mapping[str, int], count: int) -> None:
        if count:
            taken = self._requested[index]
            more = {name: taken.get(name, 0) + count * each for name, each in wanted.items()}
            self._requested[index] = {**taken, **more}
            self._pods[index] += count
