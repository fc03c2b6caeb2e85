"""What happened to a ModelService: in its status, on its way to the ledger, and as a subscription (M9, M11)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from maas_operator.api.conditions import Phase
from maas_operator.api.fields import Part, digest
from maas_operator.api.notificationtopic import MAX_CHANNELS

MAX_EVENTS = 32
"""Events in a status: the newest, and those of which somebody has still to be told."""
MESSAGE_LENGTH = 512
"""Characters of an event's message."""
HISTORY_BATCH = 1000
"""Events, and notifications, of one batch to the ledger."""


class EventType(StrEnum):
    """Kubernetes' two."""

    NORMAL = "Normal"
    WARNING = "Warning"


class Happening(StrEnum):
    """Reasons of events beside the phases, which are the reasons of their own beginning."""

    UPDATED = "Updated"
    UPGRADED = "Upgraded"
    DELETED = "Deleted"
    SCALED = "Scaled"
    FELL_ASLEEP = "FellAsleep"
    WOKEN = "Woken"
    STOPS_SOON = "StopsSoon"
    SUSPECTED_SUSPENSION = "SuspectedSuspension"


class Subscribable(StrEnum):
    """What somebody may want to be told of."""

    QUEUING = "Queuing"
    RUNNING = "Running"
    ALARM = "Alarm"
    FAILED = "Failed"
    TERMINATED = "Terminated"
    UPDATED = "Updated"
    UPGRADED = "Upgraded"
    SCALED = "Scaled"
    FELL_ASLEEP = "FellAsleep"
    WOKEN = "Woken"
    STOPS_SOON = "StopsSoon"
    SUSPECTED_SUSPENSION = "SuspectedSuspension"


_RUNNING = Subscribable.RUNNING
SUBSCRIPTIONS: Mapping[str, frozenset[Subscribable]] = {
    Phase.QUEUING: frozenset({Subscribable.QUEUING}),
    Phase.RUNNING: frozenset({_RUNNING}),
    Phase.ALARM: frozenset({Subscribable.ALARM}),
    Phase.FAILED: frozenset({Subscribable.FAILED}),
    Phase.STOPPED: frozenset({Subscribable.TERMINATED}),
    Happening.DELETED: frozenset({Subscribable.TERMINATED}),
    Happening.UPDATED: frozenset({_RUNNING, Subscribable.UPDATED}),
    Happening.UPGRADED: frozenset({_RUNNING, Subscribable.UPGRADED}),
    Happening.SCALED: frozenset({Subscribable.SCALED}),
    Happening.FELL_ASLEEP: frozenset({Subscribable.FELL_ASLEEP}),
    Happening.WOKEN: frozenset({Subscribable.WOKEN}),
    Happening.STOPS_SOON: frozenset({Subscribable.STOPS_SOON}),
    Happening.SUSPECTED_SUSPENSION: frozenset({Subscribable.SUSPECTED_SUSPENSION}),
}
"""Reason of an event -> the subscriptions that it is told to."""


def event_id(uid: str, reason: str, time: str, *words: str) -> str:
    """The id of what happened to an object then: the same whoever works it out. words: what tells it from what else
    happened for that reason within the second, where more than one thing may."""
    return digest([uid, reason, time, *words])


EventId = Annotated[str, Field(min_length=16, max_length=16, pattern="^[0-9a-f]{16}$")]
EventReason = Annotated[str, Field(min_length=1, max_length=64)]
EventMessage = Annotated[str, Field(max_length=MESSAGE_LENGTH)]


class ServiceEvent(Part):
    """Something that happened to the service."""

    id: EventId = Field(description="What names it everywhere: in the ledger, and in each notification.")
    time: Annotated[str, Field(max_length=64)] = Field(
        description="When it happened.", json_schema_extra={"format": "date-time"}
    )
    type: EventType = Field(description="Normal or Warning.")
    reason: EventReason = Field(description="A word for programs: a phase that began, or what else happened.")
    message: EventMessage = Field(description="A sentence for people.")
    pending: Annotated[list[Annotated[str, Field(min_length=3, max_length=317)]], Field(max_length=MAX_CHANNELS)] = (
        Field(
            default=[],
            description="Who has still to be told, as TOPIC/CHANNEL.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        )
    )


class _Wire(Part):
    model_config = ConfigDict(extra="forbid")


_Seconds = Annotated[int, Field(ge=0, le=2**40)]
_Path = Annotated[str, Field(min_length=3, max_length=320)]


class EventRow(_Wire):
    """An event, as the ledger is told of it and tells of it."""

    id: EventId
    time: _Seconds
    """Since 1970."""
    account: Annotated[str, Field(min_length=1, max_length=63)]
    service: _Path
    """NAMESPACE/NAME."""
    type: EventType
    reason: EventReason
    message: EventMessage


class NotificationRow(_Wire):
    """A message that was delivered on a channel."""

    id: Annotated[str, Field(min_length=1, max_length=400)]
    """EVENT/TOPIC/CHANNEL: however often it is told of, it counts once."""
    time: _Seconds
    account: Annotated[str, Field(min_length=1, max_length=63)]
    topic: Annotated[str, Field(max_length=253)]
    channel: Annotated[str, Field(max_length=63)]


class History(_Wire):
    """A batch of the operator's to the ledger. What the ledger has already is left as it is."""

    events: Annotated[list[EventRow], Field(max_length=HISTORY_BATCH)] = Field(default=[])
    notifications: Annotated[list[NotificationRow], Field(max_length=HISTORY_BATCH)] = Field(default=[])
