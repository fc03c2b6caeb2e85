"""crds/ is what the models say, bounded everywhere, and without what would make GitOps flap."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from maas_operator.api import names
from maas_operator.api.crd import render
from maas_operator.api.kinds import KINDS, Kind

ROOT = Path(__file__).parents[3]
COPIES = (ROOT / "crds", ROOT / "charts" / "maas-operator" / "files" / "crds")
BOUNDED = {"string": ("maxLength", "enum"), "array": ("maxItems",), "integer": ("minimum",), "boolean": ("type",)}

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
Node = dict[str, Any]


def schema_of(kind: Kind) -> Node:
    schema: Node = crd_of(kind.plural)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


@cache
def crd_of(plural: str) -> Node:
    crd: Node = yaml.load((COPIES[0] / f"{plural}.yaml").read_text(), yaml.CSafeLoader)
    return crd


def nodes(kind: Kind) -> Iterator[tuple[str, Node]]:
    """Every field of spec and status, with its path."""
    for part in ("spec", "status"):
        yield from _below(schema_of(kind)["properties"][part], part)


def _below(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from _below(child, f"{path}.{name}")
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if keyword in node:
            yield from _below(node[keyword], path + mark)


@pytest.mark.parametrize("folder", COPIES, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_the_files_are_what_the_models_say(folder: Path) -> None:
    wanted = {f"{kind.plural}.yaml": render(kind) for kind in KINDS}
    there = {file.name: file.read_text() for file in folder.iterdir()}
    assert there == wanted, "generate them again: make generate"


@each_kind
def test_every_string_list_map_and_number_is_bounded(kind: Kind) -> None:
    unbounded = [
        path
        for path, node in nodes(kind)
        if not any(bound in node for bound in BOUNDED.get(node["type"], (node["type"] == "object" and "type",)))
        or ("additionalProperties" in node and "maxProperties" not in node)
    ]
    assert unbounded == []


@each_kind
def test_nothing_has_a_default_but_that_nobody_has_looked_yet(kind: Kind) -> None:
    defaults = {path: node["default"] for path, node in nodes(kind) if "default" in node}
    assert defaults == {"status": {"observedGeneration": -1}}


@each_kind
def test_there_are_no_floats_and_nothing_is_nullable_or_free_form(kind: Kind) -> None:
    assert {node["type"] for _, node in nodes(kind)} <= {"object", "array", "string", "integer", "boolean"}
    assert [path for path, node in nodes(kind) if node.get("nullable") or len(node) == 1] == []
    assert [path for path, node in nodes(kind) if "x-kubernetes-preserve-unknown-fields" in node] == []
    assert [path for path, node in nodes(kind) if "x-kubernetes-int-or-string" in node] == []


@each_kind
def test_every_list_says_how_it_is_merged(kind: Kind) -> None:
    lists = {path: node for path, node in nodes(kind) if node["type"] == "array"}
    assert [path for path, node in lists.items() if node.get("x-kubernetes-list-type") not in _MERGES] == []
    keyed = [node for node in lists.values() if node["x-kubernetes-list-type"] == "map"]
    assert all(node["x-kubernetes-list-map-keys"] in (["name"], ["type"], ["id"]) for node in keyed)
    assert [
        path for path, node in lists.items() if "name" in node["items"].get("properties", {}) and node not in keyed
    ] == []


_MERGES = ("map", "set", "atomic")


@each_kind
def test_every_field_is_described(kind: Kind) -> None:
    assert schema_of(kind)["description"]
    named = [(path, node) for path, node in nodes(kind) if not path.endswith(("[]", "{}"))]
    assert [path for path, node in named if len(node.get("description", "")) < 10] == []
    assert [path for path, node in named if not node["description"].rstrip().endswith((".", ":"))] == []


@each_kind
def test_every_rule_says_what_to_do(kind: Kind) -> None:
    held = [("", schema_of(kind)), *nodes(kind)]
    rules = [rule for _, node in held for rule in node.get("x-kubernetes-validations", ())]
    assert [rule["rule"] for rule in rules if len(rule.get("message", "")) < 20] == []


@each_kind
def test_spec_is_required_and_status_is_not(kind: Kind) -> None:
    assert schema_of(kind)["required"] == ["spec"]
    assert "required" not in schema_of(kind)["properties"]["status"]


@each_kind
def test_conditions_are_a_list_map_with_observed_generation(kind: Kind) -> None:
    conditions = dict(nodes(kind))["status.conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert {"type", "status", "reason", "message", "lastTransitionTime"} <= set(conditions["items"]["required"])
    assert "observedGeneration" in conditions["items"]["properties"]


def test_the_group_is_ours_and_only_services_scale() -> None:
    crds = [crd_of(file.stem) for file in sorted(COPIES[0].iterdir())]
    assert {crd["spec"]["group"] for crd in crds} == {names.GROUP}
    scaling = [crd["spec"]["names"]["kind"] for crd in crds if "scale" in crd["spec"]["versions"][0]["subresources"]]
    assert scaling == ["ModelService"]
    assert all(crd["spec"]["names"]["categories"] == ["maas"] for crd in crds)
    short = [name for crd in crds for name in crd["spec"]["names"]["shortNames"]]
    assert len(short) == len(set(short))
