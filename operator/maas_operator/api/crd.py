"""The CustomResourceDefinitions, made from the pydantic models: `python -m maas_operator.api.crd FOLDER...`.

A rule stands on the very field that it speaks of, where it speaks of one: the API server then asks it of a stored
object only when that field changes. On the spec it would be asked when anything does, such as the number of instances.
"""

import copy
import sys
from pathlib import Path
from typing import Any

import yaml

from maas_operator.api.fields import NOT_LOOKED_AT, Part
from maas_operator.api.kinds import KINDS, Kind
from maas_operator.api.names import GROUP, VERSION

Schema = dict[str, Any]

MAX_MAP_VALUE = 63
"""Length of a label's value, the longest value of any map in the kinds."""


def definition(kind: Kind) -> Schema:
    """The CustomResourceDefinition of a kind, ready to be applied."""
    subresources: Schema = {"status": {}}
    if kind.scale:
        subresources["scale"] = dict(kind.scale)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": list(kind.short),
                "categories": ["maas"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": subresources,
                    "additionalPrinterColumns": [
                        {"name": column.name, "type": column.type, "jsonPath": column.path}
                        | ({"priority": 1} if column.wide else {})
                        for column in kind.columns
                    ],
                    "schema": {"openAPIV3Schema": _object(kind)},
                }
            ],
        },
    }


def _object(kind: Kind) -> Schema:
    schema: Schema = {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": kind.kind},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec),
            "status": structural(kind.status) | {"default": {"observedGeneration": NOT_LOOKED_AT}},
        },
    }
    if kind.rules:
        schema["x-kubernetes-validations"] = [dict(rule) for rule in kind.rules]
    return schema


def structural(part: type[Part]) -> Schema:
    """A part's schema as Kubernetes wants it: no references, no titles, no defaults, no null."""
    schema = part.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    return dict(_plain(schema, definitions))


def _plain(node: Any, definitions: Schema) -> Any:
    if isinstance(node, list):
        return [_plain(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = _resolved(node, definitions)
    made: Schema = {}
    for key, value in node.items():
        if key in {"title", "default"} and not isinstance(value, dict):
            continue
        if key == "properties":
            made[key] = {name: _plain(child, definitions) for name, child in value.items()}
        elif key == "uniqueItems":
            continue
        else:
            made[key] = _plain(value, definitions)
    if "properties" in made or "additionalProperties" in made:
        made.pop("default", None)
    if isinstance(values := made.get("additionalProperties"), dict) and values["type"] == "string":
        values.setdefault("maxLength", MAX_MAP_VALUE)
    return made


def _resolved(node: Schema, definitions: Schema) -> Schema:
    """The node with its reference filled in, and with `X or null` turned into an X that may be left out."""
    node = dict(node)
    node.pop("default", None)
    if "anyOf" in node:
        (only,) = [choice for choice in node.pop("anyOf") if choice.get("type") != "null"]
        node = {**_resolved(only, definitions), **node}
    if "$ref" in node:
        name = node.pop("$ref").rsplit("/", 1)[-1]
        node = {**_resolved(copy.deepcopy(definitions[name]), definitions), **node}
    if "enum" in node:
        node.setdefault("type", "string")
    return node


def render(kind: Kind) -> str:
    """The definition as YAML, as it stands in crds/."""
    return yaml.safe_dump(definition(kind), sort_keys=False, width=120, allow_unicode=True)


def main(folders: list[Path]) -> None:
    """Write a file for each kind into each of the folders (crds, and the chart's copies: charts/*/files/crds)."""
    for folder in folders:
        for kind in KINDS:
            (folder / f"{kind.plural}.yaml").write_text(render(kind))


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
