"""What the chart's tests share: real helm, and a real API server without our CRDs: the chart brings them."""

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.chart.auth import OPERATOR, RBAC, SEEN_SECONDS, maas
from tests.chart.helm import Helm
from tests.chart.release import Releases
from tests.cluster import Cluster
from tests.cluster.client import MERGE_PATCH
from tests.cluster.waiting import wait_until

NUMBER = int(os.environ.get("MAAS_TEST_CLUSTER", "30")) + 1
"""Beside the cluster of tests/api, which has the CRDs."""


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm for rendering: it sees no cluster."""
    return Helm(Cluster(NUMBER).binary("helm"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster of profile `api`: no controllers, no nodes."""
    made = Cluster(NUMBER)
    made.down()  # what a killed run left
    try:
        made.up("api")
        yield made
    finally:
        made.down()


@pytest.fixture
def releases(cluster: Cluster, helm: Helm) -> Iterator[Releases]:
    """Installs releases, and leaves none behind."""
    made = Releases(cluster, Helm(helm.binary, cluster.kubeconfig))
    yield made
    made.clean()


@pytest.fixture(scope="module")
def installed(cluster: Cluster, helm: Helm) -> Iterator[Releases]:
    """The chart, with all that a value asks permissions for, and accounts team-a and team-b."""
    releases = Releases(cluster, Helm(helm.binary, cluster.kubeconfig))
    releases.install("--set", "notifications.enabled=true")
    for account in ("team-a", "team-b"):
        releases.apply(f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {account}}}}}")
    yield releases
    releases.clean()


@pytest.fixture
def nothing_granted(installed: Releases) -> Iterator[None]:
    """What the tool made in a test is gone after it."""
    yield
    kinds = "clusterrolebindings,rolebindings,clusterroles,roles"
    installed.cluster.kubectl("delete", kinds, "-A", "-l", "app.kubernetes.io/managed-by=kubectl-maas")


@pytest.fixture
def taken(installed: Releases) -> Iterator[None]:
    """The operator may neither delete pods nor renew its Lease."""
    with closing(installed.cluster.client()) as client:
        places = (f"{RBAC}/clusterroles/{OPERATOR}", f"{RBAC}/namespaces/maas-system/roles/{OPERATOR}")
        before = {path: client.request("GET", path)["rules"] for path in places}
        for path, verb, resource in zip(places, ("delete", "update"), ("pods", "leases"), strict=True):
            rules = [
                rule | {"verbs": [each for each in rule["verbs"] if each != verb]}
                if rule["resources"] == [resource]
                else rule
                for rule in before[path]
            ]
            client.request("PATCH", path, {"rules": rules}, MERGE_PATCH)
        wait_until(lambda: "2 of the" in maas(installed, "auth", "check").err, SEEN_SECONDS, "both to be missed")
        yield
        for path, rules in before.items():
            client.request("PATCH", path, {"rules": rules}, MERGE_PATCH)
    wait_until(lambda: maas(installed, "auth", "check").code == 0, SEEN_SECONDS, "all to be granted again")
