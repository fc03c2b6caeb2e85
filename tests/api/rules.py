"""A small language for tables of schema rules, and the test of one row on a real API server.

A path is dotted; `[]` is the first item of a list, `{}` a map's value: spec.versions[].env[].name.
"""

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

Manifest = dict[str, Any]
BOUNDS = (
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "enum",
)
MAP_KEY = "example"
"""The key of every map in the base manifests."""


@dataclass(frozen=True)
class Rule:
    """One rule of a schema: the values that it lets through and those that it refuses, and in which words."""

    path: str
    """Where the values are put."""
    keyword: str
    """As in the schema; `required`; `unique` (a set, or a list-map's keys); or `rule`, for CEL."""
    good: tuple[Any, ...]
    bad: tuple[Any, ...]
    says: str
    field: str = ""
    """The field that the refusal names, if it is not the path."""
    owner: str | None = None
    """Where the schema has the rule, if it is not at the path."""
    row: str = ""
    """The row of the requirements that asks for it."""

    @property
    def identity(self) -> tuple[str, str, str]:
        owner = self.path if self.owner is None else self.owner
        return owner, self.keyword, self.says if self.keyword == "rule" else ""

    def __str__(self) -> str:
        words = re.sub(r"[^a-z0-9]+", "-", self.says.lower())[:40] if self.keyword == "rule" else self.keyword
        return " ".join(filter(None, [self.row, self.path, words]))


def of(row: str, *rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules, each marked with the row that asks for it."""
    return tuple(replace(rule, row=row) for group in rules for rule in group)


def required(*paths: str) -> tuple[Rule, ...]:
    return tuple(Rule(path, "required", (), (), "Required value") for path in paths)


def text(
    path: str,
    least: int,
    most: int,
    fill: Callable[[int], str] = "a".__mul__,
    shortest: str | None = None,
    accepted: tuple[str, ...] = ("a",),
    refused: tuple[str, ...] = (),
) -> tuple[Rule, ...]:
    """A string of so many characters; `accepted` and `refused` are examples for its pattern."""
    rules = [Rule(path, "maxLength", (fill(most),), (fill(most + 1),), f"may not be more than {most}")]
    if least:
        good = fill(least) if shortest is None else shortest
        rules.append(Rule(path, "minLength", (good,), ("a" * (least - 1),), f"should be at least {least} chars long"))
    if refused:
        rules.append(Rule(path, "pattern", accepted, refused, "should match '^"))
    return tuple(rules)


def worded(path: str, says: str, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules of a text, and that its pattern is told in words, too."""
    (pattern,) = (rule for rule in rules if rule.keyword == "pattern")
    return (*rules, *cel(path, says, pattern.good, pattern.bad))


def decimal(path: str) -> tuple[Rule, ...]:
    """A number that is no whole one."""

    def digits(size: int) -> str:
        return "123456789.123456".ljust(size, "0") if size > 1 else "1"

    says = "a number such as 12.50, in quotes: no sign, no exponent, at most 6 decimals"
    accepted = ("0", "1", "0.6", "12.50", "999999999.999999")
    refused = ("-1", "+1", "1e3", "1.", ".5", "01", "1,50", "0.1234567", "1234567890", "a")
    return worded(path, says, text(path, 1, 16, fill=digits, accepted=accepted, refused=refused))


def number(path: str, least: int, most: int) -> tuple[Rule, ...]:
    return (
        Rule(path, "minimum", (least,), (least - 1,), f"should be greater than or equal to {least}"),
        Rule(path, "maximum", (most,), (most + 1,), f"should be less than or equal to {most}"),
    )


def choice(path: str, *values: str, good: tuple[str, ...] | None = None) -> tuple[Rule, ...]:
    """One of the values; `good` are those that suit the rest of the example, if not all do."""
    said = ", ".join(f'"{value}"' for value in values)
    return (Rule(path, "enum", values if good is None else good, ("other", ""), f"supported values: {said}"),)


def items(path: str, least: int, most: int, item: Callable[[int], Any], unique: bool = False) -> tuple[Rule, ...]:
    """A list; `item` makes the item of a number."""
    rules = [
        Rule(path, "maxItems", ([item(n) for n in range(most)],), (_many(item, most + 1),), f"at most {most} items")
    ]
    if least:
        rules.append(Rule(path, "minItems", (_many(item, least),), ([],), f"should have at least {least} items"))
    if unique:
        rules.append(Rule(path, "unique", (_many(item, 2),), ([item(0), item(0)],), "Duplicate value", f"{path}[1]"))
    return tuple(rules)


def _many(item: Callable[[int], Any], count: int) -> list[Any]:
    return [item(number) for number in range(count)]


def members(path: str, most: int) -> tuple[Rule, ...]:
    def of_size(size: int) -> dict[str, str]:
        return {f"key-{number}": "value" for number in range(size)}

    return (Rule(path, "maxProperties", ({}, of_size(most)), (of_size(most + 1),), f"at most {most} items"),)


def some(path: str, field: str) -> tuple[Rule, ...]:
    """An object with a field at least, as this one, which takes 1."""
    return (Rule(path, "minProperties", ({field: 1},), ({},), "should have at least 1 properties"),)


def moment(path: str) -> tuple[Rule, ...]:
    """A time, in RFC 3339; its longest form that is sensible is far below the bound on its length."""
    good = ("2027-01-31T00:00:00Z", "2027-01-31T00:00:00.5+02:00")
    bad = ("tomorrow", "2027-01-31", "2027-01-31T00:00:00")
    return (
        *text(path, 0, 64, fill=lambda size: "2027-01-31T00:00:00.".ljust(size - 1, "0") + "Z"),
        Rule(path, "format", good, bad, "must be of type date-time"),
    )


def cel(
    path: str, says: str, good: tuple[Any, ...], bad: tuple[Any, ...], field: str = "", owner: str | None = None
) -> tuple[Rule, ...]:
    """A CEL rule; `says` is its whole message."""
    return (Rule(path, "rule", good, bad, says, field, owner),)


LABEL_REFUSED = ("UPPER", "under_score", "-first", "last-", "a.b", "a b")
NAME_REFUSED = ("UPPER", "under_score", "-first", "last-", "a..b", ".a", "a b")


def label(path: str) -> tuple[Rule, ...]:
    """A DNS label."""
    return text(path, 1, 63, accepted=("a", "0", "a-1"), refused=LABEL_REFUSED)


def name(path: str) -> tuple[Rule, ...]:
    """The name of an object."""
    return text(path, 1, 253, accepted=("a", "0", "a-1.b"), refused=NAME_REFUSED)


def quantity(path: str, shortest: str = "1") -> tuple[Rule, ...]:
    """An amount, as Kubernetes writes it."""
    good, bad = ("1024Mi", "1.5Gi", "2G", "1T", "4000000k"), ("1GB", "-1Gi", "1e9", "1 Gi", ".5Gi", "Gi")
    return text(path, 1, 32, fill=lambda size: "2Gi".rjust(size, "0"), shortest=shortest, accepted=good, refused=bad)


def arguments(path: str) -> tuple[Rule, ...]:
    """Arguments of a command."""
    return (*items(path, 0, 64, "--flag-{}".format), *text(f"{path}[]", 1, 1024))


def variable(path: str) -> tuple[Rule, ...]:
    """Environment variables."""
    return (
        *items(path, 0, 64, lambda number: {"name": f"NAME_{number}", "value": "v"}, unique=True),
        *required(f"{path}[].name", f"{path}[].value"),
        *text(f"{path}[].name", 1, 128, accepted=("A_1", "_a", "a.b-c"), refused=("1A", "A B", "A=B")),
        *text(f"{path}[].value", 0, 4096),
    )


def steps(path: str) -> list[str | int]:
    """The keys and indices that lead to a path."""
    split: list[str | int] = []
    for part in path.split("."):
        bare = part.rstrip("[]{}")
        split += [bare, *([0] if part.endswith("[]") else []), *([MAP_KEY] if part.endswith("{}") else [])]
    return split


def replaced(manifest: Manifest, path: str, value: Any) -> Manifest:
    """A copy with the value at the path; with None the field is left out."""
    made = copy.deepcopy(manifest)
    *way, last = steps(path)
    node: Any = made
    for step in way:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return made


def rules_of(crd: Manifest) -> Iterator[tuple[str, str, str]]:
    """Every rule that a CRD lays upon what users write: (path, keyword, words of a CEL rule)."""
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    yield from (("", "rule", rule["message"]) for rule in schema.get("x-kubernetes-validations", ()))
    yield from _walk(schema["properties"]["spec"], "spec")


def _walk(schema: Manifest, path: str) -> Iterator[tuple[str, str, str]]:
    yield from ((path, keyword, "") for keyword in BOUNDS if keyword in schema)
    yield from ((f"{path}.{field}", "required", "") for field in schema.get("required", ()))
    yield from ((path, "rule", rule["message"]) for rule in schema.get("x-kubernetes-validations", ()))
    if schema.get("x-kubernetes-list-type") in {"map", "set"}:
        yield path, "unique", ""
    for field, child in schema.get("properties", {}).items():
        yield from _walk(child, f"{path}.{field}")
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(keyword), dict):
            yield from _walk(schema[keyword], path + mark)
