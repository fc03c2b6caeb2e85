"""The examples are accepted as they are, beside the catalogue and the objects of their own folder."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from maas_operator.api.seen import ServiceSeen
from maas_operator.api.settings import SourceSettings
from maas_operator.decide import sources
from maas_operator.decide.acceptance import Plan, accept
from maas_operator.decide.fit import fit
from tests.unit.catalogue.models import NAMES, manifest

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.name != "gitops")  # not for kubectl apply -f
NEEDS = {"scaling": "cpu"}
"""Folders whose objects another folder's need."""
FETCHING = SourceSettings(image="example.com/maas-operator:1")


def objects(folder: str) -> dict[tuple[str, str], dict[str, Any]]:
    """(kind, name) -> the object."""
    files = (yaml.safe_load_all(file.read_text()) for file in sorted((EXAMPLES / folder).iterdir()))
    found = [each for file in files for each in file]
    made = {(each["kind"], each["metadata"]["name"]): each for each in found}
    assert len(made) == len(found), "an object stands twice"
    return made


SERVICES = [(folder, name) for folder in FOLDERS for kind, name in objects(folder) if kind == "ModelService"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_m4_no_example_takes_a_model_of_the_catalogue_over(folder: str) -> None:
    """Applied by hand it would be somebody's own from then on, and no release would keep it up."""
    assert not {name for kind, name in objects(folder) if kind == "Model"} & set(NAMES)


@pytest.mark.parametrize(("folder", "name"), SERVICES)
def test_m3_an_examples_service_is_accepted(folder: str, name: str) -> None:
    there = (objects(NEEDS[folder]) if folder in NEEDS else {}) | objects(folder)
    service = there["ModelService", name]
    account, spec = service["metadata"]["namespace"], service["spec"]
    model = there.get(("Model", spec["model"]["name"])) or manifest(spec["model"]["name"])
    seen = ServiceSeen(
        service=service | {"metadata": {"uid": "0a1b", "generation": 1, **service["metadata"]}},
        model=model,
        pool=there["ResourcePool", spec["resourcePool"]],
        namespace_labels=there["Namespace", account]["metadata"].get("labels", {}),
        children={},
        pods=[],
        nodes=[],
        priority=there.get(("PriorityClass", spec.get("priorityClassName", "")), {}).get("value"),
    )
    plan = accept(seen)
    assert isinstance(plan, Plan), plan
    assert sources.refused(seen, plan, FETCHING) is None
    assert fit(plan.version, plan.flavor, plan.accelerator, plan.spec.engine).fits, "an example shows what is known"


def test_every_example_of_a_service_is_looked_at() -> None:
    assert {folder for folder, _ in SERVICES} == set(FOLDERS) - {"keys", "notifications"}
