"""The month of history: events are written once, read by account, and removed when they are old."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, delete, select

from maas_operator.api.events import EventRow, History
from maas_operator.ledger.book import PART, insert_new
from maas_operator.ledger.database import reading
from maas_operator.ledger.tables import Event, Notification

KEPT_SECONDS = 31 * 86400
"""How long an event is kept: the longest month (M11)."""
PRUNE_SECONDS = 3600.0
"""Between two looks for what is older."""


@dataclass(frozen=True)
class EventQuestion:
    """Which events. None: whatever it is. `start` is the first second, `end` the one behind the last."""

    account: str | None = None
    service: str | None = None
    """NAMESPACE/NAME."""
    start: int | None = None
    end: int | None = None


def keep(engine: Engine, history: History) -> int:
    """Write down what is not known yet, all of it or nothing; returns how many events were new.

    What is older than a month is left out: statuses may hold such events. Raises sqlalchemy.exc.DBAPIError.
    """
    oldest = int(time.time()) - KEPT_SECONDS
    events = {row.id: row.model_dump(mode="json") for row in history.events if row.time > oldest}
    notifications = {row.id: row.model_dump(mode="json") for row in history.notifications}
    with engine.begin() as connection:
        new = insert_new(connection, Event, [events[id_] for id_ in sorted(events)])
        insert_new(connection, Notification, [notifications[id_] for id_ in sorted(notifications)])
    return new


def ask_events(engine: Engine, question: EventQuestion) -> Generator[Sequence[EventRow]]:
    """The events, some at a time, the oldest first."""
    query = select(Event.__table__).order_by(Event.time, Event.id)
    if question.account is not None:
        query = query.where(Event.account == question.account)
    if question.service is not None:
        query = query.where(Event.service == question.service)
    if question.start is not None:
        query = query.where(Event.time >= question.start)
    if question.end is not None:
        query = query.where(Event.time < question.end)
    with reading(engine) as connection:
        result = connection.execution_options(yield_per=PART).execute(query)
        for part in result.mappings().partitions():
            yield [EventRow.model_validate(dict(row)) for row in part]


def prune(engine: Engine) -> int:
    """Remove events that are older than a month; returns how many."""
    with engine.begin() as connection:
        return connection.execute(delete(Event).where(Event.time <= int(time.time()) - KEPT_SECONDS)).rowcount
