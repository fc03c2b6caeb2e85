"""ModelService: a served model. Its status: api/servicestatus.py."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from maas_operator.api.durations import Duration
from maas_operator.api.events import Subscribable
from maas_operator.api.fields import (
    Credentials,
    EnvVar,
    LabelName,
    MinuteLimits,
    ObjectName,
    Part,
    Text256,
)
from maas_operator.api.scaling import MAX_INSTANCES, Scaling

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

RESERVED_ENV = (
    "NVIDIA_VISIBLE_DEVICES",
    "AMD_VISIBLE_DEVICES",
    "ASCEND_VISIBLE_DEVICES",
    "HABANA_VISIBLE_DEVICES",
)
"""By which device plugins tell a container runtime what a container has: set by somebody else, it would have others'
devices too."""

_reserved = "[" + ",".join(f"'{flag}'" for flag in RESERVED_ARGS) + "]"
_reserved_env = "[" + ",".join(f"'{name}'" for name in RESERVED_ENV) + "]"


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
    credentials: Credentials | None = Field(
        default=None,
        description="Who fetches the weights: gated models need each account's own token. Left out: as the version "
        "says. What is fetched with credentials is shared within the account alone.",
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
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "x-kubernetes-validations": [
                {
                    "rule": f"self.all(e, !(e.name in {_reserved_env}))",
                    "message": f"the device plugin sets {', '.join(RESERVED_ENV)}: leave them out of engine.env (how "
                    "many devices an instance has is its flavor's to say)",
                }
            ],
        },
    )
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")] | None = Field(
        default=None,
        description="Engine image instead of the one that belongs to the flavor's accelerator, with a tag or digest.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.matches('^[^@]+(:[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})$') && "
                    "!self.endsWith(':latest')",
                    "message": "engine.image needs a tag other than latest, or a digest, so that every instance runs "
                    "the same engine",
                }
            ]
        },
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

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "has(self.after) || has(self.afterIdle)", "message": "autoStop sets after, afterIdle or both"}
            ]
        }
    )

    after: Duration | None = Field(
        default=None,
        description="How long the service may run: 1h, 2h, 4h, 6h or any other time of one minute or more, for example "
        "1h30m. It counts while an instance answers, and not while the service is stopped or asleep. Then it stops by "
        "itself, until `kubectl maas start`.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "duration(self) >= duration('1m')",
                    "message": "autoStop.after must be one minute or more",
                }
            ]
        },
    )
    after_idle: Duration | None = Field(
        default=None,
        description="How long the service may be without any request, one minute or more. Only time in which every "
        "gateway's requests are known counts, while an instance answers or the service is asleep. Then it stops by "
        "itself, until `kubectl maas start`.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "duration(self) >= duration('1m')",
                    "message": "autoStop.afterIdle must be one minute or more",
                }
            ]
        },
    )


class WithoutRoom(StrEnum):
    """What a change does where the pool has no room for a new instance beside those that answer."""

    REPLACE = "Replace"
    WAIT = "Wait"


class Rollout(Part):
    """How a change reaches the instances."""

    without_room: WithoutRoom | None = Field(
        default=None,
        description="New instances come first, and old ones go once they answer. Where the pool has no room for that: "
        "Replace (also when left out) takes one instance away before its successor starts, if that makes room; a lone "
        "instance too, and nothing answers while the new one loads. Wait leaves all as they are until there is room.",
    )


class Notifications(Part):
    """Whom to tell of what happens to a service."""

    topic: ObjectName = Field(description="Name of a NotificationTopic of the same namespace (kubectl get mtopic).")
    events: Annotated[list[Subscribable], Field(min_length=1, max_length=len(Subscribable))] = Field(
        description="What is told: Queuing, Running, Alarm, Failed; Terminated (stopped, by a user or by itself, or "
        "deleted); Updated, Upgraded (a change has reached every instance); Scaled, FellAsleep, Woken; StopsSoon "
        "(ten minutes before it stops by itself); SuspectedSuspension (an instance hangs).",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class ModelServiceSpec(Part):
    """What is to be served, where, and how many times."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.instances) || !has(self.scaling)",
                    "message": "instances and scaling exclude each other: with scaling the operator decides how many "
                    "run, between minInstances and maxInstances",
                    "fieldPath": ".instances",
                    "reason": "FieldValueForbidden",
                },
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
    scaling: Scaling | None = Field(
        default=None,
        description="Instead of instances: how many run is decided by the operator, from what the service has to do.",
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
    priority_class_name: ObjectName | None = Field(
        default=None,
        description="A PriorityClass of the cluster. Of services that wait for room in a pool the one with the highest "
        "value comes first, among equals the one that waits longest.",
    )
    state: State | None = Field(
        default=None,
        description="Running (also when left out) or Stopped. Stopped removes the pods and keeps everything else.",
    )
    auto_stop: AutoStop | None = Field(default=None, description="When the service stops by itself. Left out: never.")
    rollout: Rollout | None = Field(default=None, description="How a change reaches the instances.")
    notifications: Notifications | None = Field(
        default=None, description="Whom to tell of what happens to the service. Left out: nobody."
    )
    engine: EngineExtras | None = Field(default=None, description="Additions to the engine's start.")
