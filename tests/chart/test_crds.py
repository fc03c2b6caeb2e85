"""The chart's CRDs are those of crds/, kept over an uninstallation unless the user says otherwise."""

from pathlib import Path

import yaml

from tests.chart.helm import Helm, of_kind

CRDS = Path(__file__).parents[2] / "crds"


def test_the_chart_brings_crds_unchanged(helm: Helm) -> None:
    wanted = {file.stem: yaml.safe_load(file.read_text()) for file in CRDS.iterdir()}
    made = of_kind(helm.render(), "CustomResourceDefinition")
    assert {crd["metadata"]["name"].split(".")[0]: crd["spec"] for crd in made} == {
        name: crd["spec"] for name, crd in wanted.items()
    }


def test_crds_are_kept_by_default(helm: Helm) -> None:
    for crd in of_kind(helm.render(), "CustomResourceDefinition"):
        assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_crds_can_be_left_to_helm_or_to_the_administrator(helm: Helm) -> None:
    removed = of_kind(helm.render("--set", "crds.keep=false"), "CustomResourceDefinition")
    assert removed
    assert not any("annotations" in crd["metadata"] for crd in removed)
    assert not of_kind(helm.render("--set", "crds.install=false"), "CustomResourceDefinition")
