"""Accelerators as data: one file each in accelerators/. Adding one is adding a file and its golden pair."""

from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from maas_operator.api.fields import EnvVar, Part

CPU = "cpu"
"""The type that a flavor without accelerators stands for."""


class HostPath(Part):
    """A part of the node that the engine needs, mounted read-only at the same path."""

    name: str
    path: str
    type: Literal["Directory", "File"]


class Accelerator(Part):
    """What the operator knows of a type of accelerator."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    type: str = Field(description="The word that flavors write in accelerator.type.")
    description: str
    resource: str | None = Field(default=None, description="Extended resource that its device plugin offers.")
    image: str = Field(description="Engine image; administrators set another in the chart's values.")
    command: list[str] = Field(default=["vllm", "serve"], description="Start of the engine's command line.")
    args: list[str] = Field(default=[], description="Arguments that the engine needs on it.")
    env: list[EnvVar] = Field(default=[])
    host_paths: list[HostPath] = Field(default=[])
    run_as_root: bool = Field(default=False, description="Its driver lets nobody else open the devices.")
    supplemental_groups: list[int] = Field(default=[], description="Groups of its device files.")
    capabilities: list[str] = Field(default=[], description="Linux capabilities that the engine cannot do without.")


@cache
def accelerators() -> dict[str, Accelerator]:
    """All of them by type, sorted."""
    found = [
        Accelerator.model_validate(yaml.safe_load(entry.read_text()))
        for entry in files(__package__).joinpath("accelerators").iterdir()
        if entry.name.endswith(".yaml")
    ]
    return {accelerator.type: accelerator for accelerator in sorted(found, key=lambda each: each.type)}
