"""What the chart's tests share: real helm, and a real API server without our CRDs: the chart brings them."""

import os
from collections.abc import Iterator

import pytest

from tests.chart.helm import Helm
from tests.chart.release import Releases
from tests.cluster import Cluster

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
