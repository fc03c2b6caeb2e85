"""ApiKey: a key with which an application calls, known by its digest."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue

from maas_operator.api.fields import ConditionList, LabelName, Line, MinuteLimits, ObjectName, ObservedGeneration, Part

MAX_KEYS_PER_ACCOUNT = 30
"""Keys that an account (a namespace) may have (M22)."""
MAX_TOKEN_QUOTA = 1_000_000_000_000_000


class KeyKind(StrEnum):
    """How a key is shown to the gateway."""

    BEARER = "Bearer"
    CLIENT_CREDENTIALS = "ClientCredentials"


class KeyDelivery(StrEnum):
    """How a key that the operator makes gets to its user."""

    SECRET = "Secret"  # noqa: S105 the name of a kind


class KeyLimits(MinuteLimits):
    """What a key may use. A bound that is left out is not there."""

    token_quota: Annotated[int, Field(ge=1, le=MAX_TOKEN_QUOTA)] | None = Field(
        default=None,
        description="Tokens in the key's whole life. When they are used up, requests are answered with 401 "
        "ModelArts.81005 until the quota is raised.",
    )


Sha256 = Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]


def _immutable(what: str) -> dict[str, JsonValue]:
    message = f"{what} cannot be changed: delete the key and make another"
    return {"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": message}]}


class ApiKeySpec(Part):
    """A key. What stays in the cluster is its SHA-256; the key itself is there only while it is being delivered."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.kind) == has(oldSelf.kind)",
                    "message": "the key's kind cannot be changed: delete the key and make another",
                    "fieldPath": ".kind",
                    "reason": "FieldValueInvalid",
                },
                {
                    "rule": "has(self.sha256) != has(self.delivery)",
                    "message": "say either sha256, of a key that you make (kubectl maas key create does), or delivery: "
                    "Secret, for one that the operator makes",
                    "reason": "FieldValueInvalid",
                },
                {
                    "rule": "has(self.delivery) == has(oldSelf.delivery)",
                    "message": "who makes the key cannot be changed: delete the key and make another",
                    "fieldPath": ".delivery",
                    "reason": "FieldValueInvalid",
                },
            ]
        }
    )

    tag: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")] = Field(
        description="Name for people, unique in the account: 1 to 100 letters, digits, '_' and '-'. Immutable.",
        json_schema_extra=_immutable("the tag"),
    )
    description: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        description="What the key is for, 1 to 100 characters. Immutable.",
        json_schema_extra=_immutable("the description"),
    )
    sha256: Sha256 | None = Field(
        default=None,
        description="SHA-256 of a key that the user makes, 64 lower-case hexadecimal digits: "
        'printf %s "$KEY" | sha256sum. Immutable.',
        json_schema_extra=_immutable("the key's digest"),
    )
    delivery: KeyDelivery | None = Field(
        default=None,
        description="Secret: the operator makes the key and delivers it once, in a Secret of the account's namespace "
        "that it removes after a short time; status.delivery names it. Instead of sha256. Immutable.",
    )
    kind: KeyKind | None = Field(
        default=None,
        description="Bearer (also when left out): the key itself is sent with each request. ClientCredentials: the key "
        "is the secret of client NAMESPACE/NAME, which gets short-lived tokens for it at /oauth2/token. Immutable.",
        json_schema_extra=_immutable("the key's kind"),
    )
    limits: KeyLimits | None = Field(default=None, description="What the key may use. Left out: no bound.")
    services: Annotated[list[LabelName], Field(max_length=64)] = Field(
        default=[],
        description="Names of the ModelServices of its own account that the key may call, and no others. Left out: all "
        "that the account may call.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    expires_at: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="From then on the key is invalid (RFC 3339, for example 2027-01-31T00:00:00Z). Left out: never.",
        json_schema_extra={"format": "date-time"},
    )


Moment = Annotated[str, Field(max_length=64)]


class DeliveryStatus(Part):
    """How far the delivery of a key has come. Without a Secret's name: not delivered yet, or removed."""

    attempt: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Attempts that were given up, for example since the operator was killed in the middle: the keys "
        "that they made never counted.",
    )
    secret_name: ObjectName | None = Field(
        default=None, description="The Secret, of the account's namespace, whose data.key is the key."
    )
    secret_uid: Line | None = Field(
        default=None, alias="secretUID", description="The Secret's metadata.uid: only this one is removed."
    )
    remove_at: Moment | None = Field(
        default=None,
        description="When the Secret is removed (RFC 3339).",
        json_schema_extra={"format": "date-time"},
    )
    removed_at: Moment | None = Field(
        default=None,
        description="When the Secret was removed (RFC 3339).",
        json_schema_extra={"format": "date-time"},
    )


class ApiKeyStatus(Part):
    """Whether the key counts, and how it was delivered."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(oldSelf.sha256) || (has(self.sha256) && self.sha256 == oldSelf.sha256)",
                    "message": "a key is delivered once: its digest never changes",
                    "fieldPath": ".sha256",
                    "reason": "FieldValueInvalid",
                }
            ]
        }
    )

    observed_generation: ObservedGeneration | None = None
    sha256: Sha256 | None = Field(
        default=None, description="SHA-256 of the key that the operator made and delivered. Once set, for good."
    )
    delivery: DeliveryStatus | None = Field(default=None, description="Of a key that the operator makes.")
    conditions: ConditionList = Field(default=[])
