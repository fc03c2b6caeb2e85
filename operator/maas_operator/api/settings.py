"""What an administrator sets for the whole operator, from the chart's values."""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from maas_operator.api.fields import Part

ENDPOINT = r"^(https?://[^/\s@?#]+(/[^\s@?#]*)?)?$"
"""A URL without a user's name and password: those belong into a Secret. Or nothing."""
INTERFACE = r"^[^\s/:,=^]{1,15}$"
"""A network device's name, as Linux takes it, and none of the signs that NCCL and HCCL give a meaning of their own."""
HOST_AND_PORT = r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"


class AcceleratorSettings(Part):
    """What is set for one type of accelerator."""

    model_config = ConfigDict(extra="forbid")

    image: str | None = Field(default=None, description="Engine image instead of the one that the operator knows.")
    driver_mounts: bool | None = Field(
        default=None,
        description="Whether instances mount the driver from their node. false: the nodes have the vendor's container "
        "runtime, which brings it. Left out: as nodes of the type usually are.",
    )
    runtime_class_name: str | None = Field(
        default=None,
        description="RuntimeClass of the instances, where the vendor's container runtime is not the nodes' default.",
    )
    scheduler_name: str | None = Field(
        default=None,
        description="Scheduler of the instances, where the device plugin works with one of its own, or all hosts of an "
        "instance are to be placed at once (docs/operating.md).",
    )
    network_interface: Annotated[str, Field(pattern=INTERFACE)] = Field(
        default="eth0",
        description="The pods' network device by which the hosts of an instance find each other, and speak where they "
        "have no faster way. Left out: eth0.",
    )


class NotificationSettings(Part):
    """How notifications are sent."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(
        default=False,
        description="Whether notifications are sent. The operator then reads the Secrets that NotificationTopics name.",
    )
    allow_private: bool = Field(
        default=False,
        description="Whether they may go to private addresses: those of the cluster, its nodes and its network.",
    )


class HubSettings(Part):
    """A hub, or its mirror."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Annotated[str, Field(pattern=ENDPOINT)] = Field(
        default="", description="URL of a mirror, http:// or https://. Left empty: the hub's own."
    )


class S3Settings(HubSettings):
    """S3, or what speaks like it."""

    region: Annotated[str, Field(pattern=r"^[a-z0-9-]*$")] = Field(
        default="", description="Region. Left empty: us-east-1."
    )


class CaBundleSettings(Part):
    """Certificates that what fetches weights trusts."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    config_map_name: Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", max_length=253)] = Field(
        default="",
        description="Name of a ConfigMap in each account's namespace. Left empty: the public authorities are trusted.",
    )
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(
        default="ca.crt", description="Its key that holds all certificates to trust, in PEM."
    )


class SourceSettings(Part):
    """Where weights are fetched from."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    image: str = Field(default="", description="The operator's own image, which fetches weights in services' pods.")
    offline: bool = Field(
        default=False,
        description="Nothing outside can be reached: of hubs and buckets only those with an endpoint here are asked.",
    )
    hugging_face: HubSettings = Field(default=HubSettings(), description="For hf://.")
    model_scope: HubSettings = Field(default=HubSettings(), description="For modelscope://.")
    s3: S3Settings = Field(default=S3Settings(), description="For s3://.")
    ca_bundle: CaBundleSettings = Field(
        default=CaBundleSettings(), description="Whose certificates hubs, mirrors and buckets may show."
    )


class Settings(Part):
    """The settings file. A field that nobody knows is an error: a typing mistake must not go unnoticed."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    accelerators: dict[str, AcceleratorSettings] = Field(
        default={},
        description="By type: cpu, nvidia, ascend-910b and so on (docs/accelerators.md): image, driverMounts, "
        "runtimeClassName, schedulerName, "
        "networkInterface.",
    )
    image_pull_secrets: list[str] = Field(
        default=[], description="Names of Secrets, in each account's namespace, for pulling engine images."
    )
    drain_seconds: int = Field(
        default=600,
        ge=10,
        le=86400,
        description="Seconds that a leaving instance may take to finish the requests it has.",
    )
    load_seconds: int = Field(
        default=3600, ge=30, le=86400, description="Seconds that an instance may take to load before it is restarted."
    )
    key_delivery_seconds: int = Field(
        default=600,
        ge=10,
        le=86400,
        description="Seconds after which the Secret that delivered a key is removed.",
    )
    measure_seconds: int = Field(
        default=15,
        ge=1,
        le=300,
        description="Seconds between two looks at what the gateways and the engines have to do.",
    )
    hang_seconds: int = Field(
        default=300,
        ge=10,
        le=86400,
        description="Seconds for which an instance may have requests and make no progress with any before it is taken "
        "for hung and replaced.",
    )
    gateways: list[Annotated[str, Field(pattern=HOST_AND_PORT)]] = Field(
        default=[],
        description="HOST:PORT at which the gateway's replicas tell of their requests; each address of HOST is one.",
    )
    notifications: NotificationSettings = Field(default=NotificationSettings(), description="Notifications.")
    sources: SourceSettings = Field(default=SourceSettings(), description="Where weights are fetched from.")
    ledger: Annotated[str, Field(pattern=r"^https?://[^/\s]+$")] | None = Field(
        default=None, description="Where the ledger is: http://HOST:PORT. Left out: no history is kept."
    )
    ledger_token: Path = Field(
        default=Path("/run/secrets/maas-ledger/token"),
        description="File with the service account's token for the ledger's audience, renewed by the kubelet.",
    )


def parse(text: str) -> Settings:
    """Settings from YAML. Raises pydantic.ValidationError, which names the field."""
    return Settings.model_validate(yaml.safe_load(text) or {})
