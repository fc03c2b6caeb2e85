"""Helm, as the tests call it."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
CHART = Path(__file__).parents[2] / "charts" / "maas-operator"
CASES = ("default", "everything-on", "minimal")
OPERATOR, GATEWAY, LEDGER, LIMITS = "maas-operator", "maas-gateway", "maas-ledger", "maas-limits"
CATALOGUE = "maas-catalogue"
"""The parts of a release, as the label app.kubernetes.io/name says."""
GOLDEN = Path(__file__).parent / "golden"


class HelmError(Exception):
    """Helm refused; the text is what it printed."""


def values_of(case: str) -> Path:
    return GOLDEN / f"{case}.values.yaml"


@dataclass(frozen=True)
class Helm:
    """The binary, with the cluster it speaks to (None: rendering alone)."""

    binary: Path
    kubeconfig: Path | None = None

    def __call__(self, *arguments: str) -> str:
        """What it prints. Raises HelmError."""
        where = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        done = subprocess.run([str(self.binary), *arguments, *where], capture_output=True, text=True, check=False)
        if done.returncode:
            raise HelmError(done.stderr + done.stdout)
        return done.stdout

    def text(self, *flags: str, release: str = "maas", namespace: str = "maas-system", chart: Path = CHART) -> str:
        return self("template", release, str(chart), "--namespace", namespace, *flags)

    def render(self, *flags: str, release: str = "maas", namespace: str = "maas-system") -> list[Manifest]:
        """The manifests that the chart makes with the flags (--set and so on)."""
        text = self.text(*flags, release=release, namespace=namespace)
        return [manifest for manifest in yaml.safe_load_all(text) if manifest]

    def case(self, case: str) -> list[Manifest]:
        """The manifests of one of the golden cases."""
        return self.render("--values", str(values_of(case)))


def of_kind(manifests: Sequence[Manifest], kind: str, suffix: str = "", part: str = OPERATOR) -> list[Manifest]:
    """The manifests of the kind whose name ends so, of one part of the release."""
    return [
        each
        for each in manifests
        if each["kind"] == kind
        and each["metadata"]["name"].endswith(suffix)
        and each["metadata"]["labels"]["app.kubernetes.io/name"] == part
    ]


def the(manifests: Sequence[Manifest], kind: str, suffix: str = "", part: str = OPERATOR) -> Manifest:
    """The only one of them."""
    (only,) = of_kind(manifests, kind, suffix, part)
    return only
