"""What the README says to apply is accepted as it is."""

import json
from pathlib import Path

import pytest

from tests.cluster import Cluster

pytestmark = pytest.mark.api
EXAMPLES = Path(__file__).parents[2] / "examples"
ACCOUNT = "team-a"
CATALOGUE = Path(__file__).parents[2] / "charts" / "maas-operator" / "files" / "catalogue"


@pytest.mark.parametrize("folder", sorted({folder.name for folder in EXAMPLES.iterdir()} - {"gitops"}))
def test_an_example_brings_all_that_it_names(cluster: Cluster, folder: str) -> None:
    namespace = f"namespace/{ACCOUNT}"
    assert namespace in cluster.kubectl("apply", "--dry-run=client", "-o", "name", "-f", str(EXAMPLES / folder))
    if not cluster.kubectl("get", namespace, "--ignore-not-found", "-o", "name"):
        cluster.kubectl("create", "namespace", ACCOUNT)
    cluster.kubectl("apply", "--dry-run=server", "--server-side", "-f", str(EXAMPLES / folder))


def test_m4_the_catalogues_files_are_taken_as_they_are(cluster: Cluster) -> None:
    """Also by `kubectl apply -f`, for those who keep the catalogue in Git; i2: with the guide's five products."""
    applied = cluster.kubectl("apply", "--dry-run=server", "--server-side", "-o", "json", "-f", f"{CATALOGUE}")
    specs = [each["spec"] for each in json.loads(applied)["items"]]
    assert len(specs) == len(list(CATALOGUE.iterdir()))
    assert {
        each["product"]["name"]: (each["product"]["id"], each["product"]["modelName"])
        for each in specs
        if "product" in each
    } == {
        "maas-model-qwen-2.5-coder-32b": ("97a75a6d-7eb4-40c9-894b-8e9f5924b555", "Qwen/Qwen2.5-Coder-32B-Instruct"),
        "maas-model-qwen-2.5-32b": ("0a0bffe9-2f62-4ebb-8aee-118ede22b816", "Qwen/Qwen2.5-32B-Instruct"),
        "maas-model-llama-3.1-8b": ("ba5d2874-dc83-425e-af98-c810f11dad79", "meta-llama/Meta-Llama-3.1-8B-Instruct"),
        "maas-model-llama-3.1-70b": ("8d728109-0fb2-46c7-a406-1113634d72ab", "meta-llama/Meta-Llama-3.1-70B-Instruct"),
        "maas-model-mistral-7b-v0.1": ("269c3034-e6c7-4359-9e77-c3efedfaa778", "mistralai/Mistral-7B-Instruct-v0.1"),
    }
