"""spec.scaling: how many instances run, where the operator is to decide it. The words are those of the
HorizontalPodAutoscaler (autoscaling/v2), and mean the same."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from maas_operator.api.durations import Duration
from maas_operator.api.fields import LabelName, Part

MAX_INSTANCES = 1000
"""Instances of one service."""
MAX_SCHEDULES = 16
MAX_POLICIES = 8
MAX_WINDOW_SECONDS = 3600
"""Of stabilization; as in autoscaling/v2."""
MAX_PERIOD_SECONDS = 1800
"""Of a policy; as in autoscaling/v2."""

_BOUNDS_RULE: JsonDict = {
    "rule": "!has(self.minInstances) || !has(self.maxInstances) || self.minInstances <= self.maxInstances",
    "message": "minInstances must not be above maxInstances",
}


class MetricType(StrEnum):
    """What is measured of a service."""

    QPS = "QPS"
    """Requests that came in a second."""
    CONCURRENCY = "Concurrency"
    """Requests in the instances, and held in the gateway until there is one."""
    QUEUE = "Queue"
    """Requests that wait inside the instances."""
    KV_CACHE = "KVCache"
    """Per cent of the key-value cache in use."""


class ScalingMetric(Part):
    """A metric, and what it should be at."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.type != 'KVCache' || self.target <= 100",
                    "message": "KVCache is measured in per cent: target must be at most 100",
                }
            ]
        }
    )

    type: MetricType = Field(
        description="QPS (requests that come in a second), Concurrency (requests in the instances or held in the "
        "gateway), Queue (requests that wait inside the instances), KVCache (per cent of the key-value cache in use)."
    )
    target: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="What it should be on average over the instances."
    )


class PolicyType(StrEnum):
    """In what a policy counts."""

    PODS = "Pods"
    PERCENT = "Percent"


class ScalingPolicy(Part):
    """How far the number of instances may move in a time."""

    type: PolicyType = Field(description="Pods: value is a number of instances. Percent: of those at the time's start.")
    value: Annotated[int, Field(ge=1, le=10_000)] = Field(description="How many, or how much.")
    period_seconds: Annotated[int, Field(ge=1, le=MAX_PERIOD_SECONDS)] = Field(description="The time it holds for.")


class SelectPolicy(StrEnum):
    """Which of several policies counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class ScalingRules(Part):
    """How the number of instances moves in one direction."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=MAX_WINDOW_SECONDS)] | None = Field(
        default=None,
        description="What was recommended in so many seconds before now is looked at, and the most careful of it "
        "taken. Left out: 0 up, 300 down.",
    )
    select_policy: SelectPolicy | None = Field(
        default=None,
        description="Max (also when left out): the policy that allows the most counts; Min: the least; Disabled: it "
        "does not move in this direction.",
    )
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=MAX_POLICIES)] | None = Field(
        default=None,
        description="How far it may move in a time. Left out: up, 4 instances or twice as many in 15 seconds, "
        "whichever is more; down, all of them in 15 seconds.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    tolerance: Annotated[str, Field(max_length=8, pattern=r"^(0?\.[0-9]{1,3}|[01])$")] | None = Field(
        default=None,
        description="How far, as a part of the target, a metric may be off without anything moving. Left out: 0.1.",
    )


class ScalingBehavior(Part):
    """How the number of instances moves."""

    scale_up: ScalingRules | None = Field(default=None, description="How it moves upwards.")
    scale_down: ScalingRules | None = Field(default=None, description="How it moves downwards.")


_CRON = Annotated[str, Field(min_length=9, max_length=128, pattern=r"^\S+( \S+){4}$")]


class Schedule(Part):
    """Bounds for some hours."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                _BOUNDS_RULE,
                {
                    "rule": "has(self.minInstances) || has(self.maxInstances)",
                    "message": "a schedule sets minInstances, maxInstances or both",
                },
            ]
        }
    )

    name: LabelName = Field(description="Name of the schedule; it stands in the reason of what it decided.")
    start: _CRON = Field(
        description="When it begins, as cron says it: minute hour day-of-month month day-of-week, for example "
        "'0 8 * * 1-5'."
    )
    end: _CRON = Field(description="When it ends.")
    time_zone: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")] = Field(
        default="UTC", description="Time zone of both, by its IANA name, for example Europe/Berlin."
    )
    min_instances: Annotated[int, Field(ge=0, le=MAX_INSTANCES)] | None = Field(
        default=None, description="In place of scaling.minInstances meanwhile."
    )
    max_instances: Annotated[int, Field(ge=1, le=MAX_INSTANCES)] | None = Field(
        default=None, description="In place of scaling.maxInstances meanwhile."
    )


class Scaling(Part):
    """How many instances run, decided by the operator."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [_BOUNDS_RULE]})

    min_instances: Annotated[int, Field(ge=0, le=MAX_INSTANCES)] = Field(
        description="At least so many. 0: without requests the service goes to sleep, and a request wakes it: it is "
        "held in the gateway until an instance answers."
    )
    max_instances: Annotated[int, Field(ge=1, le=MAX_INSTANCES)] = Field(description="At most so many.")
    metrics: Annotated[list[ScalingMetric], Field(max_length=4)] = Field(
        default=[],
        description="What the number follows; of several the one that asks for most counts. Left out: it follows "
        "schedules, sleep and waking alone.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    sleep_after: Duration | None = Field(
        default=None,
        description="With minInstances 0: how long without a request until the service goes to sleep. Left out: 10m.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "duration(self) >= duration('10s')", "message": "sleepAfter must be ten seconds or more"}
            ]
        },
    )
    behavior: ScalingBehavior | None = Field(default=None, description="How the number moves. Left out: as an HPA's.")
    schedules: Annotated[list[Schedule], Field(max_length=MAX_SCHEDULES)] = Field(
        default=[],
        description="Other bounds for some hours. Where several are on at a time, the highest of each bound counts.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class MetricReading(Part):
    """What a metric was at when the number of instances was decided on last."""

    type: MetricType = Field(description="Which metric.")
    average_value: Annotated[str, Field(max_length=24)] | None = Field(
        default=None,
        description="What it was on average over the instances, as a quantity: 16, or 2500m for 2.5. Absent: it was "
        "not known.",
    )
    target: Annotated[int, Field(ge=1)] = Field(description="What it should have been.")


class ScalingStatus(Part):
    """How many instances were decided on last, and why. Written when the decision changes, not at every measurement."""

    desired: Annotated[int, Field(ge=0)] = Field(description="How many instances were decided on.")
    reason: Annotated[str, Field(max_length=1024)] = Field(description="Why, in a sentence.")
    last_scale_time: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="When the number last changed.", json_schema_extra={"format": "date-time"}
    )
    metrics: Annotated[list[MetricReading], Field(max_length=4)] = Field(
        default=[],
        description="What the metrics were at then.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    schedules: Annotated[list[LabelName], Field(max_length=MAX_SCHEDULES)] = Field(
        default=[],
        description="The schedules that are on.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    asleep_since: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="Since when the service is asleep. Absent while it is not.",
        json_schema_extra={"format": "date-time"},
    )
    wake_request: Annotated[str, Field(max_length=16)] | None = Field(
        default=None,
        description="Digest of the annotation maas-operator.io/wake-requested-at as it was then: another wakes it.",
    )
    start_request: Annotated[str, Field(max_length=16)] | None = Field(
        default=None,
        description="Digest of the annotation maas-operator.io/start-requested-at as it was then: another wakes it.",
    )
