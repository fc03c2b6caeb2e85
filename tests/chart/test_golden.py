"""What the chart renders, word for word. `pytest tests/chart --update-golden` rewrites it; read the difference."""

from pathlib import Path

import pytest
import yaml

from tests.chart.helm import CASES, CATALOGUE, CHART, GOLDEN, Helm, Manifest, values_of

each_case = pytest.mark.parametrize("case", CASES)


def _shown(text: str) -> str:
    """Without the CRDs and the catalogue's Models: they are large, and compared with their files elsewhere."""
    documents = [part for part in text.split("---\n") if part.strip()]
    return "".join(f"---\n{part}" for part in documents if not _elsewhere(yaml.safe_load(part)))


def _elsewhere(manifest: Manifest) -> bool:
    part = manifest["metadata"]["labels"]["app.kubernetes.io/name"]
    return manifest["kind"] == "CustomResourceDefinition" or (manifest["kind"], part) == ("ConfigMap", CATALOGUE)


@each_case
def test_rendered_as_the_golden_file_says(helm: Helm, case: str, request: pytest.FixtureRequest) -> None:
    golden = GOLDEN / f"{case}.yaml"
    made = _shown(helm.text("--values", str(values_of(case))))
    if request.config.getoption("--update-golden"):
        golden.write_text(made)
    assert made == golden.read_text()


@each_case
def test_lint(helm: Helm, case: str) -> None:
    helm("lint", "--strict", str(CHART), "--values", str(values_of(case)))


def test_the_package_renders_as_the_folder_does(helm: Helm, tmp_path: Path) -> None:
    helm("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.iterdir()
    assert helm.text(chart=package) == helm.text()


def test_rendering_twice_gives_the_same(helm: Helm) -> None:
    assert helm.text() == helm.text()
