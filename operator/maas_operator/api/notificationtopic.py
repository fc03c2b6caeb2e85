"""NotificationTopic: whom to tell."""

from typing import Annotated

from pydantic import ConfigDict, Field

from maas_operator.api.fields import ConditionList, LabelName, ObjectName, ObservedGeneration, Part, Text256

MAX_CHANNELS = 16
"""Channels of one topic."""
ERROR_LENGTH = 512
"""Characters of a delivery's error."""
REQUESTED_AT_LENGTH = 64
"""Characters of the annotation that asks for a test; what is longer is cut."""


class SecretKey(Part):
    """A key of a Secret in the topic's namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        description="Key in the Secret's data."
    )


class WebhookChannel(Part):
    """CloudEvents by HTTP, signed as Standard Webhooks says."""

    url_from: SecretKey = Field(description="Where the URL is kept.")
    signing_key_from: SecretKey = Field(description="Where the signing key is kept.")


class AppriseChannel(Part):
    """Any service that apprise speaks."""

    url_from: SecretKey = Field(description="Where the apprise URL is kept.")


class Channel(Part):
    """One way to tell someone."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.webhook) != has(self.apprise)",
                    "message": "a channel is either a webhook or an apprise channel: give exactly one of the two",
                }
            ]
        }
    )

    name: LabelName = Field(description="Name of the channel.")
    webhook: WebhookChannel | None = Field(default=None, description="Signed CloudEvents to a URL.")
    apprise: AppriseChannel | None = Field(default=None, description="A service that apprise speaks.")


class NotificationTopicSpec(Part):
    """The channels of a topic."""

    description: Text256 | None = Field(default=None, description="Who is told, and of what.")
    channels: Annotated[list[Channel], Field(min_length=1, max_length=MAX_CHANNELS)] = Field(
        description="The ways to tell; each message goes to all of them.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


_Moment = Annotated[str, Field(max_length=REQUESTED_AT_LENGTH)]
_Error = Annotated[str, Field(max_length=ERROR_LENGTH)]


class ChannelStatus(Part):
    """What became of the messages on a channel."""

    name: LabelName = Field(description="Name of the channel.")
    deliveries: Annotated[int, Field(ge=0)] = Field(default=0, description="Messages that were delivered, in all.")
    failures: Annotated[int, Field(ge=0)] = Field(default=0, description="Attempts that failed, in all.")
    last_delivery: _Moment | None = Field(
        default=None,
        description="When a message was last delivered.",
        json_schema_extra={"format": "date-time"},
    )
    last_error: _Error | None = Field(
        default=None,
        description="Why the last attempt failed, and what to do; absent when it succeeded. No URL and no key is ever "
        "in it.",
    )


class ChannelTest(Part):
    """What became of a test message on a channel."""

    name: LabelName = Field(description="Name of the channel.")
    delivered: bool = Field(description="Whether it was delivered.")
    error: _Error | None = Field(default=None, description="Why it was not.")


class TopicTest(Part):
    """A test that was asked for by the annotation maas-operator.io/test-requested-at."""

    requested_at: _Moment = Field(description="The annotation's value, which tells this test from others.")
    results: Annotated[list[ChannelTest], Field(max_length=MAX_CHANNELS)] = Field(
        default=[],
        description="By channel.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class NotificationTopicStatus(Part):
    """Whether the topic can be used, and what became of its messages."""

    observed_generation: ObservedGeneration | None = None
    channels: Annotated[str, Field(max_length=1088)] | None = Field(
        default=None, description="The channels' names, as `kubectl get` prints them."
    )
    channel_statuses: Annotated[list[ChannelStatus], Field(max_length=MAX_CHANNELS)] = Field(
        default=[],
        description="What became of the messages, by channel. The ledger counts deliveries exactly; these figures may "
        "lack some after a crash of the operator.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    test: TopicTest | None = Field(default=None, description="The last test (kubectl maas topic test).")
    conditions: ConditionList = Field(default=[])
