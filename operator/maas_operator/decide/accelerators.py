"""Accelerators as data: one file each in accelerators/. Adding one is adding a file and its golden pair.

A file that `extends` another has all that it does not say itself as that one has it: each field it writes stands in the
other's place, whole. A file without a `type` is only there to be extended. `variants`: several types of one file, each
with what it has of its own, for devices that are offered in sizes."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from maas_operator.api.fields import EnvVar, Part, Quantity
from maas_operator.api.model import ModelVersion, VersionAccelerator
from maas_operator.api.resourcepool import Flavor

CPU = "cpu"
"""The type that a flavor without accelerators stands for."""


class _Known(Part):
    """A field that nobody knows is an error: a typing mistake in a file must not go unnoticed."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class HostPath(_Known):
    """A part of the node that the engine needs, mounted read-only at the same path. The type is checked by the kubelet:
    without it, containerd would make an empty directory in place of a file that is missing."""

    name: str
    path: str
    type: Literal["Directory", "File"]
    missing: str = Field(description="What to do where a node does not have it.")


class FieldVar(_Known):
    """An environment variable that is a field of the pod."""

    name: str
    field_path: str = Field(description="The field, as the downward API names it.")


class SettingVar(_Known):
    """An environment variable that is a setting of the type."""

    name: str
    setting: Literal["networkInterface"] = Field(description="The setting (settings.accelerators.TYPE).")


class SeveralHosts(_Known):
    """What instances of several hosts need beside."""

    env: list[EnvVar | FieldVar | SettingVar] = Field(default=[])
    host_paths: list[HostPath] = Field(default=[])


class Exporter(_Known):
    """What tells of the devices, on each node: a Prometheus exporter."""

    apps: list[str] = Field(description="The names that its pods have (label app or app.kubernetes.io/name).")
    port: int = Field(description="Its port, where its pod declares none.")
    pod: str = Field(description="The label of its samples that names the pod that has the device.")
    compute: str = Field(description="The sample of how busy the device is, in per cent.")
    memory_used: str = Field(description="The sample of its memory that is in use, in MiB.")
    memory_total: list[str] = Field(description="The samples that together are all of its memory, in MiB.")


class Accelerator(_Known):
    """What the operator knows of a type of accelerator."""

    type: str = Field(description="The word that flavors write in accelerator.type.")
    description: str
    kin: list[str] = Field(default=[], description="The types that it extends: what is said of them holds for it too.")
    resource: str | None = Field(default=None, description="Extended resource that its device plugin offers.")
    resource_per_device: int = Field(default=1, ge=1, description="How much of the resource one device is.")
    memory: Quantity | None = Field(default=None, description="Memory of a device, where all of the type have as much.")
    mask_bytes: int = Field(
        default=0, ge=0, description="Bytes that its engine keeps, at most, for each pair of tokens of the context."
    )
    node_labels: dict[str, str] = Field(default={}, description="Labels that its nodes usually carry.")
    max_count: int | None = Field(default=None, ge=1, description="Most devices of one host that can work together.")
    max_hosts: int | None = Field(default=None, ge=1, description="Most hosts that can work together.")
    image: str = Field(description="Engine image; administrators set another in the chart's values.")
    command: list[str] = Field(default=["vllm", "serve"], description="Start of the engine's command line.")
    keep_entrypoint: bool = Field(
        default=False, description="The image's entrypoint prepares the environment: the command follows it."
    )
    args: list[str] = Field(default=[], description="Arguments that the engine needs on it.")
    env: list[EnvVar] = Field(default=[])
    driver_paths: list[HostPath] = Field(
        default=[], description="The driver, as the node has it, where no container runtime of the vendor brings it."
    )
    driver_mounts: bool = Field(
        default=True, description="Whether the driver is mounted, where an administrator does not say."
    )
    host_paths: list[HostPath] = Field(default=[], description="What else is needed of the node.")
    several_hosts: SeveralHosts = Field(default=SeveralHosts())
    run_as_root: bool = Field(default=False, description="Its driver lets nobody else open the devices.")
    supplemental_groups: list[int] = Field(default=[], description="Groups of its device files.")
    capabilities: list[str] = Field(default=[], description="Linux capabilities that the engine cannot do without.")
    seccomp: Literal["RuntimeDefault", "Unconfined"] = Field(default="RuntimeDefault")
    pod_labels: dict[str, str] = Field(default={}, description="Labels by which its scheduler knows what is wanted.")
    scheduler_name: str | None = Field(default=None, description="The scheduler that it needs. Left out: any.")
    exporter: Exporter | None = Field(default=None, description="Left out: nothing tells of its devices by pod.")

    def on_hosts(self, count: int) -> SeveralHosts:
        """What instances of so many hosts need beside."""
        return self.several_hosts if count > 1 else SeveralHosts()


@cache
def accelerators() -> dict[str, Accelerator]:
    """All of them by type, sorted."""
    texts = {
        entry.name.removesuffix(".yaml"): entry.read_text()
        for entry in files(__package__).joinpath("accelerators").iterdir()
        if entry.name.endswith(".yaml")
    }
    return read(texts)


@cache
def exporters() -> list[Exporter]:
    """The exporters of all types, each once."""
    found = [each.exporter for each in accelerators().values() if each.exporter]
    return [each for number, each in enumerate(found) if each not in found[:number]]


def read(texts: Mapping[str, str]) -> dict[str, Accelerator]:
    """The types that these files tell of, sorted. By a file's name, without .yaml: its text. Raises ValueError."""
    said = {name: yaml.safe_load(text) for name, text in texts.items()}
    found: dict[str, Accelerator] = {}
    for name in said:
        facts = _whole(said, name, ())
        for variant in facts.pop("variants", [{}]):
            if "type" not in facts | variant:
                continue
            accelerator = Accelerator.model_validate(facts | variant)
            if accelerator.type in found:
                raise ValueError(f"{name}.yaml: type {accelerator.type} is in another file too")
            found[accelerator.type] = accelerator
    return dict(sorted(found.items()))


def _whole(said: Mapping[str, Any], name: str, below: tuple[str, ...]) -> dict[str, Any]:
    """What a file says, upon what it extends."""
    facts = dict(said[name])
    parent = facts.pop("extends", None)
    if parent is None:
        return {"kin": []} | facts
    if parent not in said or parent in (name, *below):
        raise ValueError(f"{name}.yaml: extends {parent}, which is no other file")
    whole = _whole(said, parent, (name, *below))
    if "variants" in whole:
        raise ValueError(f"{name}.yaml: extends {parent}, which is several types")
    kin = [*([whole.pop("type")] if "type" in whole else []), *whole["kin"]]
    return whole | facts | {"kin": kin}


def accelerator_of(flavor: Flavor) -> Accelerator | None:
    """What is known of the flavor's accelerator; None: its type is not known."""
    return accelerators().get(flavor.accelerator.type if flavor.accelerator else CPU)


def told(version: ModelVersion, accelerator: Accelerator) -> VersionAccelerator | None:
    """What a version says of a type of accelerator: of itself, or of the nearest that it extends."""
    said = {each.type: each for each in version.accelerators}
    return next((said[kind] for kind in (accelerator.type, *accelerator.kin) if kind in said), None)


def missing(accelerator: Accelerator, words: str) -> str | None:
    """What to do where the kubelet says in these words that something of the node is missing; None: nothing of ours."""
    paths = [*accelerator.driver_paths, *accelerator.host_paths, *accelerator.several_hosts.host_paths]
    meant = [each for each in paths if re.search(rf"{re.escape(each.path)}(?![\w/.-])", words)]
    return meant[0].missing if meant else None


def impossible(flavor: Flavor, accelerator: Accelerator) -> str | None:
    """Why a flavor asks for what cannot be: more than devices of the type can do together, or their resource twice;
    None: it does not."""
    count = flavor.accelerator.count if flavor.accelerator else 1
    hosts = flavor.hosts or 1
    if accelerator.resource in flavor.devices:
        return (
            f"flavor {flavor.name} names {accelerator.resource} among its devices, and accelerator type "
            f"{accelerator.type} is given out by it: choose another flavor, or have the pool's administrator say in "
            "accelerator.count how many there are to be, and take it out of devices"
        )
    if accelerator.max_count is not None and count > accelerator.max_count:
        wrong, field, most = f"{count} devices", "accelerator.count", accelerator.max_count
    elif accelerator.max_hosts is not None and hosts > accelerator.max_hosts:
        wrong, field, most = f"{hosts} hosts", "hosts", accelerator.max_hosts
    else:
        return None
    return (
        f"flavor {flavor.name} asks for {wrong} of accelerator type {accelerator.type}, which cannot work on one model "
        f"together: choose another flavor, or have the pool's administrator set its {field} to {most}"
    )
