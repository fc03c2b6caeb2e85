"""A real scheduler and real controllers over kwok's nodes, an operator beside them, and an account with a pool."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.operator_process import Account, Operator, custom, operator_process
from tests.cluster import Cluster
from tests.pools.room import NPUS, NPUS_A_NODE, Room

CRDS = Path(__file__).parents[2] / "crds"
NUMBER = int(os.environ.get("MAAS_POOLS_CLUSTER", "35"))
NODES = 2
FLAGS = {"kube-controller-manager": ["--horizontal-pod-autoscaler-sync-period=1s"]}
"""Left out, a HorizontalPodAutoscaler is first looked at after 15 s."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    made = Cluster(NUMBER)
    made.down()
    try:
        made.up("kwok", flags=FLAGS)
        made.kubectl("apply", "--server-side", "-f", str(CRDS))
        made.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
        made.add_kwok_nodes(NODES, {NPUS: str(NPUS_A_NODE)}, {"accelerator": "huawei-Ascend910"}, prefix="ascend")
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with operator_process(cluster, log, "--no-leader-election") as started:
        started.wait_ready()
        yield started


@pytest.fixture(scope="session")
def account(cluster: Cluster) -> Account:
    made = Account(cluster, "team-a")
    flavors = [
        {"name": f"910b-x{count}", "accelerator": {"type": "ascend-910b", "count": count}, "cpu": "4", "memory": "16Gi"}
        for count in (2, 8)
    ]
    spec = {"nodeSelector": {"accelerator": "huawei-Ascend910"}, "flavors": flavors}
    made.apply(custom("ResourcePool", "ascend", spec=spec))
    return made


@pytest.fixture(scope="session")
def room(cluster: Cluster, account: Account) -> Room:
    return Room(cluster, account)
