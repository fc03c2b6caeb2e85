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


NOT_LOOKED_AT = -1
"""observedGeneration of an object that the operator has not looked at. The API server gives it to a new object: kstatus
(Helm's --wait, Flux) takes an object without a status for one that is as it should be."""
ObservedGeneration = Annotated[
    int,
    Field(
        ge=NOT_LOOKED_AT,
        description="The metadata.generation that this status speaks of; -1 before the operator has looked.",
    ),
]

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
QUANTITY = r"^([0-9]+|[0-9]+\.[0-9]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
DECIMAL = r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$"
PROBABILITY = r"^(0\.[0-9]{0,5}[1-9][0-9]{0,5}|1(\.0{1,6})?)$"
LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"


def worded(pattern: str, message: str) -> JsonDict:
    """For strings whose pattern says little to people: the refusal says this, too."""
    return {"x-kubernetes-validations": [{"rule": f"self.matches(r'{pattern}')", "message": message}]}


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
Decimal = Annotated[
    str,
    Field(
        min_length=1,
        max_length=16,
        pattern=DECIMAL,
        json_schema_extra=worded(
            DECIMAL, "a number such as 12.50, in quotes: no sign, no exponent, at most 6 decimals"
        ),
    ),
]
"""A number that is no whole one, written out: the resources have no floats."""
Probability = Annotated[
    str,
    Field(
        min_length=1,
        max_length=8,
        pattern=PROBABILITY,
        json_schema_extra=worded(PROBABILITY, "a number above 0 and at most 1, in quotes, such as 0.95"),
    ),
]
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


class Credentials(Part):
    """Who fetches the weights. The operator never reads the Secret: the kubelet gives it to the pod."""

    secret_name: ObjectName = Field(
        description="Name of a Secret in the service's namespace, with the usual variables as its keys: HF_TOKEN for "
        "hf://, MODELSCOPE_API_TOKEN for modelscope://, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and, if need be, "
        "AWS_SESSION_TOKEN) for s3://."
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
