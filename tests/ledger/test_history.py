"""M11: a month of what happened, on a real SQLite and a real PostgreSQL; M9: deliveries counted once."""

import time
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from maas_operator.api.events import EventRow, History, NotificationRow
from maas_operator.api.usage import LEDGER_TOKEN_HEADER
from maas_operator.ledger.database import open_database
from maas_operator.ledger.history import KEPT_SECONDS, EventQuestion, ask_events, keep, prune
from maas_operator.ledger.identity import Identity
from maas_operator.ledger.meters import Meters
from maas_operator.ledger.service import Access, Ledger

NOW = int(time.time())
DAY = 86400


def event(number: int, at: int = NOW - 60, account: str = "team-a", service: str = "assistant") -> EventRow:
    return EventRow(
        id=f"{number:016x}",
        time=at,
        account=account,
        service=f"{account}/{service}",
        type="Normal",
        reason="Running",
        message="2 of 2 ready",
    )


def delivery(id_: str) -> NotificationRow:
    return NotificationRow(id=id_, time=NOW, account="team-a", topic="ops", channel="hook")


def ids(engine: Engine, question: EventQuestion = EventQuestion()) -> list[int]:  # noqa: B008 it is frozen
    return [int(row.id, 16) for part in ask_events(engine, question) for row in part]


def test_m11_an_event_that_comes_twice_counts_once(engine: Engine) -> None:
    assert keep(engine, History(events=[event(1), event(2), event(1)])) == 2
    assert keep(engine, History(events=[event(2), event(3)])) == 1
    assert ids(engine) == [1, 2, 3]
    assert keep(engine, History()) == 0


def test_m9_a_delivery_counts_once_and_is_never_pruned(engine: Engine) -> None:
    for _ in range(2):
        keep(engine, History(notifications=[delivery("a/ops/hook"), delivery("a/ops/mail")]))
    prune(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM notification")).scalar_one() == 2


def test_m11_events_are_kept_a_month_and_then_removed(engine: Engine) -> None:
    oldest = int(time.time()) - KEPT_SECONDS
    keep(engine, History(events=[event(1, oldest + 60), event(2)]))
    assert keep(engine, History(events=[event(3, oldest - 60)])) == 0
    assert prune(engine) == 0
    with engine.begin() as connection:
        connection.execute(text("UPDATE event SET time = time - 120 WHERE id = :id"), {"id": event(1).id})
    assert prune(engine) == 1
    assert ids(engine) == [2]


def test_m11_events_by_account_service_and_time(engine: Engine) -> None:
    rows = [event(1, NOW - 2 * DAY), event(2, NOW - DAY), event(3, account="team-b"), event(4, service="other")]
    keep(engine, History(events=rows))
    assert ids(engine, EventQuestion(account="team-a")) == [1, 2, 4]
    assert ids(engine, EventQuestion(service="team-a/assistant")) == [1, 2]
    assert ids(engine, EventQuestion(account="team-a", start=NOW - DAY, end=NOW - 60)) == [2]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=8))
def test_m11_in_whatever_batches_they_come_each_is_there_once(engine: Engine, batches: list[list[int]]) -> None:
    for batch in batches:
        keep(engine, History(events=[event(number) for number in batch]))
    assert set(ids(engine)) >= {number for batch in batches for number in batch}
    assert len(ids(engine)) == len(set(ids(engine)))


def test_m11_a_ledger_of_before_gets_the_new_tables_and_keeps_what_it_has(url: str) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE event"))
        connection.execute(text("DROP TABLE notification"))
        connection.execute(text("UPDATE schema_version SET version = 1"))
        connection.execute(text("INSERT INTO position (origin, log, acknowledged) VALUES ('o', 'l', 7)"))
    engine.dispose()
    engine = open_database(url)
    keep(engine, History(events=[event(1)]))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT acknowledged FROM position")).scalar_one() == 7
    assert ids(engine) == [1]
    engine.dispose()


WHO = {
    "operator": Identity("maas-system", "operator"),
    "gateway": Identity("maas-system", "gateway"),
    "ann": Identity("team-a", "default"),
    "platform": Identity("maas-system", "default"),
}


async def review(token: str) -> Identity | None:
    return WHO.get(token)


@pytest.mark.parametrize(
    ("who", "query", "status", "lines"),
    [
        ("ann", "account=team-a", 200, 1),
        ("ann", "account=team-a&service=team-a/other", 200, 0),
        ("ann", "account=team-b", 403, 0),
        ("ann", "", 403, 0),
        ("platform", "", 200, 2),
        ("platform", "since=soon", 400, 0),
        ("platform", "colour=red", 400, 0),
        ("nobody", "account=team-a", 401, 0),
    ],
)
async def test_m11_who_may_read_what(tmp_path: Path, who: str, query: str, status: int, lines: int) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/ledger.db")
    made = Ledger(engine, review, Access("maas-system", "gateway", "operator"), Meters())
    keep(engine, History(events=[event(1), event(2, account="team-b")]))
    async with TestClient(TestServer(made.application())) as client:
        answer = await client.get(f"/v1/events?{query}", headers={LEDGER_TOKEN_HEADER: who})
        assert answer.status == status
        assert (await answer.text()).count('"reason":"Running"') == lines
    engine.dispose()


@pytest.mark.parametrize(
    ("who", "status"), [("operator", 200), ("gateway", 403), ("ann", 403), ("platform", 403), ("nobody", 401)]
)
async def test_m11_the_operator_alone_writes(tmp_path: Path, who: str, status: int) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/ledger.db")
    made = Ledger(engine, review, Access("maas-system", "gateway", "operator"), Meters())
    body = History(events=[event(1)]).model_dump_json(by_alias=True)
    async with TestClient(TestServer(made.application())) as client:
        answer = await client.post("/v1/events", data=body, headers={LEDGER_TOKEN_HEADER: who})
        assert answer.status == status
        if status == 403:
            assert "only the operator may" in await answer.text()
        wrong = await client.post("/v1/events", data='{"events": 1}', headers={LEDGER_TOKEN_HEADER: "operator"})
        assert wrong.status == 400
    assert len(ids(engine)) == (status == 200)
    engine.dispose()
