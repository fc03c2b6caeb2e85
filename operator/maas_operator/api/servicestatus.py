"""What the operator says of a ModelService."""

from typing import Annotated

from pydantic import Field

from maas_operator.api.conditions import Phase
from maas_operator.api.events import MAX_EVENTS, ServiceEvent
from maas_operator.api.fields import ConditionList, LabelName, ObjectName, ObservedGeneration, Part, Quantity
from maas_operator.api.names import LINE_SHOWN
from maas_operator.api.scaling import ScalingStatus


class PinnedModel(Part):
    """The model and version that the service runs."""

    name: ObjectName = Field(description="Name of the Model.")
    version: LabelName = Field(description="The version, also when the spec leaves it open.")


class AutoStopStatus(Part):
    """How far the service's time has run down."""

    counted_seconds: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Seconds of `after` that had counted at `since`; in all, where that is absent.",
    )
    since: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="From when on time counts besides. Absent while no instance answers.",
        json_schema_extra={"format": "date-time"},
    )
    idle_since: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="Since when no request has come, where afterIdle is set and a tenth of it (at most ten minutes) "
        "has passed.",
        json_schema_extra={"format": "date-time"},
    )
    stops_at: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="When the service will stop by itself if it goes on as it is: the earlier of the two times.",
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


class Suspension(Part):
    """An instance that is being replaced, since it had requests and made no progress with any."""

    instance: Annotated[str, Field(max_length=253)] = Field(description="Name of its pod.")
    since: Annotated[str, Field(max_length=64)] = Field(
        description="Since when it had made no progress.", json_schema_extra={"format": "date-time"}
    )
    ready: Annotated[int, Field(ge=0)] = Field(
        description="How many instances answered then, itself among them: it is replaced once so many do again."
    )


class Instances(Part):
    """Counts of instances."""

    desired: Annotated[int, Field(ge=0)] = Field(description="How many there should be.")
    ready: Annotated[int, Field(ge=0)] = Field(description="How many answer.")
    summary: Annotated[str, Field(max_length=32)] = Field(description="Both, as `kubectl get` prints them.")


class Queue(Part):
    """What the service asks for and has not got yet."""

    since: Annotated[str, Field(max_length=64)] = Field(
        description="Since when it asks for it.", json_schema_extra={"format": "date-time"}
    )
    pool: ObjectName = Field(description="Of which pool.")
    flavor: LabelName = Field(description="Of which flavor.")
    resource: Annotated[str, Field(max_length=253)] = Field(
        description="What its line is for: the resource of the flavor's accelerator, or cpu. Services that need the "
        "same wait for one another."
    )
    placed: Annotated[int, Field(ge=0)] = Field(
        description="Instances that have had a node. It need not stand in line for these again."
    )
    instances: Annotated[int, Field(ge=0)] = Field(
        description="Instances that wait in line for room. 0: they are being placed, wait for the quota, or are more "
        "than the pool's nodes could ever hold."
    )
    ephemeral_storage: Quantity | None = Field(
        default=None,
        description="Of its nodes' own disk, what each instance asks for beside its flavor, for the weights that it "
        "fetches. Absent: nothing.",
    )
    place: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description=f"Its place in line, 1 being the first. Further back than {LINE_SHOWN} it is not told exactly.",
    )
    quota: LabelName | None = Field(default=None, description="The pool's quota that its account has reached.")


class Endpoint(Part):
    """An address at which the service answers."""

    name: LabelName = Field(description="Which way in it is.")
    url: Annotated[str, Field(max_length=512)] = Field(description="Base URL of the OpenAI-compatible API.")


class ModelServiceStatus(Part):
    """What is the case. Written by the operator alone."""

    observed_generation: ObservedGeneration | None = None
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
    scaling: ScalingStatus | None = Field(
        default=None,
        description="With spec.scaling: how many instances were decided on last, and why. Absent while the service is "
        "stopped.",
    )
    queue: Queue | None = Field(
        default=None,
        description="What it waits for: room in the pool, or its account's quota. Absent: it has what it asks for.",
    )
    suspension: Suspension | None = Field(
        default=None, description="The instance that is suspected to hang, until it is replaced. Absent: there is none."
    )
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
    events: Annotated[list[ServiceEvent], Field(max_length=MAX_EVENTS)] = Field(
        default=[],
        description="What happened, the newest last: eight, and those of which somebody has still to be told. The "
        "ledger keeps a month of them: kubectl maas events.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
    )
    conditions: ConditionList = Field(default=[])
