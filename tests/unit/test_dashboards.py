"""M16: the chart's dashboard asks for metrics that there are, by labels that they have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_metrics import SHOWN

DASHBOARDS = Path(__file__).parents[2] / "charts" / "maas-operator" / "files" / "dashboards"
SELECTOR = re.compile(r"\b(maas_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)(?:=~|!~|!=|=)\"")
GROUPED = re.compile(r"\bby \(([^)]*)\)")

LABELS = {
    sample.name: {label for each in family.samples if each.name == sample.name for label in each.labels}
    for family in SHOWN.values()
    for sample in family.samples
}
"""Of each sample that our processes show."""


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


BOARDS = {path.name: json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")}
QUERIES = [
    (panel["title"], target["expr"], target["legendFormat"])
    for dashboard in BOARDS.values()
    for panel in panels(dashboard)
    for target in panel["targets"]
]


@pytest.mark.parametrize(
    ("title", "query", "legend"), QUERIES, ids=[f"{query[0]}-{i}" for i, query in enumerate(QUERIES)]
)
def test_m16_each_panel_asks_for_what_we_show(title: str, query: str, legend: str) -> None:
    found = SELECTOR.findall(query)
    assert found, title
    for name, matchers in found:
        assert name in LABELS, f"{title}: nothing shows {name}"
        asked = set(MATCHER.findall(matchers)) | {
            each.strip() for by in GROUPED.findall(query) for each in by.split(",")
        }
        assert asked <= LABELS[name] | {""}, f"{title}: {name} has no such label"
    grouped = {each.strip() for by in GROUPED.findall(query) for each in by.split(",")}
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= grouped, title


def test_m16_each_choice_is_filled_from_what_we_show() -> None:
    for dashboard in BOARDS.values():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                name, label = re.findall(r"label_values\((maas_[a-z_]+).*, (\w+)\)", variable["definition"])[0]
                assert label in LABELS[name]


def test_m16_there_are_rows_for_services_pools_and_costs_and_every_panel_says_what_it_is() -> None:
    (dashboard,) = BOARDS.values()
    assert [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"] == ["Services", "Pools", "Costs"]
    places = [tuple(panel["gridPos"][side] for side in "xy") for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["title"] and panel["targets"] for panel in panels(dashboard))
