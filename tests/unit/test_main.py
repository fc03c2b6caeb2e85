"""The command line, and what the pages say of it."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client import REGISTRY

from maas_operator.main import cli

OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"


@pytest.mark.parametrize(
    ("text", "named"),
    [("drainSecond: 60", "drainSecond"), ("accelerators: {nvida: {image: 'x:1'}}", "nvida: this operator knows")],
)
def test_a_setting_that_is_mistyped_is_told_at_the_start(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    ended = CliRunner().invoke(cli, ["run", f"--settings={path}"], terminal_width=1000)
    assert ended.exit_code == 2
    assert named in ended.output


def test_the_pages_name_every_metric_and_none_that_is_not_there() -> None:
    families = [family for family in REGISTRY.collect() if family.name.startswith("maas_operator_")]
    metrics = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    assert set(re.findall(r"\bmaas_operator_[a-z_]+", OPERATING.read_text())) == metrics
