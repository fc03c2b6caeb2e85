"""M3: what an instance needs of a node beside its accelerators, as the real scheduler counts it."""

import json

from tests.api.operator_process import Account, Operator, custom
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.pools.room import NPUS, NPUS_A_NODE, SEEN_SECONDS

POOL, MODEL, NAME = "fast", "large", "fast"
HCA = "rdma/hca_shared_devices_a"
FLAVOR = {
    "name": "half",
    "accelerator": {"type": "ascend-910b", "count": NPUS_A_NODE // 2},
    "devices": {HCA: 1},
    "cpu": "1",
    "memory": "1Gi",
}


def test_m3_further_devices_and_room_for_weights_are_counted_as_the_scheduler_does(
    cluster: Cluster, operator: Operator, account: Account
) -> None:
    """One of two nodes has a card, and room for the weights of one instance."""
    cluster.add_kwok_nodes(1, {NPUS: str(NPUS_A_NODE), HCA: "1"}, {"pool": POOL}, prefix=POOL)
    cluster.add_kwok_nodes(1, {NPUS: str(NPUS_A_NODE)}, {"pool": POOL}, prefix=f"{POOL}-without-card")
    weights = {"size": "600Gi", "precision": "int8"}
    version = {"name": "1k", "source": "hf://acme/large", "contextLength": 1024, "weights": weights}
    free = {key: value for key, value in FLAVOR.items() if key != "devices"} | {"name": "without-card"}
    account.apply(
        custom("ResourcePool", POOL, spec={"nodeSelector": {"pool": POOL}, "flavors": [FLAVOR, free]}),
        custom("Model", MODEL, spec={"versions": [version]}),
    )

    def capacity() -> dict[str, int]:
        status = json.loads(cluster.kubectl("get", "rpool", POOL, "-o", "json")).get("status", {})
        return {row["name"]: row["capacity"] for row in status.get("flavors", [])}

    def lacks(*words: str) -> None:
        def said() -> bool:
            message = account.condition("Scheduled", NAME).get("message", "")
            return all(each in message for each in words)

        account.eventually(said, f"the service to say {words}", operator, SEEN_SECONDS)

    wait_until(lambda: capacity() == {"half": 1, "without-card": 4}, SEEN_SECONDS, "the pool to count", operator.tail)

    account.serve(NAME, model={"name": MODEL}, resourcePool=POOL, flavor="half", instances=2)
    lacks("1 instance waiting", f"at most 0 {HCA} is free on a node", f"Insufficient {HCA}")

    account.patch("msvc", {"spec": {"flavor": "without-card", "instances": 3}}, NAME)
    lacks("1 instance waiting", "660Gi ephemeral-storage", "at most 364Gi", "Insufficient ephemeral-storage")
    account.delete("msvc", NAME)
