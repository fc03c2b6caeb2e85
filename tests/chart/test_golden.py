"""What the chart renders, word for word. `pytest tests/chart --update-golden` rewrites it; read the difference."""

from pathlib import Path

import pytest
import yaml

from tests.chart.helm import CASES, CHART, GOLDEN, Helm, values_of

each_case = pytest.mark.parametrize("case", CASES)


def _without_crds(text: str) -> str:
    """They are large, and compared with crds/ elsewhere."""
    documents = [part for part in text.split("---\n") if part.strip()]
    return "".join(f"---\n{part}" for part in documents if yaml.safe_load(part)["kind"] != "CustomResourceDefinition")


@each_case
def test_rendered_as_the_golden_file_says(helm: Helm, case: str, request: pytest.FixtureRequest) -> None:
    golden = GOLDEN / f"{case}.yaml"
    made = _without_crds(helm.text("--values", str(values_of(case))))
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
