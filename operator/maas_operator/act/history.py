"""The month of history (M11): what happened goes to the ledger, in batches, and no reconcile waits for it.

What could not be sent stands in each service's status, from where a new leader sends it again: the ledger knows by its
id what it has.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

import structlog

from maas_operator import metrics
from maas_operator.act.ledger import GATHER_SECONDS, LedgerClient, NotTakenError, Patience, UnfitError, in_parts
from maas_operator.api.events import HISTORY_BATCH, EventRow, History, NotificationRow
from maas_operator.api.seen import Manifest

UNSENT = 20_000
"""Events that are kept while the ledger is away; of more the oldest are dropped. A new leader has as many at once as
stand in statuses: eight of each of 2,000 services are 16,000."""

log = structlog.get_logger()


@dataclass(frozen=True)
class _Notification:
    row: NotificationRow
    then: Callable[[], None]


_Told = EventRow | _Notification


class Historian:
    """Sends events, and notifications, to the ledger at this URL, with the token in this file."""

    def __init__(self, ledger: str, token: Path) -> None:
        self._ledger = LedgerClient(ledger, token)
        self._unsent: OrderedDict[str, EventRow] = OrderedDict()
        self._known: dict[str, frozenset[str]] = {}
        self._notifications: deque[_Notification] = deque()
        self._waiting = asyncio.Event()

    def note(self, service: Manifest, events: Iterable[Manifest]) -> None:
        """These stand in a service's status: send those that are new."""
        uid = service["metadata"]["uid"]
        before = self._known.get(uid, frozenset())
        self._known[uid] = frozenset(event["id"] for event in events)
        for event in events:
            if event["id"] not in before:
                self._add(row_of(service, event))

    def forget(self, uid: str) -> None:
        """The service is gone."""
        self._known.pop(uid, None)

    def delivered(self, row: NotificationRow, then: Callable[[], None]) -> None:
        """Have a delivery counted; `then` is called once it is."""
        self._notifications.append(_Notification(row, then))
        self._waiting.set()

    async def run(self) -> None:
        """Send until cancelled."""
        patience = Patience("events", metrics.HISTORY_FAILURES)
        async with self._ledger:
            while True:
                await self._waiting.wait()
                if len(self._unsent) < HISTORY_BATCH:
                    await asyncio.sleep(GATHER_SECONDS)
                try:
                    await in_parts(self._batch(), self._send, self._drop)
                except NotTakenError as error:
                    await patience.wait(error)
                else:
                    patience.taken()

    def _add(self, row: EventRow) -> None:
        self._unsent[row.id] = row
        if len(self._unsent) > UNSENT:
            self._unsent.popitem(last=False)
            metrics.HISTORY_DROPPED.inc()
        self._waiting.set()

    def _batch(self) -> list[_Told]:
        """The next to be sent."""
        return [*islice(self._unsent.values(), HISTORY_BATCH), *islice(self._notifications, HISTORY_BATCH)]

    async def _send(self, batch: Sequence[_Told]) -> None:
        """Send a batch. Raises NotTakenError."""
        events = [each for each in batch if isinstance(each, EventRow)]
        rows = [each.row for each in batch if isinstance(each, _Notification)]
        await self._ledger.post("v1/events", History(events=events, notifications=rows))
        self._leave(batch)
        metrics.HISTORY_SENT.inc(len(events))

    def _drop(self, told: _Told, error: UnfitError) -> None:
        log.error(
            "the ledger cannot read something, which is dropped; is it as new as the operator?",
            dropped=told.id if isinstance(told, EventRow) else told.row.id,
            error=str(error),
        )
        metrics.HISTORY_DROPPED.inc()
        self._leave([told])

    def _leave(self, batch: Sequence[_Told]) -> None:
        """These need not be sent any more."""
        for each in batch:
            if isinstance(each, EventRow):
                self._unsent.pop(each.id, None)
            else:
                self._notifications.popleft()
                each.then()
        if not self._unsent and not self._notifications:
            self._waiting.clear()


def row_of(service: Manifest, event: Manifest) -> EventRow:
    """An event of a service's status, as the ledger keeps it."""
    metadata = service["metadata"]
    return EventRow(
        id=event["id"],
        time=int(datetime.fromisoformat(event["time"]).timestamp()),
        account=metadata["namespace"],
        service=f"{metadata['namespace']}/{metadata['name']}",
        type=event["type"],
        reason=event["reason"],
        message=event["message"],
    )
