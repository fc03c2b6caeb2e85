"""The first schema that there was, with an object of each kind in it, and what it allowed that is refused today."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
FOLDER = Path(__file__).parent
CRDS = FOLDER / "crds"
"""As they were first committed."""


@dataclass(frozen=True)
class Since:
    """A value that the first schema took, of a field of a first object, and what today's rule says of it."""

    name: str
    kind: str
    path: str
    value: Any
    says: str
    of_several: bool = False
    """Whether the rule speaks of several fields, and so is asked whenever any in their object changes."""

    def applied(self) -> Manifest:
        """The first object of its kind with this value, under this name."""
        made = copy.deepcopy(objects()[self.kind])
        *way, last = (int(step) if step.isdigit() else step for step in self.path.split("."))
        node = made["spec"]
        for step in way:
            node = node[step]
        node[last] = self.value
        made["metadata"]["name"] = self.name
        return made


_LABEL = "a label's key is [PREFIX/]NAME"
SINCE = (
    Since("image", "ModelService", "engine.image", "example.com/vllm", "engine.image needs a tag other than latest"),
    Since("args", "ModelService", "engine.args", ["--served_model_name=a"], "the operator sets --model"),
    Since("env", "ModelService", "engine.env", [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}], "the device"),
    Since("selector", "ResourcePool", "nodeSelector", {"a b": "c"}, _LABEL),
    Since("accounts", "ResourcePool", "accounts.matchLabels", {"a b": "c"}, _LABEL),
    Since("no-key", "ResourcePool", "tolerations", [{"value": "a"}], "a toleration without a key needs"),
    Since(
        "exists", "ResourcePool", "tolerations", [{"key": "a", "operator": "Exists", "value": "b"}],
        "operator Exists takes no value",
    ),
    Since("cpu", "ResourcePool", "flavors.0.cpu", "0", "cpu must be more than 0"),
    Since("memory", "ResourcePool", "flavors.0", {"name": "x2", "cpu": "8", "memory": "256"}, "memory must be"),
    Since("shm", "ResourcePool", "flavors.0.sharedMemory", "65Gi", "sharedMemory counts as memory", of_several=True),
)  # fmt: skip
"""Everything that was allowed and is refused of a new object."""


@cache
def objects() -> dict[str, Manifest]:
    """By kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((FOLDER / "objects.yaml").read_text())}


@cache
def crds(folder: Path = CRDS) -> dict[str, Manifest]:
    """The definitions of a folder, by kind."""
    found = [yaml.load(file.read_text(), yaml.CSafeLoader) for file in sorted(folder.iterdir())]
    return {each["spec"]["names"]["kind"]: each for each in found}


def fields(crd: Manifest) -> Iterator[tuple[str, Manifest]]:
    """Every field of a definition with its schema, by its path; list items and map values have one of their own."""
    yield from _below(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "")


def _below(node: Manifest, path: str) -> Iterator[tuple[str, Manifest]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from _below(child, f"{path}.{name}")
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if keyword in node:
            yield from _below(node[keyword], path + mark)
