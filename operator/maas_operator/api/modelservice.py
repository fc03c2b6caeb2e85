"""ModelService: a served model."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from maas_operator.api.conditions import Phase
from maas_operator.api.durations import Duration
from maas_operator.api.fields import ConditionList, EnvVar, LabelName, MinuteLimits, ObjectName, Part, Text256

MAX_INSTANCES = 1000
"""Instances of one service."""
MAX_QPS = 1_000_000
"""Requests a second of one service."""
RESERVED_ARGS = (
    "--model",
    "--served-model-name",
    "--host",
    "--port",
    "--max-model-len",
    "--shutdown-timeout",
    "--api-key",
    "--chat-template",
)
"""Flags of `vllm serve` that the operator gives itself, from other fields."""

_reserved = "[" + ",".join(f"'{flag}'" for flag in RESERVED_ARGS) + "]"


class State(StrEnum):
    """What the user wants: pods, or none."""

    RUNNING = "Running"
    STOPPED = "Stopped"


class ModelReference(Part):
    """A catalogue entry and one of its versions."""

    name: ObjectName = Field(description="Name of the Model (kubectl get maasmodels).")
    version: LabelName | None = Field(
        default=None,
        description="One of the Model's versions. Left out: the newest (the last of its list) when the service is "
        "first deployed; it is then pinned in status.model.version and never moves by itself.",
    )


class EngineExtras(Part):
    """What is added to the engine's start, for those who know vLLM."""

    args: Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(max_length=64)] = Field(
        default=[],
        description="Further arguments of `vllm serve`, one list item each, after those of the Model.",
        json_schema_extra={
            "x-kubernetes-list-type": "atomic",
            "x-kubernetes-validations": [
                {
                    "rule": f"self.all(a, !(a.split('=')[0].replace('_', '-') in {_reserved}))",
                    "message": f"the operator sets {', '.join(RESERVED_ARGS)} itself: leave them out of engine.args "
                    "(the context length comes from the Model's version, the name from metadata.name)",
                }
            ],
        },
    )
    env: Annotated[list[EnvVar], Field(max_length=64)] = Field(
        default=[],
        description="Further environment variables of the engine's container.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")] | None = Field(
        default=None,
        description="Engine image instead of the one that belongs to the flavor's accelerator, with a tag or digest.",
    )


class ServiceLimits(MinuteLimits):
    """What all callers of a service together may use. A bound that is left out is not there."""


class Sharing(Part):
    """Which other accounts may call a service, under the names that its own account uses."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.all) != has(self.accounts)",
                    "message": "name the accounts, or set all: true, one of the two",
                }
            ]
        }
    )

    accounts: Annotated[list[LabelName], Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description="Accounts (namespaces) that may call it.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    all: bool | None = Field(
        default=None,
        description="true: every account may call it.",
        json_schema_extra={
            "x-kubernetes-validations": [{"rule": "self", "message": "all can only be true: else leave it out"}]
        },
    )


class Balancing(StrEnum):
    """How the gateway chooses an instance for a request."""

    LEAST_REQUEST = "LeastRequest"
    PREFIX_AFFINITY = "PrefixAffinity"


class AutoStop(Part):
    """When a service stops by itself."""

    after: Duration = Field(
        description="How long the service may run: 1h, 2h, 4h, 6h or any other time of one minute or more, for example "
        "1h30m. It counts while an instance answers, and not while the service is stopped. Then it stops by itself, "
        "until `kubectl maas start`.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "duration(self) >= duration('1m')",
                    "message": "autoStop.after must be one minute or more",
                }
            ]
        },
    )


class ModelServiceSpec(Part):
    """What is to be served, where, and how many times."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.engine) || !has(self.engine.image) || "
                    "(self.engine.image.matches('^[^@]+(:[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})$') && "
                    "!self.engine.image.endsWith(':latest'))",
                    "message": "engine.image needs a tag other than latest, or a digest, so that every instance runs "
                    "the same engine",
                    "fieldPath": ".engine.image",
                    "reason": "FieldValueInvalid",
                }
            ]
        }
    )

    display_name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")] | None = (
        Field(
            default=None,
            description="Name for people: 1 to 64 letters, digits, '-' and '_', starting with a letter. "
            "Left out: metadata.name.",
        )
    )
    description: Text256 | None = Field(default=None, description="What the service is for, up to 256 characters.")
    model: ModelReference = Field(description="The model to serve.")
    resource_pool: ObjectName = Field(description="Name of the ResourcePool whose nodes are used.")
    flavor: LabelName = Field(
        description="One of the pool's flavors: the accelerators, cpu and memory that each instance gets."
    )
    instances: Annotated[int, Field(ge=0, le=MAX_INSTANCES)] | None = Field(
        default=None,
        description="How many instances run. Left out: 1. `kubectl scale`, a HorizontalPodAutoscaler or KEDA may own "
        "this field through the scale subresource (an autoscaler needs a first value here); the operator never writes "
        "it.",
    )
    qps: Annotated[int, Field(ge=1, le=MAX_QPS)] | None = Field(
        default=None,
        description="Requests a second that the gateway lets through to the service; more are answered with 429 "
        "APIG.0308. At most the flavor's maxQPS times the instances. Stands on the Service as the annotation "
        "maas-operator.io/qps.",
    )
    limits: ServiceLimits | None = Field(
        default=None, description="What all callers together may ask of the service in a minute. Left out: no bound."
    )
    sharing: Sharing | None = Field(
        default=None, description="Other accounts that may call the service. Left out: its own account alone."
    )
    balancing: Balancing | None = Field(
        default=None,
        description="How the gateway chooses an instance. LeastRequest (also when left out): the one with the fewest "
        "requests of two chosen at random. PrefixAffinity: conversations that begin alike go to the same instance, "
        "whose cache then knows the beginning, unless it has a quarter more than its share of the requests.",
    )
    state: State | None = Field(
        default=None,
        description="Running (also when left out) or Stopped. Stopped removes the pods and keeps everything else.",
    )
    auto_stop: AutoStop | None = Field(default=None, description="When the service stops by itself. Left out: never.")
    engine: EngineExtras | None = Field(default=None, description="Additions to the engine's start.")


class PinnedModel(Part):
    """The model and version that the service runs."""

    name: ObjectName = Field(description="Name of the Model.")
    version: LabelName = Field(description="The version, also when the spec leaves it open.")


class AutoStopStatus(Part):
    """How far the service's time has run down."""

    counted_seconds: Annotated[int, Field(ge=0)] = Field(
        description="Seconds that had counted at `since`; in all, where that is absent."
    )
    since: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="From when on time counts besides. Absent while no instance answers.",
        json_schema_extra={"format": "date-time"},
    )
    stops_at: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="When the service will stop by itself if it goes on running.",
        json_schema_extra={"format": "date-time"},
    )
    stopped_at: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="When it stopped by itself. It stays so until it is started again: `kubectl maas start`.",
        json_schema_extra={"format": "date-time"},
    )
    start_request: Annotated[str, Field(max_length=16)] | None = Field(
        default=None,
        description="Digest of the annotation maas-operator.io/start-requested-at as it was then: another starts it.",
    )


class Instances(Part):
    """Counts of instances."""

    desired: Annotated[int, Field(ge=0)] = Field(description="How many there should be.")
    ready: Annotated[int, Field(ge=0)] = Field(description="How many answer.")
    summary: Annotated[str, Field(max_length=32)] = Field(description="Both, as `kubectl get` prints them.")


class Endpoint(Part):
    """An address at which the service answers."""

    name: LabelName = Field(description="Which way in it is.")
    url: Annotated[str, Field(max_length=512)] = Field(description="Base URL of the OpenAI-compatible API.")


class ModelServiceStatus(Part):
    """What is the case. Written by the operator alone."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The metadata.generation that this status speaks of."
    )
    phase: Phase | None = Field(
        default=None,
        description="The conditions in one word: Queuing (no room), Starting (pods being placed), Deploying (image, "
        "weights, engine loading), Running, Alarm (serving, but an instance fails), Failed, Stopped, Updating "
        "(spec being rolled), Upgrading (version being rolled).",
    )
    service_id: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="The service's id in the paths of the API."
    )
    model: PinnedModel | None = Field(default=None, description="The model and version that are deployed.")
    instances: Instances | None = Field(default=None, description="Instances, desired and ready.")
    auto_stop: AutoStopStatus | None = Field(default=None, description="How spec.autoStop stands.")
    replicas: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Pods there are now; read by the scale subresource."
    )
    selector: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Label selector of the pods; read by the scale subresource."
    )
    endpoints: Annotated[list[Endpoint], Field(max_length=8)] = Field(
        default=[],
        description="Where the service answers.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    conditions: ConditionList = Field(default=[])
