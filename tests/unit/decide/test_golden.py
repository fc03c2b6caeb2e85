"""Golden pairs: NAME.in.yaml is what was seen, NAME.out.yaml what is decided. `pytest --update-golden` rewrites them."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from maas_operator.api.seen import ServiceSeen
from maas_operator.api.settings import Settings
from maas_operator.decide import decide_service

from tests.unit.decide.facts import node, pod

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def seen_from(text: str) -> tuple[ServiceSeen, Settings]:
    facts = yaml.safe_load(text)
    children = {(child["kind"], child["metadata"]["name"]): child for child in facts.get("children", [])}
    service = facts["service"]
    service["metadata"] = {"namespace": "team-a", "uid": "0a1b", "generation": 1} | service["metadata"]
    seen = ServiceSeen(
        service=service,
        model=facts.get("model"),
        pool=facts.get("pool"),
        namespace_labels=facts.get("namespaceLabels", {}),
        children=children,
        pods=[pod(**each) for each in facts.get("pods", [])],
        nodes=[node(**each) for each in facts.get("nodes", [])],
    )
    return seen, Settings.model_validate(facts.get("settings", {}))


@pytest.mark.parametrize("name", sorted(path.name.removesuffix(".in.yaml") for path in GOLDEN.glob("*.in.yaml")))
def test_golden(name: str, update_golden: bool) -> None:
    seen, settings = seen_from((GOLDEN / f"{name}.in.yaml").read_text())
    decision = asdict(decide_service(seen, settings, NOW))
    del decision["before"]
    decided = yaml.safe_dump(yaml.safe_load(yaml.dump(_plain(decision))), sort_keys=False, width=120)
    expected = GOLDEN / f"{name}.out.yaml"
    if update_golden:
        expected.write_text(decided)
    assert decided == expected.read_text()


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
