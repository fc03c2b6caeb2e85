"""How many of a line, from its front, find room together."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.resourcepool import ResourcePoolSpec
from maas_operator.api.seen import NodeSeen, Standing
from maas_operator.decide.packing import fits_ahead
from maas_operator.decide.room import free, usable
from tests.unit.decide.facts import node

RACK = "rack"
FLAVORS: list[dict[str, Any]] = [
    {"name": f"x{count}", "cpu": "1", "memory": "1Gi", "accelerator": {"type": "nvidia", "count": count}}
    for count in (1, 2, 4)
]
FLAVORS += [
    FLAVORS[1] | {"name": "pair", "hosts": 2},
    FLAVORS[2] | {"name": "rack-pair", "hosts": 2, "topologyKey": RACK},
]
NAMES = [flavor["name"] for flavor in FLAVORS]


def fits(nodes: list[NodeSeen], *line: tuple[str, int]) -> int:
    spec = {"flavors": FLAVORS}
    waiting = [
        Standing("ns", f"s{place}", "p", flavor, count, 0, waiting=count) for place, (flavor, count) in enumerate(line)
    ]
    return fits_ahead({"metadata": {}, "spec": spec}, ResourcePoolSpec.model_validate(spec), waiting, nodes)


def nodes(*free: int, racks: str = "") -> list[NodeSeen]:
    return [
        node(
            f"n{number}",
            labels={RACK: racks[number]} if racks else {},
            allocatable={"cpu": 64, "memory": "64Gi", "nvidia.com/gpu": 4},
            requested={"nvidia.com/gpu": 4 - devices},
        )
        for number, devices in enumerate(free)
    ]


def test_the_first_that_does_not_fit_ends_it() -> None:
    assert fits(nodes(4, 4)) == 0
    assert fits(nodes(4, 4), ("x4", 1), ("x4", 1), ("x1", 1)) == 2
    assert fits(nodes(4, 4), ("x4", 3), ("x1", 1)) == 0
    assert fits(nodes(3, 3), ("x2", 2), ("x1", 2), ("x1", 1)) == 2


def test_what_one_takes_another_has_not() -> None:
    assert fits(nodes(4), ("x2", 1), ("x2", 1), ("x2", 1)) == 2
    assert fits(nodes(4, 1), ("x1", 2), ("x4", 1)) == 1


def test_disk_that_one_takes_another_has_not() -> None:
    there = [node("n", allocatable={"cpu": 64, "memory": "64Gi", "nvidia.com/gpu": 4, "ephemeral-storage": 100})]
    spec = {"flavors": FLAVORS}
    line = [
        Standing("ns", name, "p", "x1", 1, 0, waiting=1, disk=disk) for name, disk in (("a", 60), ("b", 0), ("c", 60))
    ]
    assert fits_ahead({"metadata": {}, "spec": spec}, ResourcePoolSpec.model_validate(spec), line, there) == 2


def test_a_flavor_that_the_pool_no_longer_has_takes_nothing() -> None:
    assert fits(nodes(1), ("gone", 1), ("x1", 1)) == 2


def test_groups_of_hosts() -> None:
    assert fits(nodes(2, 2), ("pair", 1), ("x1", 1)) == 1
    assert fits(nodes(4, 2, 2), ("pair", 2), ("x1", 1)) == 1
    assert fits(nodes(4, 4, 4, 4, racks="abab"), ("rack-pair", 2), ("x1", 1)) == 1
    assert fits(nodes(4, 4, racks="ab"), ("rack-pair", 1)) == 0


@given(
    st.lists(st.integers(0, 4), max_size=4),
    st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 3)), min_size=1, max_size=3),
)
def test_each_that_fits_alone_is_the_first_that_fits(devices: list[int], line: list[tuple[str, int]]) -> None:
    there = nodes(*devices, racks="aabb"[: len(devices)])
    spec = ResourcePoolSpec.model_validate({"flavors": FLAVORS})
    first = next(flavor for flavor in spec.flavors if flavor.name == line[0][0])
    assert (fits(there, *line) > 0) == (free(first, usable(spec, there)) >= line[0][1])
