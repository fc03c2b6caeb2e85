"""What the README says to apply is accepted as it is."""

from pathlib import Path

import pytest

from tests.cluster import Cluster

pytestmark = pytest.mark.api
EXAMPLES = Path(__file__).parents[2] / "examples"
ACCOUNT = "team-a"


@pytest.mark.parametrize("folder", sorted(folder.name for folder in EXAMPLES.iterdir()))
def test_an_example_brings_all_that_it_names(cluster: Cluster, folder: str) -> None:
    namespace = f"namespace/{ACCOUNT}"
    assert namespace in cluster.kubectl("apply", "--dry-run=client", "-o", "name", "-f", str(EXAMPLES / folder))
    if not cluster.kubectl("get", namespace, "--ignore-not-found", "-o", "name"):
        cluster.kubectl("create", "namespace", ACCOUNT)
    cluster.kubectl("apply", "--dry-run=server", "--server-side", "-f", str(EXAMPLES / folder))
