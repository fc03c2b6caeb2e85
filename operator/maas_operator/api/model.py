"""Model: a catalogue entry."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from maas_operator.api.fields import ConditionList, EnvVar, LabelName, Line, Part

MAX_CONTEXT = 16_777_216
"""Tokens of context that a version may claim."""
SOURCE = (
    r"^(hf://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._-]+)?"
    r"|modelscope://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._-]+)?"
    r"|oci://[a-z0-9][a-zA-Z0-9._:/@-]*"
    r"|pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9._/-]*)?)$"
)
"""hf://OWNER/NAME[@REVISION], modelscope://OWNER/NAME[@REVISION], oci://IMAGE, pvc://CLAIM[/FOLDER]."""


class ModelType(StrEnum):
    """What a model is for (M5)."""

    TEXT_GENERATION = "TextGeneration"
    IMAGE_UNDERSTANDING = "ImageUnderstanding"


class Product(Part):
    """A model as clients of Intel's API know it (I2): what they send with each request, and must all name the same."""

    id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")] = (
        Field(
            description="The product's id, often a UUID. Of Models with the same id, the oldest counts; the others say "
            "so in their condition Accepted."
        )
    )
    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")] = (
        Field(description="The product's name, for example maas-model-qwen-2.5-32b.")
    )
    model_name: Annotated[
        str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$")
    ] = Field(description="The model's name in that API, for example Qwen/Qwen2.5-32B-Instruct.")


class ModelVersion(Part):
    """A version of a model: its weights, and how they are served."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!self.source.startsWith('oci://') || self.source.contains('@sha256:') || "
                    "(self.source.split('/')[self.source.split('/').size() - 1].contains(':') && "
                    "!self.source.endsWith(':latest'))",
                    "message": "an oci:// source needs a tag other than latest, or a digest, so that every instance "
                    "loads the same weights",
                    "fieldPath": ".source",
                    "reason": "FieldValueInvalid",
                },
                {
                    "rule": "!self.source.contains('/../') && !self.source.endsWith('/..')",
                    "message": "a pvc:// source names a folder inside the claim: '..' is not allowed",
                    "fieldPath": ".source",
                    "reason": "FieldValueInvalid",
                },
            ]
        }
    )

    name: LabelName = Field(description="Name of the version, for example 8k. The newest stands last in the list.")
    source: Annotated[str, Field(min_length=6, max_length=512, pattern=SOURCE)] = Field(
        description="Where the weights are: hf://OWNER/NAME[@REVISION], modelscope://OWNER/NAME[@REVISION], "
        "oci://IMAGE (an image that holds the files, mounted as a volume), pvc://CLAIM[/FOLDER] (a claim in the "
        "service's namespace, mounted read-only)."
    )
    context_length: Annotated[int, Field(ge=128, le=MAX_CONTEXT)] = Field(
        description="Maximum input and output tokens together."
    )
    reasoning_parser: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9_]+$")] | None = Field(
        default=None, description="vLLM's parser of the chain of thought, for example deepseek_r1 or qwen3."
    )
    tool_call_parser: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9_]+$")] | None = Field(
        default=None, description="vLLM's parser of tool calls, for example hermes; switches tool choice on."
    )
    chat_template: Annotated[str, Field(min_length=1, max_length=65536)] | None = Field(
        default=None,
        description="A jinja chat template instead of the one among the weights; kept in a ConfigMap beside the pods.",
    )
    args: Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(max_length=64)] = Field(
        default=[],
        description="Further arguments of `vllm serve` that this version needs.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    env: Annotated[list[EnvVar], Field(max_length=64)] = Field(
        default=[],
        description="Environment variables that this version needs.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class ModelSpec(Part):
    """What the catalogue says of the model."""

    display_name: Line | None = Field(default=None, description="Name for people, for example DeepSeek-R1.")
    series: Line | None = Field(default=None, description="Family, for example DeepSeek or Qwen3.")
    type: ModelType | None = Field(default=None, description="What it does.")
    languages: Annotated[list[Line], Field(max_length=64)] = Field(
        default=[], description="Languages it speaks.", json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    use_cases: Annotated[list[Line], Field(max_length=32)] = Field(
        default=[], description="What it is good for.", json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    introduction: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="A paragraph on the model."
    )
    license: Line | None = Field(default=None, description="SPDX name of its license, or the license's own name.")
    product: Product | None = Field(
        default=None,
        description="How clients of Intel's API know the model. Left out: that API does not offer it.",
    )
    versions: Annotated[list[ModelVersion], Field(min_length=1, max_length=32)] = Field(
        description="The versions, oldest first.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class ModelStatus(Part):
    """Who uses the model."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The metadata.generation that this status speaks of."
    )
    versions: Annotated[str, Field(max_length=2048)] | None = Field(
        default=None, description="The versions' names, as `kubectl get` prints them."
    )
    services: Annotated[int, Field(ge=0)] | None = Field(default=None, description="ModelServices that name the model.")
    users: Annotated[list[Annotated[str, Field(max_length=320)]], Field(max_length=20)] = Field(
        default=[],
        description="The first 20 of them, as NAMESPACE/NAME.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    conditions: ConditionList = Field(default=[])
