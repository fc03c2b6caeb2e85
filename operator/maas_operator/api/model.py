"""Model: a catalogue entry."""

from enum import StrEnum
from functools import cached_property
from typing import Annotated

from pydantic import Field

from maas_operator.api.fields import (
    ConditionList,
    Credentials,
    Decimal,
    EnvVar,
    LabelName,
    Line,
    ObservedGeneration,
    Part,
    Probability,
    Quantity,
    digest,
)

MAX_CONTEXT = 16_777_216
"""Tokens of context that a version may claim."""
SOURCE = (
    r"^(hf://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._-]+)?"
    r"|modelscope://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._-]+)?"
    r"|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=/-]*)?"
    r"|oci://[a-z0-9][a-zA-Z0-9._:/@-]*"
    r"|pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9._/-]*)?)$"
)
"""hf://OWNER/NAME[@REVISION], modelscope://OWNER/NAME[@REVISION], s3://BUCKET[/PREFIX], oci://IMAGE,
pvc://CLAIM[/FOLDER]."""
Source = Annotated[
    str,
    Field(
        min_length=6,
        max_length=512,
        pattern=SOURCE,
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    # what the pattern says, in short: the API server counts what a rule may cost at most
                    "rule": "self.matches('^((hf|modelscope)://[^/]+/[^/]+|(s3|oci|pvc)://.+)$')",
                    "message": "a source is hf://OWNER/NAME[@REVISION], modelscope://OWNER/NAME[@REVISION], "
                    "s3://BUCKET[/PREFIX], oci://IMAGE or pvc://CLAIM[/FOLDER]",
                },
                {
                    "rule": "!self.startsWith('oci://') || self.contains('@sha256:') || "
                    "(self.split('/')[self.split('/').size() - 1].contains(':') && !self.endsWith(':latest'))",
                    "message": "an oci:// source needs a tag other than latest, or a digest, so that every instance "
                    "loads the same weights",
                },
                {
                    "rule": "!self.contains('/../') && !self.endsWith('/..')",
                    "message": "a pvc:// source names a folder inside the claim: '..' is not allowed",
                },
            ]
        },
    ),
]
"""Where weights are."""


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


class SupportedJob(StrEnum):
    """What can be done with a model (M5)."""

    DEPLOYMENT = "Deployment"
    FINE_TUNING = "FineTuning"
    COMPRESSION = "Compression"


class Precision(StrEnum):
    """In what the weights are kept."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT8 = "float8"
    INT8 = "int8"


class Weights(Part):
    """The weights as they are loaded."""

    size: Quantity = Field(description="Bytes of the weights' files, for example 28Gi.")
    precision: Precision = Field(description="float32, bfloat16, float16, float8 or int8 (W8A8).")
    estimated: bool | None = Field(default=None, description="true: nobody has measured the size.")


class Architecture(Part):
    """What the model's config.json says of its shape, as far as memory follows from it."""

    parameters: Annotated[int, Field(ge=1, le=10**14)] = Field(description="Parameters in all, experts included.")
    layers: Annotated[int, Field(ge=1, le=4096)] = Field(description="Layers with attention (num_hidden_layers).")
    hidden_size: Annotated[int, Field(ge=1, le=10**6)] = Field(description="Width of the layers (hidden_size).")
    attention_heads: Annotated[int, Field(ge=1, le=65536)] = Field(description="Attention heads (num_attention_heads).")
    kv_heads: Annotated[int, Field(ge=1, le=65536)] = Field(
        description="num_key_value_heads: shared out over the devices of an instance, and repeated where there are "
        "more devices than heads."
    )
    head_size: Annotated[int, Field(ge=1, le=65536)] = Field(description="Values of a head (head_dim).")
    latent_size: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        default=None,
        description="Multi-head latent attention (DeepSeek-V3 and R1): kv_lora_rank + qk_rope_head_dim. Every device "
        "keeps the whole of it.",
    )
    sliding_window: Annotated[int, Field(ge=1, le=MAX_CONTEXT)] | None = Field(
        default=None, description="Tokens that every layer looks back (sliding_window). Left out: all."
    )
    vocabulary_size: Annotated[int, Field(ge=1, le=10**8)] = Field(description="Tokens of the vocabulary (vocab_size).")
    context_length: Annotated[int, Field(ge=128, le=MAX_CONTEXT)] = Field(
        description="Tokens that the model was made for (max_position_embeddings)."
    )


class Sampling(Part):
    """Sampling where a request does not say (M20)."""

    temperature: Decimal | None = Field(default=None, description="temperature, for example 0.6.")
    top_p: Probability | None = Field(default=None, description="top_p, for example 0.95.")
    top_k: Annotated[int, Field(ge=1, le=10**6)] | None = Field(
        default=None, description="The k likeliest tokens alone (top_k)."
    )
    repetition_penalty: Decimal | None = Field(default=None, description="Penalty for repeating (repetition_penalty).")

    @property
    def generation_config(self) -> str | None:
        """What is said, as JSON in generation_config.json's own words; None where nothing is. The numbers stand there
        as they were written: no float comes between."""
        said = [f'"{name}":{value}' for name in type(self).model_fields if (value := getattr(self, name)) is not None]
        return f"{{{','.join(said)}}}" if said else None


class Parameter(StrEnum):
    """What a request may ask for by its parameters, and a version may not support (M20). Not in the requests' own
    words: to many a reader of YAML a bare n is false."""

    N_ABOVE_ONE = "NAboveOne"
    BEAM_SEARCH = "BeamSearch"
    LENGTH_PENALTY = "LengthPenalty"


class Support(StrEnum):
    """How well a version runs on an accelerator."""

    FULL = "Full"
    EXPERIMENTAL = "Experimental"


class VersionAccelerator(Part):
    """What a version needs of one type of accelerator."""

    type: LabelName = Field(description="The accelerator, as flavors write it: ascend-910b, nvidia, cpu and so on.")
    count: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None,
        description="Fewest devices of each host. Left out: as many as the arithmetic of `kubectl maas fit` asks for.",
    )
    hosts: Annotated[int, Field(ge=1, le=64)] | None = Field(default=None, description="Fewest hosts. Left out: 1.")
    estimated: bool | None = Field(default=None, description="true: computed, not tried.")
    support: Support | None = Field(
        default=None, description="Full (also when left out), or Experimental: the engine's makers promise nothing."
    )
    source: Source | None = Field(
        default=None, description="Other weights than the version's, for example quantized for this accelerator."
    )
    weights: Weights | None = Field(default=None, description="Those weights. Left out: the version's.")
    args: Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(max_length=64)] = Field(
        default=[],
        description="Further arguments of `vllm serve` on it.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    env: Annotated[list[EnvVar], Field(max_length=64)] = Field(
        default=[],
        description="Environment variables on it.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class ModelVersion(Part):
    """A version of a model: its weights, and how they are served."""

    name: LabelName = Field(description="Name of the version, for example 8k. The newest stands last in the list.")
    source: Source = Field(
        description="Where the weights are: hf://OWNER/NAME[@REVISION], modelscope://OWNER/NAME[@REVISION], "
        "s3://BUCKET[/PREFIX], oci://IMAGE (an image that holds the files, mounted as a volume), pvc://CLAIM[/FOLDER] "
        "(a claim in the service's namespace, mounted read-only)."
    )
    credentials: Credentials | None = Field(
        default=None,
        description="Who fetches the weights, where a service does not say. Left out: anybody may.",
    )
    context_length: Annotated[int, Field(ge=128, le=MAX_CONTEXT)] = Field(
        description="Maximum input and output tokens together."
    )
    weights: Weights | None = Field(
        default=None, description="The weights. Left out: whether a flavor can hold them is not checked."
    )
    architecture: Architecture | None = Field(
        default=None, description="The model's shape. Left out: how many tokens a flavor can hold is not known."
    )
    accelerators: Annotated[list[VersionAccelerator], Field(max_length=32)] = Field(
        default=[],
        description="The accelerators on which the version runs, and what it needs of each: flavors with others are "
        "refused. Left out: any.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    sampling: Sampling | None = Field(
        default=None, description="Sampling where a request does not say. Left out: as the weights' own files say."
    )
    unsupported_parameters: Annotated[list[Parameter], Field(max_length=len(Parameter))] = Field(
        default=[],
        description="What the version does not support of a request's parameters: NAboveOne (n), BeamSearch "
        "(use_beam_search), LengthPenalty (length_penalty other than 1). The gateway refuses such requests "
        "(ModelArts.81001).",
        json_schema_extra={"x-kubernetes-list-type": "set"},
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

    @cached_property
    def digest(self) -> str:
        """A digest of what the engine is started with. What is only told of the version restarts no instance: the
        facts from which its needs are computed, what it needs of accelerators that are not used, and what the gateway
        refuses."""
        told = {"weights", "architecture", "accelerators", "unsupported_parameters"}
        return digest(self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=told))

    def digest_on(self, accelerator: VersionAccelerator | None) -> str:
        """The same, with what the engine is started with on an accelerator in particular. Where that is nothing, it is
        the version's own digest, so that an operator that knows of it restarts no instance."""
        started = {"source", "args", "env"}
        particular = (
            accelerator.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=started)
            if accelerator
            else {}
        )
        return digest([self.digest, particular]) if particular else self.digest


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
    supported_jobs: Annotated[list[SupportedJob], Field(max_length=len(SupportedJob))] = Field(
        default=[],
        description="What can be done with it: Deployment, FineTuning, Compression.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    gated: bool | None = Field(
        default=None,
        description="true: its hub gives the weights to those alone who accepted its terms there, by their token.",
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

    observed_generation: ObservedGeneration | None = None
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
