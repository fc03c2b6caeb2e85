"""A ResourcePool's figures."""

from typing import Any

from maas_operator.api.seen import Manifest, PodSeen, PoolSeen, Standing
from maas_operator.decide import decide_pool
from maas_operator.decide.accelerators import accelerators
from maas_operator.decide.pool import listed
from tests.unit.decide.facts import EARLIER, NOW, node, pod

ONE = {"name": "one", "cpu": "1", "memory": "1Gi"}


def pool(*flavors: Manifest, **spec: Any) -> Manifest:
    return {
        "metadata": {"name": "pool-a", "uid": "u", "generation": 3},
        "spec": {"flavors": list(flavors or [ONE]), **spec},
    }


def conditions(status: Manifest) -> dict[str, str]:
    return {each["type"]: f"{each['status']} {each['reason']}: {each['message']}" for each in status["conditions"]}


def test_a_pools_figures() -> None:
    nodes = [
        node(
            "a",
            allocatable={"cpu": 4, "memory": "8Gi"},
            requested={"cpu": 2, "memory": "2Gi"},
            requested_by_models={"cpu": 1, "memory": "1Gi"},
            pods=2,
            model_pods=1,
        ),
        node("b", ready=False, allocatable={"cpu": 4, "memory": "8Gi"}),
        node("c", labels={"pool": "other"}, allocatable={"cpu": 4, "memory": "8Gi"}),
    ]
    pods = [
        pod("runs"),
        pod("leaves", leaving=True),
        pod("ended", phase="Failed"),
        pod("waits", node=None),
        pod("waits-and-leaves", node=None, leaving=True),
        pod("of-its-service's-earlier-pool", pool="pool-b"),
        pod("of-another-flavor", flavor="two"),
    ]
    status = decide_pool(PoolSeen(pool(), nodes, ["team-a/x", "team-b/y"], pods), NOW).status
    assert {key: value for key, value in status.items() if key != "conditions"} == {
        "observedGeneration": 3,
        "services": 2,
        "users": ["team-a/x", "team-b/y"],
        "nodes": 3,
        "readyNodes": 2,
        "flavors": [{"name": "one", "capacity": 7, "used": 2, "free": 6, "waiting": 1}],
        "summary": "one: 2 used, 6 free",
    }
    assert conditions(status) == {
        "Accepted": "True Accepted: the spec can be carried out",
        "Ready": "True NodesFound: 2 of 3 nodes take pods",
    }


def test_m3_an_instance_of_several_hosts_is_used_once_all_its_hosts_have_a_node() -> None:
    two = ONE | {"hosts": 2}
    pods = [
        pod("whole-0", group="0"),
        pod("whole-1", group="0", node="node-2"),
        pod("half-0", group="1"),
        pod("half-1", group="1", node=None),
        pod("begun-0", group="2"),
        pod("leaves-0", group="3", leaving=True),
        pod("leaves-1", group="3", leaving=True),
        pod("of-another-service-0", group="0", service="other", node=None),
    ]
    row = decide_pool(PoolSeen(pool(two), [], [], pods), NOW).status["flavors"][0]
    assert (row["used"], row["waiting"]) == (2, 3)


def test_m12_instances_that_wait_in_line_have_no_pods_and_are_counted() -> None:
    line = [
        Standing("team-a", "assistant", "pool-a", "one", desired=4, placed=1, since="x", waiting=3),
        Standing("team-b", "x", "pool-a", "one", desired=2, placed=0, since="y", waiting=2),
        Standing("team-b", "pods-are-being-made", "pool-a", "one", desired=7, placed=0, since="z"),
    ]
    pods = [pod("runs"), pod("waits", node=None)]
    row = decide_pool(PoolSeen(pool(), [], [], pods, line), NOW).status["flavors"][0]
    assert (row["used"], row["waiting"]) == (1, 5)


def test_a_pool_of_a_long_name_counts_its_pods() -> None:
    from maas_operator.decide.identity import label_value

    name = "x" * 100
    seen = PoolSeen(pool() | {"metadata": {"name": name}}, [], [], [pod("a", pool=label_value(name))])
    assert decide_pool(seen, NOW).status["flavors"][0]["used"] == 1


def test_a_pool_without_nodes_waits_for_them() -> None:
    status = decide_pool(PoolSeen(pool(nodeSelector={"a": "b"}), [node("a")], [], []), NOW).status
    assert conditions(status)["Ready"] == "False NoNodes: 0 nodes match spec.nodeSelector, and none of them takes pods"
    assert conditions(status)["Reconciling"].startswith("True NoNodes")


def test_no_room_is_promised_for_an_accelerator_that_nobody_knows() -> None:
    """Otherwise its flavor would be counted by cpu and memory alone."""
    odd = ONE | {"name": "odd", "accelerator": {"type": "abacus", "count": 1}}
    status = decide_pool(
        PoolSeen(pool(odd, ONE), [node("a", allocatable={"cpu": 4, "memory": "8Gi"})], [], []), NOW
    ).status
    assert [(row["capacity"], row["free"]) for row in status["flavors"]] == [(0, 0), (4, 4)]
    assert conditions(status)["Stalled"] == (
        "True AcceleratorUnknown: unknown accelerator types: odd (abacus); this operator knows "
        f"{', '.join(accelerators())}"
    )


def test_m3_a_flavor_that_asks_for_the_accelerators_resource_twice_is_said_to_be_impossible() -> None:
    twice = ONE | {"accelerator": {"type": "nvidia", "count": 2}, "devices": {"nvidia.com/gpu": 2}}
    status = decide_pool(PoolSeen(pool(twice), [node("a")], [], []), NOW).status
    assert conditions(status)["Stalled"].startswith(
        f"True FlavorImpossible: flavor {ONE['name']} names nvidia.com/gpu among its devices"
    )


def test_a_spec_that_cannot_be_read_is_said_to_be_invalid() -> None:
    status = decide_pool(PoolSeen(pool(ONE | {"cpu": "much"}), [], ["team-a/x"], []), NOW).status
    assert conditions(status)["Stalled"].startswith("True Invalid: spec.flavors.0.cpu: String should match pattern")
    assert status["users"] == ["team-a/x"]
    assert "flavors" not in status


def test_twenty_users_are_named() -> None:
    users = [f"team/{number}" for number in range(25)]
    status = decide_pool(PoolSeen(pool(), [], users, []), NOW).status
    assert (status["services"], status["users"]) == (25, users[:20])


def test_the_summary_of_many_flavors_is_cut_between_two() -> None:
    flavors = [ONE | {"name": f"f{number:02}{'x' * 60}"} for number in range(64)]
    summary = decide_pool(PoolSeen(pool(*flavors), [], [], []), NOW).status["summary"]
    assert len(summary) <= 4096
    assert summary.endswith("0 free, ...")


def test_a_list_that_fits_is_whole() -> None:
    assert listed(["abc", "def"], 8) == "abc, def"
    assert listed(["abc", "def", "ghi"], 12) == "abc, ..."


def test_its_status_moves_only_when_something_does() -> None:
    pods: list[PodSeen] = []
    first = decide_pool(PoolSeen(pool(), [node("a")], [], pods), EARLIER).status
    assert decide_pool(PoolSeen(pool() | {"status": first}, [node("a")], [], pods), NOW).status == first
