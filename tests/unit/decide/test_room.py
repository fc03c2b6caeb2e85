"""Room: which nodes take pods, and how many instances they hold."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.resourcepool import Flavor, ResourcePoolSpec
from maas_operator.api.seen import NodeSeen
from maas_operator.decide.room import DISK, capacity, describe, ever, free, instances, needs, resource, usable
from tests.unit.decide.facts import node

SMALL = {"name": "small", "cpu": "1500m", "memory": "2Gi"}
GPU = SMALL | {"name": "gpu", "accelerator": {"type": "nvidia", "count": 2}}


def flavor(**fields: object) -> Flavor:
    return Flavor.model_validate(SMALL | fields)


def pool(**fields: object) -> ResourcePoolSpec:
    return ResourcePoolSpec.model_validate({"flavors": [SMALL]} | fields)


def test_an_instance_needs_what_its_flavor_says() -> None:
    assert needs(flavor()) == {"cpu": 1500, "memory": 2 * 2**30}
    assert needs(Flavor.model_validate(GPU)) == {"cpu": 1500, "memory": 2 * 2**30, "nvidia.com/gpu": 2}


def test_m3_further_devices_are_needed_beside_the_accelerator_which_is_what_one_stands_in_line_for() -> None:
    hca = {"rdma/hca": 1}
    fast = Flavor.model_validate(GPU | {"devices": hca})
    assert needs(fast) == {**needs(Flavor.model_validate(GPU)), **hca}
    assert resource(fast) == "nvidia.com/gpu"
    assert resource(flavor(devices=hca)) == "cpu"


@pytest.mark.parametrize(
    ("cards", "one", "pairs"), [((4, 4), 8, 4), ((4, 1), 5, 1), ((0, 4), 4, 0), ((None, 4), 4, 0)]
)  # fmt: skip
def test_m3_further_devices_count_on_each_host(cards: tuple[int | None, ...], one: int, pairs: int) -> None:
    there = [
        node(
            f"n{number}",
            allocatable={"cpu": 64, "memory": "1Ti", "nvidia.com/gpu": 8}
            | ({} if each is None else {"rdma/hca": each}),
        )
        for number, each in enumerate(cards)
    ]
    fast = GPU | {"devices": {"rdma/hca": 1}}
    for hosts, count in ((1, one), (2, pairs)):
        wanted = Flavor.model_validate(fast | {"hosts": hosts})
        assert {free(wanted, there), capacity(wanted, there), ever(pool(), wanted, there)} == {count}


def test_disk_for_weights_counts_as_the_scheduler_counts_it() -> None:
    """A node that tells of none has none."""
    large = {"cpu": 64, "memory": "1Ti"}
    there = [
        node("a", allocatable=large | {DISK: "100Gi"}, requested={DISK: "10Gi"}, pods=1),
        node("b", allocatable=large),
    ]
    assert free(flavor(), there, 30 * 2**30) == 3
    assert ever(pool(), flavor(), there, 30 * 2**30) == 3
    assert free(flavor(), there, 91 * 2**30) == 0
    assert describe(pool(), flavor(), there, 91 * 2**30) == (
        "an instance needs 1.5 cpu, 2Gi memory, 91Gi ephemeral-storage on one node; of 2 nodes that take pods, at most "
        "90Gi ephemeral-storage is free on a node"
    )


@pytest.mark.parametrize(
    ("nodes", "room", "room_beside_others"),
    [
        ([], 0, 0),
        ([{"allocatable": {"cpu": 3, "memory": "4Gi"}}], 2, 2),
        ([{"allocatable": {"cpu": "2.9", "memory": "40Gi"}}], 1, 1),
        ([{"allocatable": {"cpu": 30, "memory": "4095Mi"}}], 1, 1),
        ([{"allocatable": {"cpu": 30, "memory": "40Gi", "pods": 3}, "pods": 2}], 1, 1),
        ([{"allocatable": {"cpu": 3, "memory": "4Gi"}, "requested": {"cpu": 1}, "pods": 1}], 1, 1),
        (
            [
                {
                    "allocatable": {"cpu": 3, "memory": "4Gi"},
                    "requested": {"cpu": 3},
                    "requested_by_models": {"cpu": 3},
                    "pods": 2,
                    "model_pods": 2,
                }
            ],
            0,
            2,
        ),
        ([{"allocatable": {"cpu": 9, "memory": "9Gi", "pods": 2}, "pods": 2, "model_pods": 1}], 0, 1),
        ([{"allocatable": {"cpu": 1, "memory": "4Gi"}, "requested": {"cpu": 5}, "pods": 1}], 0, 0),
        ([{"allocatable": {"cpu": 1, "memory": "4Gi"}}, {"allocatable": {"cpu": 1, "memory": "4Gi"}}], 0, 0),
        ([{"allocatable": {"cpu": 2, "memory": "4Gi"}}, {"allocatable": {"cpu": 2, "memory": "4Gi"}}], 2, 2),
    ],
)
def test_instances_fit_on_one_node_each(nodes: list[dict[str, object]], room: int, room_beside_others: int) -> None:
    seen = [node(f"node-{number}", **facts) for number, facts in enumerate(nodes)]
    assert (free(flavor(), seen), capacity(flavor(), seen)) == (room, room_beside_others)


def test_devices_count_too() -> None:
    nodes = [
        node(
            "a", allocatable={"cpu": 64, "memory": "1Ti", "nvidia.com/gpu": 8}, requested={"nvidia.com/gpu": 3}, pods=1
        )
    ]
    assert free(Flavor.model_validate(GPU), nodes) == 2
    assert free(Flavor.model_validate(GPU), [node("a", allocatable={"cpu": 64, "memory": "1Ti"})]) == 0


TAINT = ["k", "v", "NoSchedule"]


@pytest.mark.parametrize(
    ("facts", "spec", "takes"),
    [
        ({}, {}, True),
        ({"labels": {"a": "b", "c": "d"}}, {"nodeSelector": {"a": "b"}}, True),
        ({"labels": {"a": "x"}}, {"nodeSelector": {"a": "b"}}, False),
        ({}, {"nodeSelector": {"a": "b"}}, False),
        ({"ready": False}, {}, False),
        ({"cordoned": True}, {}, False),
        ({"taints": [TAINT]}, {}, False),
        ({"taints": [["k", "v", "PreferNoSchedule"]]}, {}, True),
        ({"taints": [TAINT]}, {"tolerations": [{"key": "k", "operator": "Exists"}]}, True),
        ({"taints": [TAINT]}, {"tolerations": [{"key": "k", "value": "v"}]}, True),
        ({"taints": [TAINT]}, {"tolerations": [{"key": "k", "operator": "Equal", "value": "w"}]}, False),
        ({"taints": [["k", "", "NoSchedule"]]}, {"tolerations": [{"key": "k"}]}, True),
        ({"taints": [TAINT]}, {"tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute"}]}, False),
        ({"taints": [TAINT]}, {"tolerations": [{"key": "other", "operator": "Exists"}]}, False),
        ({"taints": [TAINT, ["l", "", "NoExecute"]]}, {"tolerations": [{"key": "k", "operator": "Exists"}]}, False),
        ({"taints": [TAINT, ["l", "", "NoExecute"]]}, {"tolerations": [{"operator": "Exists"}]}, True),
    ],
)
def test_which_nodes_take_pods(facts: dict[str, object], spec: dict[str, object], takes: bool) -> None:
    assert bool(usable(pool(**spec), [node("a", **facts)])) is takes


def test_what_is_lacking_is_said_in_numbers() -> None:
    nodes = [
        node("a", allocatable={"cpu": 2, "memory": "1Gi"}),
        node("b", allocatable={"cpu": 1, "memory": "8Gi"}),
    ]
    assert describe(pool(), flavor(), nodes) == (
        "an instance needs 1.5 cpu, 2Gi memory on one node; of 2 nodes that take pods, no single "
        "node has all of it free at once"
    )
    assert describe(pool(), flavor(), nodes[:1]).endswith("at most 1Gi memory is free on a node")
    assert describe(pool(), Flavor.model_validate(GPU), nodes[:1]).endswith(
        "at most 1Gi memory is free on a node; at most 0 nvidia.com/gpu is free on a node"
    )
    assert describe(pool(nodeSelector={"a": "b"}), flavor(), nodes).endswith("the pool has no node (its selector: a=b)")
    assert describe(pool(), flavor(), []).endswith("the pool has no node (its selector: any)")


RACK = "topology.example/rack"
PAIR = GPU | {"name": "pair", "hosts": 2}


def hosts(*free: int, racks: str = "") -> list[NodeSeen]:
    """Nodes with so many free devices each, of 8; each in the rack of its letter, "-" being none."""
    return [
        node(
            f"n{number}",
            labels={} if racks[number : number + 1] in {"", "-"} else {RACK: racks[number]},
            allocatable={"cpu": 64, "memory": "1Ti", "nvidia.com/gpu": 8},
            requested={"nvidia.com/gpu": 8 - devices},
            pods=1,
        )
        for number, devices in enumerate(free)
    ]


@pytest.mark.parametrize(
    ("nodes", "count"),
    [
        (hosts(), 0),
        (hosts(8), 0),
        (hosts(8, 1), 0),
        (hosts(2, 2), 1),
        (hosts(8, 2), 1),
        (hosts(8, 2, 2, 2), 3),
        (hosts(8, 8, 8), 6),
        (hosts(4, 4, 4, 2), 3),
    ],
)
def test_m3_an_instance_of_several_hosts_counts_whole_hosts(nodes: list[NodeSeen], count: int) -> None:
    assert free(Flavor.model_validate(PAIR), nodes) == count


@pytest.mark.parametrize(
    ("nodes", "count"),
    [
        (hosts(2, 2, racks="ab"), 0),
        (hosts(2, 2, racks="aa"), 1),
        (hosts(2, 2, 2, 2, racks="abab"), 2),
        (hosts(2, 2, 2, racks="aab"), 1),
        (hosts(2, 2, 2, racks="a--"), 0),
    ],
)
def test_m3_the_hosts_of_an_instance_share_the_value_of_the_topology_label(nodes: list[NodeSeen], count: int) -> None:
    assert free(Flavor.model_validate(PAIR | {"topologyKey": RACK}), nodes) == count
    assert capacity(Flavor.model_validate(PAIR | {"topologyKey": RACK}), nodes) == count


def most_groups(size: int, shares: tuple[int, ...]) -> int:
    """By trying all."""
    best = 0
    for chosen in combinations([index for index, share in enumerate(shares) if share], size):
        left = tuple(share - (index in chosen) for index, share in enumerate(shares))
        best = max(best, 1 + most_groups(size, left))
    return best


@given(st.integers(1, 3), st.lists(st.integers(0, 3), max_size=4))
def test_m3_as_many_instances_as_trying_all_finds(size: int, shares: list[int]) -> None:
    found = instances(Flavor.model_validate(SMALL | {"hosts": size}), [node(f"n{each}") for each in shares], shares)
    assert found == most_groups(size, tuple(shares))


def test_m12_what_the_nodes_could_hold_if_they_were_empty() -> None:
    nodes = [
        *hosts(0, 0),
        node("cordoned", cordoned=True, allocatable={"cpu": 64, "memory": "1Ti", "nvidia.com/gpu": 8}),
        node("lost", ready=False, taints=[["node.kubernetes.io/unreachable", "", "NoExecute"]],
             allocatable={"cpu": 64, "memory": "1Ti", "nvidia.com/gpu": 8}),
        node("others", taints=[["team", "x", "NoSchedule"]],
             allocatable={"cpu": 64, "memory": "1Ti", "nvidia.com/gpu": 8}),
        node("without-device-plugin", allocatable={"cpu": 64, "memory": "1Ti", "nvidia.com/gpu": 0}),
    ]  # fmt: skip
    assert ever(pool(), Flavor.model_validate(GPU), nodes) == 16
    assert ever(pool(), Flavor.model_validate(GPU | {"accelerator": {"type": "nvidia", "count": 9}}), nodes) == 0


def test_what_stands_in_line_for_what() -> None:
    assert resource(flavor()) == "cpu"
    assert resource(Flavor.model_validate(GPU)) == "nvidia.com/gpu"


def test_what_an_instance_of_several_hosts_lacks_is_said_in_hosts() -> None:
    two = Flavor.model_validate(PAIR)
    asked = "an instance needs 1.5 cpu, 2Gi memory, 2 nvidia.com/gpu on each of 2 nodes"
    assert describe(pool(), two, hosts(8, 1)) == f"{asked}; of 2 nodes that take pods, 1 with all of it free at once"
    assert describe(pool(), two, hosts(1, 1)) == (
        f"{asked}; of 2 nodes that take pods, at most 1 nvidia.com/gpu is free on a node"
    )
    racks = Flavor.model_validate(PAIR | {"topologyKey": RACK})
    assert describe(pool(), racks, hosts(8, 2, 2, racks="abc")) == (
        f"{asked} of one {RACK}; of 3 nodes that take pods, 3 with all of it free at once, at most 1 of them of one "
        f"{RACK}"
    )
