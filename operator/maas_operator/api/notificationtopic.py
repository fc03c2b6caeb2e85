"""NotificationTopic: whom to tell."""

from typing import Annotated

from pydantic import ConfigDict, Field

from maas_operator.api.fields import ConditionList, LabelName, ObjectName, Part, Text256

MAX_CHANNELS = 16
"""Channels of one topic."""


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


class NotificationTopicStatus(Part):
    """Whether the topic can be used."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The metadata.generation that this status speaks of."
    )
    channels: Annotated[str, Field(max_length=1088)] | None = Field(
        default=None, description="The channels' names, as `kubectl get` prints them."
    )
    conditions: ConditionList = Field(default=[])
