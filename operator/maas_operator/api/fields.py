"""Field types that several kinds share, with the bounds that end up in the CRDs."""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict


def digest(value: Any) -> str:
    """A short digest of a JSON value: 16 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Part(BaseModel):
    """A part of a resource: camelCase in manifests, unknown fields left alone (a newer CRD may have more)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    @cached_property
    def digest(self) -> str:
        """A digest of the content. What is left out, or set to its default, does not count: an operator whose kinds
        have more fields comes to the same digest."""
        return digest(self.model_dump(mode="json", by_alias=True, exclude_defaults=True))


MAX_REQUESTS_PER_MINUTE = 60_000_000
MAX_TOKENS_PER_MINUTE = 1_000_000_000


class MinuteLimits(Part):
    """What may be used in a minute: of a key, or of a service."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    requests_per_minute: Annotated[int, Field(ge=1, le=MAX_REQUESTS_PER_MINUTE)] | None = Field(
        default=None,
        description="Requests a minute, given out evenly: a second's worth may come at once. More are answered with "
        "429 ModelArts.81101 and Retry-After.",
    )
    tokens_per_minute: Annotated[int, Field(ge=1, le=MAX_TOKENS_PER_MINUTE)] | None = Field(
        default=None,
        description="Prompt and completion tokens a minute. They are charged when an answer ends: from then on "
        "requests are answered with 429 ModelArts.81103 until the minute's share has made up for it.",
    )


DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
QUANTITY = r"^([0-9]+|[0-9]+\.[0-9]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"

LABEL_KEYS_RULE: JsonDict = {
    "x-kubernetes-validations": [
        {
            "rule": f"self.all(key, key.size() <= 316 && key.matches('{LABEL_KEY}'))",
            "message": "a label's key is [PREFIX/]NAME: letters, digits, '-', '_' and '.', beginning and ending with a "
            "letter or digit; the prefix is a lower-case DNS name",
        }
    ]
}
"""For maps of labels: a schema can bound their values, but not their keys."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
LabelName = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
LabelKey = Annotated[str, Field(min_length=1, max_length=316, pattern=LABEL_KEY)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]
Quantity = Annotated[str, Field(min_length=1, max_length=32, pattern=QUANTITY)]
Text256 = Annotated[str, Field(max_length=256)]
Line = Annotated[str, Field(min_length=1, max_length=128)]


class EnvVar(Part):
    """An environment variable of the engine's container."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")] = Field(
        description="Name of the variable."
    )
    value: Annotated[str, Field(max_length=4096)] = Field(
        description="Its value, as plain text. Never put a secret here: everyone who may read the object can read it."
    )


class Condition(Part):
    """One condition, as metav1.Condition has it."""

    type: Annotated[str, Field(min_length=1, max_length=316)] = Field(description="Type of the condition.")
    status: Annotated[str, Field(pattern="^(True|False|Unknown)$", max_length=7)] = Field(
        description="True, False or Unknown."
    )
    observed_generation: Annotated[int, Field(ge=0)] = Field(
        default=0, description="The metadata.generation that the condition was set upon."
    )
    last_transition_time: Annotated[str, Field(max_length=64)] = Field(
        description="When the status last changed from one value to another (RFC 3339).",
        json_schema_extra={"format": "date-time"},
    )
    reason: Annotated[
        str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_,:.]*[A-Za-z0-9_])?$")
    ] = Field(description="A word for programs: why the condition has this status.")
    message: Annotated[str, Field(max_length=4096)] = Field(
        description="A sentence for people: what is the case, where, and what to do."
    )


ConditionList = Annotated[
    list[Condition],
    Field(
        max_length=16,
        description="What is the case now, one entry a type.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
