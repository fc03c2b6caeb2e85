"""ResourcePools on many nodes: the real scheduler and controllers, kwok's nodes, Ascend as their extended resource."""

import json
from typing import Any

from tests.api.operator_process import Account, Operator
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.pools.room import NPUS, NPUS_A_NODE, SEEN_SECONDS


def rows(cluster: Cluster) -> dict[str, dict[str, int]]:
    status = json.loads(cluster.kubectl("get", "rpool", "ascend", "-o", "json")).get("status", {})
    return {row.pop("name"): row for row in status.get("flavors", [])}


def expect(cluster: Cluster, operator: Operator, **flavors: tuple[int, int, int, int]) -> None:
    """Wait until the pool shows (capacity, used, free, waiting) of each flavor."""
    names = {"x2": "910b-x2", "x8": "910b-x8"}
    words = ("capacity", "used", "free", "waiting")
    wanted = {names[short]: dict(zip(words, figures, strict=True)) for short, figures in flavors.items()}

    def shown() -> bool:
        return rows(cluster) == wanted

    wait_until(shown, SEEN_SECONDS, f"the pool to show {wanted}", lambda: f"{rows(cluster)}\n{operator.tail()}")


def phase(account: Account, name: str) -> Any:
    return (account.get("msvc", name) or {}).get("status", {}).get("phase")


def test_m3_m12_a_pool_counts_its_room_and_services_queue_for_it(
    cluster: Cluster, operator: Operator, account: Account
) -> None:
    expect(cluster, operator, x2=(8, 0, 8, 0), x8=(2, 0, 2, 0))

    account.serve("small", resourcePool="ascend", flavor="910b-x2", instances=3)
    wait_until(lambda: phase(account, "small") == "Running", SEEN_SECONDS, "three instances to run", operator.tail)
    used = rows(cluster)["910b-x2"]["used"]
    wait_until(lambda: rows(cluster)["910b-x2"]["used"] == 3, SEEN_SECONDS, f"3 to be used, not {used}")
    assert rows(cluster)["910b-x2"]["free"] == 5

    account.serve("large", resourcePool="ascend", flavor="910b-x8", instances=2)
    wait_until(lambda: rows(cluster)["910b-x8"]["waiting"] >= 1, SEEN_SECONDS, "an instance to wait", operator.tail)
    message = wait_until(
        lambda: account.condition("Scheduled", "large").get("message"),
        SEEN_SECONDS,
        "the service to say what it waits for",
    )
    assert f"8 {NPUS}" in message
    assert "pool ascend" in message
    assert "Insufficient" in message

    account.delete("msvc", "small")
    wait_until(lambda: phase(account, "large") == "Running", SEEN_SECONDS, "room to start it by itself", operator.tail)
    expect(cluster, operator, x2=(8, 0, 0, 0), x8=(2, 2, 0, 0))
    account.delete("msvc", "large")
    expect(cluster, operator, x2=(8, 0, 8, 0), x8=(2, 0, 2, 0))


def test_other_tenants_pods_take_room(cluster: Cluster, operator: Operator, account: Account) -> None:
    container = {"name": "c", "image": "x", "resources": {"limits": {NPUS: "4"}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger", "namespace": "default"}}
    account.apply(pod | {"spec": {"containers": [container]}})
    expect(cluster, operator, x2=(6, 0, 6, 0), x8=(1, 0, 1, 0))
    cluster.kubectl("delete", "pod", "stranger", "-n", "default", "--wait=false")
    expect(cluster, operator, x2=(8, 0, 8, 0), x8=(2, 0, 2, 0))


def test_a_node_that_is_cordoned_or_leaves_or_returns_is_seen(
    cluster: Cluster, operator: Operator, account: Account
) -> None:
    cluster.kubectl("cordon", "ascend-0000")
    expect(cluster, operator, x2=(4, 0, 4, 0), x8=(1, 0, 1, 0))
    cluster.kubectl("uncordon", "ascend-0000")
    expect(cluster, operator, x2=(8, 0, 8, 0), x8=(2, 0, 2, 0))
    cluster.kubectl("delete", "node", "ascend-0001")
    expect(cluster, operator, x2=(4, 0, 4, 0), x8=(1, 0, 1, 0))
    cluster.add_kwok_nodes(1, {NPUS: str(NPUS_A_NODE)}, {"accelerator": "huawei-Ascend910"}, prefix="fresh")
    expect(cluster, operator, x2=(8, 0, 8, 0), x8=(2, 0, 2, 0))


def test_a_node_that_is_tainted_or_loses_its_device_plugin_or_its_life_is_seen(
    cluster: Cluster, operator: Operator, account: Account
) -> None:
    whole, half = {"x2": (8, 0, 8, 0), "x8": (2, 0, 2, 0)}, {"x2": (4, 0, 4, 0), "x8": (1, 0, 1, 0)}
    cluster.kubectl("taint", "node", "ascend-0000", "repair=yes:NoSchedule")
    expect(cluster, operator, **half)
    cluster.kubectl("taint", "node", "ascend-0000", "repair-")
    expect(cluster, operator, **whole)
    cluster.set_node_capacity("ascend-0000", {NPUS: "0"})
    expect(cluster, operator, **half)
    cluster.set_node_capacity("ascend-0000", {NPUS: str(NPUS_A_NODE)})
    expect(cluster, operator, **whole)
    assert operator.metric('maas_pool_instances{flavor="910b-x2",pool="ascend",state="free"}') == 8


def test_m3_a_flavor_that_the_pool_lacks_is_refused_with_those_it_has(operator: Operator, account: Account) -> None:
    account.serve("odd", resourcePool="ascend", flavor="910b-x3")
    message = wait_until(
        lambda: account.condition("Accepted", "odd").get("message"), SEEN_SECONDS, "the refusal", operator.tail
    )
    assert "910b-x2" in message
    assert "910b-x8" in message
    account.delete("msvc", "odd")
