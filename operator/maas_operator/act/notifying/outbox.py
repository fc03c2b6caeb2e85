"""The outbox: what stands as pending in services' statuses is delivered, and says so once it is."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from maas_operator import metrics
from maas_operator.act.notifying import backoff
from maas_operator.act.notifying.channels import Channels
from maas_operator.act.notifying.failure import NoLongerWanted, Undeliverable
from maas_operator.act.notifying.lanes import Lane
from maas_operator.act.notifying.message import Message, of_event
from maas_operator.act.notifying.tally import Tally
from maas_operator.api.events import NotificationRow
from maas_operator.api.seen import Manifest

Pending = tuple[str, str]
"""(event's id, TOPIC/CHANNEL)"""
Record = Callable[[NotificationRow, Callable[[], None]], None]
"""Have a delivery counted, and call this once it is."""
LaneKey = tuple[str, str, str]
"""(namespace, topic, channel)"""

log = structlog.get_logger()


@dataclass
class _Item:
    uid: str
    lane: LaneKey
    message: Message
    attempts: int = 0
    wanted: bool = True
    """Whether it still stands as pending; that of a deleted service stands nowhere, and is wanted all the same."""

    @property
    def pending(self) -> Pending:
        _, topic, channel = self.lane
        return self.message.id, f"{topic}/{channel}"


@dataclass
class _Service:
    items: dict[Pending, _Item] = field(default_factory=dict)
    settled: set[Pending] = field(default_factory=set)
    gone: bool = False


class Outbox:
    """Delivers. `settled` is called with a service's (namespace, name) when one of its messages needs no further try;
    `told` with a topic's when something became of a message on one of its channels."""

    def __init__(
        self,
        channels: Channels,
        tally: Tally,
        record: Record,
        settled: Callable[[str, str], None],
        told: Callable[[str, str], None],
    ) -> None:
        self._channels = channels
        self._tally = tally
        self._record = record
        self._on_settled = settled
        self._on_told = told
        self._services: dict[str, _Service] = {}
        self._lanes: dict[LaneKey, Lane[_Item]] = {}

    @property
    def waiting(self) -> int:
        """Messages that are not settled."""
        return sum(len(service.items) for service in self._services.values())

    def settled(self, uid: str) -> frozenset[Pending]:
        """What of a service needs no further try, and may still stand as pending."""
        known = self._services.get(uid)
        return frozenset(known.settled) if known else frozenset()

    def note(self, service: Manifest, events: Iterable[Manifest]) -> None:
        """These stand in the service's status: deliver what is pending of them, and nothing else of this service."""
        uid, namespace = service["metadata"]["uid"], service["metadata"]["namespace"]
        standing = {(event["id"], target): event for event in events for target in event.get("pending", ())}
        known = self._services.setdefault(uid, _Service())
        for pending in known.items.keys() - standing.keys():
            known.items.pop(pending).wanted = False
        known.settled &= standing.keys()
        for pending, event in standing.items():
            if pending not in known.items and pending not in known.settled:
                self._add(known, uid, namespace, pending[1], of_event(service, event))
        self._tidy(uid)

    def last_words(self, uid: str, message: Message, targets: Sequence[str]) -> None:
        """A service is gone: go on with what is under way for it, and deliver this, which stands nowhere."""
        known = self._services.setdefault(uid, _Service())
        known.gone = True
        known.settled.clear()
        for target in targets:
            self._add(known, uid, message.account, target, message)
        self._tidy(uid)

    async def stop(self) -> None:
        """End all that is under way."""
        ending = [task for lane in self._lanes.values() for task in lane.stop()]
        await asyncio.gather(*ending, return_exceptions=True)

    def _add(self, known: _Service, uid: str, namespace: str, target: str, message: Message) -> None:
        topic, _, channel = target.partition("/")
        item = _Item(uid, (namespace, topic, channel), message)
        known.items[item.pending] = item
        self._lane(item.lane).add(item)

    def _lane(self, key: LaneKey) -> Lane[_Item]:
        if key not in self._lanes:
            self._lanes = {each: lane for each, lane in self._lanes.items() if not lane.idle}
            self._lanes[key] = Lane(self._try)
        return self._lanes[key]

    async def _try(self, item: _Item) -> None:
        if not item.wanted:
            return
        namespace, topic, channel = item.lane
        item.attempts += 1
        try:
            await self._channels.attempt(namespace, topic, channel, item.message)
        except NoLongerWanted:
            self._settle(item)
        except Undeliverable as error:
            self._tally.failed((namespace, topic), channel, error.words)
            self._on_told(namespace, topic)
            self._failed(item, error)
        else:
            self._tally.delivered((namespace, topic), channel)
            self._on_told(namespace, topic)
            metrics.NOTIFICATIONS.labels("delivered").inc()
            log.info("notified", topic=topic, channel=channel, account=namespace, event_id=item.message.id)
            self._record(delivery_row(item.message.id, item.lane), lambda: self._settle(item))

    def _failed(self, item: _Item, error: Undeliverable) -> None:
        namespace, topic, channel = item.lane
        age = (datetime.now(UTC) - item.message.time).total_seconds()
        seconds = backoff.wait(item.attempts, age, error.retry_after, random.random())  # noqa: S311
        told = {"topic": topic, "channel": channel, "account": namespace, "event_id": item.message.id}
        if error.final or seconds is None:
            metrics.NOTIFICATIONS.labels("given up").inc()
            log.warning("a notification was given up", **told, attempts=item.attempts, error=error.words)
            self._settle(item)
            return
        metrics.NOTIFICATIONS.labels("failed").inc()
        log.info("a notification failed", **told, attempts=item.attempts, again_in=round(seconds), error=error.words)
        self._lane(item.lane).add(item, seconds)

    def _settle(self, item: _Item) -> None:
        """It needs no further try: its service's next reconcile takes it out of the status."""
        known = self._services.get(item.uid)
        if known and known.items.pop(item.pending, None) and not known.gone:
            known.settled.add(item.pending)
        self._tidy(item.uid)
        self._on_settled(item.message.account, item.message.name)

    def _tidy(self, uid: str) -> None:
        known = self._services.get(uid)
        if known and not known.items and not known.settled:
            del self._services[uid]


def delivery_row(id_: str, lane: LaneKey) -> NotificationRow:
    """A delivery as the ledger counts it."""
    namespace, topic, channel = lane
    time = int(datetime.now(UTC).timestamp())
    return NotificationRow(id=f"{id_}/{topic}/{channel}", time=time, account=namespace, topic=topic, channel=channel)
