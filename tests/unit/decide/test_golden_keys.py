"""M22, golden pairs of ApiKeys that the operator makes: what was seen, what is decided. `pytest --update-golden`."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from maas_operator.api.seen import ApiKeySeen, Manifest
from maas_operator.decide import decide_api_key
from tests.unit.decide.facts import NOW, settings_from

GOLDEN = Path(__file__).parent / "golden" / "keys"


@pytest.mark.parametrize("name", sorted(path.name.removesuffix(".in.yaml") for path in GOLDEN.glob("*.in.yaml")))
def test_m22_golden(name: str, update_golden: bool) -> None:
    facts: Manifest = yaml.safe_load((GOLDEN / f"{name}.in.yaml").read_text())
    key = facts["key"]
    decision = decide_api_key(ApiKeySeen(key, [key, *facts.get("account", ())]), settings_from(facts), NOW)
    shown = {
        "delivery": {type(decision.delivery).__name__: asdict(decision.delivery)} if decision.delivery else None,
        "lookAgain": decision.look_again,
        "status": decision.status,
    }
    decided = yaml.safe_dump(shown, sort_keys=False, width=120)
    expected = GOLDEN / f"{name}.out.yaml"
    if update_golden:
        expected.write_text(decided)
    assert decided == expected.read_text()


def test_every_out_file_has_its_in_file() -> None:
    names = {
        kind: {path.name.removesuffix(f".{kind}.yaml") for path in GOLDEN.glob(f"*.{kind}.yaml")}
        for kind in ("in", "out")
    }
    assert names["out"] == names["in"]
