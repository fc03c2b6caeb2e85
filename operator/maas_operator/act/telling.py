"""Telling of what happened: to the ledger, and to those who asked for it. No reconcile ever waits for either."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from maas_operator import metrics
from maas_operator.act.history import Historian
from maas_operator.act.http import Http
from maas_operator.act.notifying.channels import Channels, Topics
from maas_operator.act.notifying.message import of_event
from maas_operator.act.notifying.outbox import Outbox
from maas_operator.act.notifying.tally import Tally
from maas_operator.act.notifying.trial import Trials
from maas_operator.api.events import EventType, Happening, NotificationRow, event_id
from maas_operator.api.kinds import MODEL_SERVICE, NOTIFICATION_TOPIC
from maas_operator.api.seen import Manifest, ServiceSeen, TopicSeen
from maas_operator.api.settings import Settings
from maas_operator.api.times import written
from maas_operator.guard import kept_going

Again = Callable[[str, str, str], None]
"""(kind, namespace, name): have this object reconciled."""


@dataclass(frozen=True)
class _Last:
    """What is known of a service for when it is gone."""

    service: Manifest
    """Its metadata alone: namespace, name and uid."""
    targets: Sequence[str]
    """Whom to tell of its end."""


class Telling:
    """What this process knows of events and notifications beyond what stands in statuses."""

    def __init__(self, http: Http, settings: Settings, topics: Topics, again: Again) -> None:
        self._enabled = settings.notifications.enabled
        self._historian = Historian(settings.ledger, settings.ledger_token) if settings.ledger else None
        self._tally = Tally()
        self._channels = Channels(http, topics, settings.notifications)
        self._outbox = Outbox(
            self._channels,
            self._tally,
            self._count,
            lambda namespace, name: again(MODEL_SERVICE.kind, namespace, name),
            self._topic_told,
        )
        self._trials = Trials(self._channels, self._tally, self._count, self._topic_told)
        self._again = again
        self._last: dict[tuple[str, str], _Last] = {}
        metrics.NOTIFICATIONS_PENDING.set_function(lambda: self._outbox.waiting)

    async def run(self) -> None:
        """Tell until cancelled."""
        try:
            if self._historian:
                await kept_going("history", self._historian.run)
            else:
                await asyncio.Event().wait()
        finally:
            metrics.NOTIFICATIONS_PENDING.set_function(lambda: 0)
            await self._outbox.stop()
            await self._trials.stop()
            await self._channels.close()

    def recall_service(self, seen: ServiceSeen) -> ServiceSeen:
        """What was seen, with which notifications are settled."""
        uid = seen.service["metadata"]["uid"]
        return replace(seen, settled=self._outbox.settled(uid)) if self._enabled else seen

    def recall_topic(self, seen: TopicSeen) -> TopicSeen:
        """What was seen, with what became of the topic's messages."""
        metadata = seen.topic["metadata"]
        told = self._tally.of((metadata["namespace"], metadata["name"]))
        return replace(seen, told=told, test=self._trials.of(metadata["uid"]))

    def service_reported(self, seen: ServiceSeen, status: Manifest, at_its_end: Sequence[str]) -> None:
        """This status of a service stands. at_its_end: whom to tell when the service is deleted."""
        metadata, events = seen.service["metadata"], status.get("events", ())
        where = metadata["namespace"], metadata["name"]
        last = self._last.get(where)
        if last and last.service["metadata"]["uid"] != metadata["uid"]:
            self.service_gone(*where)
        kept = {"metadata": {name: metadata[name] for name in ("namespace", "name", "uid")}}
        self._last[where] = _Last(kept, at_its_end)
        if self._historian:
            self._historian.note(seen.service, events)
        self._outbox.note(seen.service, events)

    def topic_reported(self, seen: TopicSeen, asked_test: str | None) -> None:
        """The status of a topic stands. asked_test: the test whose result it does not have."""
        metadata = seen.topic["metadata"]
        self._tally.reported((metadata["namespace"], metadata["name"]), seen.told)
        self._trials.note(seen.topic, asked_test)

    def service_gone(self, namespace: str, name: str) -> None:
        """A service was deleted: it is told of from memory alone, since there is no status any more."""
        last = self._last.pop((namespace, name), None)
        if last is None:
            return
        uid, time = last.service["metadata"]["uid"], written(datetime.now(UTC))
        event = {
            "id": event_id(uid, Happening.DELETED, time),
            "time": time,
            "type": EventType.NORMAL,
            "reason": Happening.DELETED,
            "message": "the service was deleted",
        }
        if self._historian:
            self._historian.note(last.service, [event])
            self._historian.forget(uid)
        self._outbox.last_words(uid, of_event(last.service, event), last.targets)

    def topic_gone(self, namespace: str, name: str) -> None:
        """A topic was deleted."""
        self._tally.forget((namespace, name))

    def _count(self, row: NotificationRow, then: Callable[[], None]) -> None:
        if self._historian:
            self._historian.delivered(row, then)
        else:
            then()

    def _topic_told(self, namespace: str, name: str) -> None:
        self._again(NOTIFICATION_TOPIC.kind, namespace, name)
