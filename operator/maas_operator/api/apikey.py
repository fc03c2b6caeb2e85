"""ApiKey: the digest of a key with which an application calls."""

from typing import Annotated

from pydantic import Field, JsonValue

from maas_operator.api.fields import ConditionList, Part

MAX_KEYS_PER_ACCOUNT = 30
"""Keys that an account (a namespace) may have (M22)."""


def _immutable(what: str) -> dict[str, JsonValue]:
    message = f"{what} cannot be changed: delete the key and make another"
    return {"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": message}]}


class ApiKeySpec(Part):
    """A key. The key itself is never in the cluster: only its SHA-256 is."""

    tag: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")] = Field(
        description="Name for people, unique in the account: 1 to 100 letters, digits, '_' and '-'. Immutable.",
        json_schema_extra=_immutable("the tag"),
    )
    description: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        description="What the key is for, 1 to 100 characters. Immutable.",
        json_schema_extra=_immutable("the description"),
    )
    sha256: Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")] = Field(
        description='SHA-256 of the key, 64 lower-case hexadecimal digits: printf %s "$KEY" | sha256sum. Immutable.',
        json_schema_extra=_immutable("the key's digest"),
    )


class ApiKeyStatus(Part):
    """Whether the key counts."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The metadata.generation that this status speaks of."
    )
    conditions: ConditionList = Field(default=[])
