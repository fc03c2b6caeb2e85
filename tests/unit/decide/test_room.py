"""Room: which nodes take pods, and how many instances they hold."""

import pytest

from maas_operator.api.resourcepool import Flavor, ResourcePoolSpec
from maas_operator.decide.room import capacity, describe, free, needs, usable
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
