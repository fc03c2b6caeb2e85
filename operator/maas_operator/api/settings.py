"""What an administrator sets for the whole operator, from the chart's values."""

import yaml
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from maas_operator.api.fields import Part


class AcceleratorSettings(Part):
    """What is set for one type of accelerator."""

    model_config = ConfigDict(extra="forbid")

    image: str | None = Field(default=None, description="Engine image instead of the one that the operator knows.")


class Settings(Part):
    """The settings file. A field that nobody knows is an error: a typing mistake must not go unnoticed."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    accelerators: dict[str, AcceleratorSettings] = Field(
        default={}, description="By type: cpu, nvidia, ascend-910b and so on."
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


def parse(text: str) -> Settings:
    """Settings from YAML. Raises pydantic.ValidationError, which names the field."""
    return Settings.model_validate(yaml.safe_load(text) or {})
