"""The chart's CRDs are those of crds/, and stay where a release goes or leaves them out, unless the user wants not."""

from pathlib import Path

import yaml

from tests.chart.helm import LEDGER, Helm, of_kind, the

CRDS = Path(__file__).parents[2] / "crds"
KEPT = {
    "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    "helm.sh/resource-policy": "keep",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}
"""How Helm, Argo CD and Flux are told each that an object stays: Argo CD prunes what says Helm's word alone."""


def test_the_chart_brings_crds_unchanged(helm: Helm) -> None:
    wanted = {file.stem: yaml.safe_load(file.read_text()) for file in CRDS.iterdir()}
    made = of_kind(helm.render(), "CustomResourceDefinition")
    assert {crd["metadata"]["name"].split(".")[0]: crd["spec"] for crd in made} == {
        name: crd["spec"] for name, crd in wanted.items()
    }


def test_crds_and_the_bill_are_kept_by_default(helm: Helm) -> None:
    rendered = helm.render()
    crds = of_kind(rendered, "CustomResourceDefinition")
    assert len(crds) == len(list(CRDS.iterdir()))
    for kept in (*crds, the(rendered, "PersistentVolumeClaim", part=LEDGER)):
        assert kept["metadata"]["annotations"] == KEPT, kept["metadata"]["name"]


def test_crds_can_be_left_to_helm_or_to_the_administrator(helm: Helm) -> None:
    removed = of_kind(helm.render("--set", "crds.keep=false"), "CustomResourceDefinition")
    assert removed
    assert not any("annotations" in crd["metadata"] for crd in removed)
    assert not of_kind(helm.render("--set", "crds.install=false"), "CustomResourceDefinition")
