"""What the API tests share: one real etcd and API server, with the five CRDs."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.admission import Admission
from tests.api.grants import Grants
from tests.api.operator_process import Account, Operator, operator_process
from tests.cluster import Cluster

FORGETS_SECONDS = 3
"""After twice as long the breakable cluster has forgotten what happened (etcd is compacted)."""
CRDS = Path(__file__).parents[2] / "crds"
NUMBER = int(os.environ.get("MAAS_TEST_CLUSTER", "30"))
"""Another one may be chosen, so that two checkouts can be tested beside each other."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster of profile `api` with crds/ applied. It audits: which permissions the operator uses is read
    there in the end (test_used_permissions.py)."""
    made = Cluster(NUMBER)
    made.down()  # what a killed run left
    try:
        made.up("api", audit=True)
        made.kubectl("apply", "--server-side", "-f", str(CRDS))
        made.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def admission(cluster: Cluster) -> Admission:
    """The API server, asked whether it takes an object."""
    return Admission(cluster.kubeconfig)


@pytest.fixture(scope="module")
def breakable_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster without our CRDs, whose API server a test may stop."""
    made = Cluster(NUMBER + 2, tmp_path_factory.mktemp("breakable-cluster"))
    made.down()
    try:
        made.up("api", flags={"kube-apiserver": [f"--etcd-compaction-interval={FORGETS_SECONDS}s"]})
        yield made
    finally:
        made.down()


@pytest.fixture
def operator(cluster: Cluster, tmp_path: Path) -> Iterator[Operator]:
    """The operator as a process, ready, without leader election, with the permissions that the chart grants."""
    grants = Grants(cluster, "maas-operator")
    grants.all_but()
    log = tmp_path / "operator.log"
    with operator_process(cluster, log, "--no-leader-election", kubeconfig=grants.kubeconfig) as started:
        started.wait_ready()
        yield started


_numbers = itertools.count(1)


@pytest.fixture
def new_account() -> Iterator[Callable[[Cluster], Account]]:
    """Makes accounts; their services are deleted afterwards (nothing removes a namespace here, without controllers)."""
    made: list[Account] = []

    def make(cluster: Cluster) -> Account:
        made.append(Account(cluster, f"account-{next(_numbers)}"))
        return made[-1]

    yield make
    for account in made:
        for kind in ("msvc", "apikeys", "mtopic", "deployments", "services", "poddisruptionbudgets", "secrets"):
            account.cluster.kubectl("delete", kind, "--all", f"--namespace={account.name}", "--wait=false")
        account.cluster.kubectl("delete", f"maasmodel/{account.name}", f"rpool/{account.name}", "--wait=false")


@pytest.fixture
def account(cluster: Cluster, new_account: Callable[[Cluster], Account]) -> Account:
    """A namespace with a model and a pool."""
    return new_account(cluster)
