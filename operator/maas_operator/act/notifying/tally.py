"""What became of messages on topics' channels, until it stands in the topics' statuses."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from maas_operator.api.seen import ChannelTold

Topic = tuple[str, str]
"""(namespace, name)"""


class Tally:
    """Counts by topic and channel."""

    def __init__(self) -> None:
        self._told: dict[Topic, dict[str, ChannelTold]] = {}

    def delivered(self, topic: Topic, channel: str) -> None:
        """A message was delivered."""
        before = self._before(topic, channel)
        now = datetime.now(UTC)
        self._told[topic][channel] = replace(before, deliveries=before.deliveries + 1, last_delivery=now, error=None)

    def failed(self, topic: Topic, channel: str, error: str) -> None:
        """An attempt failed."""
        before = self._before(topic, channel)
        self._told[topic][channel] = replace(before, failures=before.failures + 1, error=error)

    def of(self, topic: Topic) -> Mapping[str, ChannelTold]:
        """What is not in the topic's status yet."""
        return dict(self._told.get(topic, {}))

    def reported(self, topic: Topic, told: Mapping[str, ChannelTold]) -> None:
        """So much stands in the topic's status now."""
        left = {}
        for channel, now in self._told.get(topic, {}).items():
            said = told.get(channel)
            if said != now:
                less = said or ChannelTold()
                left[channel] = replace(
                    now, deliveries=now.deliveries - less.deliveries, failures=now.failures - less.failures
                )
        self._told[topic] = left
        if not left:
            del self._told[topic]

    def forget(self, topic: Topic) -> None:
        """The topic is gone."""
        self._told.pop(topic, None)

    def _before(self, topic: Topic, channel: str) -> ChannelTold:
        return self._told.setdefault(topic, {}).get(channel, ChannelTold())
