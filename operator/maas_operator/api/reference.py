"""The reference of the resources in Markdown, from the models: `python -m maas_operator.api.reference`."""

import sys
from collections.abc import Iterator
from typing import Any

from maas_operator.api.conditions import ConditionType, Phase, Reason
from maas_operator.api.crd import definition
from maas_operator.api.kinds import KINDS, Kind
from maas_operator.api.names import API_VERSION

Schema = dict[str, Any]

HEAD = f"""# Reference of the resources

Made from the models by `make generate`; `kubectl explain KIND.spec` says the same. All are of `{API_VERSION}`
and of category `maas` (`kubectl get maas -A`). The spec is the user's, the status the operator's. A field marked * is
required; what stands in round brackets is asked beside the type.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(kind) for kind in KINDS), _words()])


def _section(kind: Kind) -> str:
    schema = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    names = ", ".join(f"`{name}`" for name in (kind.plural, *kind.short))
    scope = "In an account's namespace" if kind.namespaced else "Cluster-wide"
    lines = [f"## {kind.kind}", "", f"{kind.description} {scope}; {names}.", ""]
    lines += [f"- {message}" for message in _rules(schema)]
    for part in ("spec", "status"):
        below = schema["properties"][part]
        lines += ["", f"### {kind.kind}.{part}", ""]
        lines += [*(f"- {message}" for message in rules), ""] if (rules := _rules(below)) else []
        lines += ["| Field | Type | What it says |", "|---|---|---|"]
        lines += [_row(*field) for field in _fields(part, below)]
    return "\n".join([*lines, ""])


def _fields(path: str, schema: Schema) -> Iterator[tuple[str, Schema, bool]]:
    """(path, schema, required) of every field below."""
    required = schema.get("required", [])
    for name, child in schema.get("properties", {}).items():
        below = f"{path}.{name}"
        yield below, child, name in required
        items = child.get("items", {})
        yield from _fields(f"{below}[]" if items else below, items or child)


def _row(path: str, schema: Schema, required: bool) -> str:
    rules = [*_rules(schema), *(f"each: {message}" for message in _rules(schema.get("items", {})))]
    text = " ".join([schema.get("description", ""), *(f"({rule})" for rule in rules)]).replace("|", "\\|")
    return f"| `{path}`{' *' if required else ''} | {_type(schema)} | {text} |"


def _rules(schema: Schema) -> list[str]:
    return [rule["message"] for rule in schema.get("x-kubernetes-validations", [])]


def _type(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(schema["enum"])
    kind = str(schema.get("type", ""))
    bounds = {
        "integer": ("minimum", "maximum"),
        "string": ("minLength", "maxLength"),
        "array": ("minItems", "maxItems"),
        "object": ("minProperties", "maxProperties"),
    }.get(kind, ("", ""))
    low, high = (schema.get(bound) for bound in bounds)
    return kind if high is None else f"{kind}, {0 if low is None else low} to {high}"


def _words() -> str:
    types = "\n".join(f"- `{each}`" for each in ConditionType)
    reasons = ", ".join(f"`{each}`" for each in Reason)
    phases = ", ".join(f"`{each}`" for each in Phase)
    return (
        f"## Words in conditions\n\nTypes (Reconciling and Stalled are there only "
        f"while they are True):\n\n{types}\n\nReasons: {reasons}.\n\nPhases of a ModelService: {phases}.\n"
    )


if __name__ == "__main__":
    sys.stdout.write(reference())
