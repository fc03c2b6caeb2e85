"""What is sent: a CloudEvent for programs, a title and a text for people."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloudevents.core.bindings.http import to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from maas_operator.api.events import EventType
from maas_operator.api.kinds import MODEL_SERVICE, NOTIFICATION_TOPIC, Kind
from maas_operator.api.names import API_VERSION, GROUP
from maas_operator.api.seen import Manifest

TYPE_PREFIX = ".".join(reversed(GROUP.split(".")))
TEST = "Test"
"""Reason of a test message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, the same on all channels."""

    id: str
    kind: Kind
    account: str
    name: str
    """Of the object that it is about."""
    type: str
    """Normal or Warning."""
    reason: str
    text: str
    time: datetime


def of_event(service: Manifest, event: Manifest) -> Message:
    """The message of an event of a ModelService's status."""
    metadata = service["metadata"]
    return Message(
        id=event["id"],
        kind=MODEL_SERVICE,
        account=metadata["namespace"],
        name=metadata["name"],
        type=event["type"],
        reason=event["reason"],
        text=event["message"],
        time=datetime.fromisoformat(event["time"]),
    )


def of_test(topic: Manifest, id_: str, time: datetime) -> Message:
    """A test message of a topic."""
    metadata = topic["metadata"]
    name = metadata["name"]
    text = f"a test of NotificationTopic {name}: this channel works"
    return Message(id_, NOTIFICATION_TOPIC, metadata["namespace"], name, EventType.NORMAL, TEST, text, time)


def cloud_event(message: Message) -> tuple[dict[str, str], bytes]:
    """Headers and body of a CloudEvent 1.0 in JSON (structured mode)."""
    data: dict[str, Any] = {
        "account": message.account,
        "name": message.name,
        "reason": message.reason,
        "message": message.text,
        "severity": message.type,
    }
    attributes = {
        "id": message.id,
        "source": f"/apis/{API_VERSION}/namespaces/{message.account}/{message.kind.plural}/{message.name}",
        "type": f"{TYPE_PREFIX}.{message.kind.kind.lower()}.{message.reason.lower()}",
        "subject": f"{message.account}/{message.name}",
        "time": message.time,
        "datacontenttype": "application/json",
    }
    made = to_structured(CloudEvent(attributes, data), JSONFormat())
    return made.headers, json.dumps(json.loads(made.body), separators=(",", ":")).encode()


def words(message: Message) -> tuple[str, str]:
    """Title and text for people."""
    return f"{message.account}/{message.name}: {message.reason}", message.text
