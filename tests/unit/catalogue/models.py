"""The chart's catalogue, as the tests read it."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from maas_operator.api.model import ModelSpec

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "charts" / "maas-operator" / "files" / "catalogue"
PUBLISHED: dict[str, Any] = yaml.load((Path(__file__).parent / "published.yaml").read_text(), yaml.CSafeLoader)
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def manifest(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.load((FOLDER / f"{name}.yaml").read_text(), yaml.CSafeLoader)
    return read


@cache
def spec(name: str) -> ModelSpec:
    return ModelSpec.model_validate(manifest(name)["spec"])
