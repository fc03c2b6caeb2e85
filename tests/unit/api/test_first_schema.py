"""Nothing that the first schema allowed has become impossible: fields, types and bounds are never narrowed."""

from pathlib import Path
from typing import Any

import pytest

from maas_operator.api.kinds import KINDS, Kind
from tests.api.first import CRDS, SINCE, crds, fields, objects

TODAY = Path(__file__).parents[3] / "crds"
MOST = ("maxLength", "maxItems", "maxProperties", "maximum")
LEAST = ("minLength", "minItems", "minProperties", "minimum")
OF_NEW_FIELDS = (
    "instances and scaling exclude each other",
    "tolerationSeconds needs effect NoExecute",
    "topologyKey keeps the hosts of an instance together",
    "memory must be at least 1Mi",  # of an accelerator
    "the key's kind cannot be changed",
    "say either sha256",
    "who makes the key cannot be changed",
    "a key is delivered once",
)
"""Rules that say nothing of an object without fields that came later."""
AS_BEFORE = (
    "a source is hf://",
    "an oci:// source needs a tag other than latest",
    "a pvc:// source names a folder inside the claim",
)
"""Rules that were there, in other words or by the pattern."""

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


def both(kind: Kind) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each field of the first schema: its path, as it was, and as it is. Raises KeyError where one is gone."""
    now = dict(fields(crds(TODAY)[kind.kind]))
    return [(path, was, now[path]) for path, was in fields(crds(CRDS)[kind.kind])]


@each_kind
def test_the_object_has_every_field_of_the_first_schema(kind: Kind) -> None:
    assert {path for path, _ in fields(crds(CRDS)[kind.kind])} - set(present(objects()[kind.kind], "")) == set()


def present(value: Any, path: str) -> list[str]:
    found = [path]
    if isinstance(value, dict):
        for name, child in value.items():
            found += [f"{path}{{}}", *present(child, f"{path}.{name}")]
    if isinstance(value, list):
        for child in value:
            found += present(child, f"{path}[]")
    return found


@each_kind
def test_no_field_is_gone_or_narrower(kind: Kind) -> None:
    for path, was, now in both(kind):
        assert was["type"] == now["type"], path
        assert set(now.get("required", ())) <= set(was.get("required", ())), path
        assert "enum" not in now or set(was.get("enum", ())) <= set(now["enum"]), path
        assert "enum" not in now or "enum" in was, path
        for bound in MOST:
            assert bound not in now or was.get(bound, float("inf")) <= now[bound], (path, bound)
        for bound in LEAST:
            assert bound not in now or was.get(bound, float("-inf")) >= now[bound], (path, bound)
        for keyword in ("format", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"):
            assert was.get(keyword) == now.get(keyword), (path, keyword)
        assert was.get("pattern") == now.get("pattern") or path == ".spec.versions[].source", path


@each_kind
def test_every_rule_that_came_later_is_known_to_what_the_upgrade_is_tested_with(kind: Kind) -> None:
    """A new rule on a field of the first schema is one of three: it has a row in SINCE, and so is asked of stored
    objects by tests/api; or it can say nothing of them; or it was there."""
    known = OF_NEW_FIELDS + AS_BEFORE + tuple(each.says for each in SINCE if each.kind == kind.kind)
    for path, was, now in both(kind):
        before = {each["rule"] for each in was.get("x-kubernetes-validations", ())}
        later = [each for each in now.get("x-kubernetes-validations", ()) if each["rule"] not in before]
        assert [each["message"] for each in later if not each["message"].startswith(known)] == [], path


@each_kind
def test_todays_models_read_it(kind: Kind) -> None:
    found = objects()[kind.kind]
    for part, model in (("spec", kind.spec), ("status", kind.status)):
        read = model.model_validate(found[part]).model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert read == found[part]
