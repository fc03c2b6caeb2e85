"""M11: what happened reaches the ledger, which may be away, and nobody waits for it. The ledger is a real one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import Engine, text

from maas_operator.act import history
from maas_operator.act import ledger as client
from maas_operator.act.history import UNSENT, Historian
from maas_operator.api.events import HISTORY_BATCH, NotificationRow
from maas_operator.api.seen import Manifest
from maas_operator.decide.happened import KEPT
from maas_operator.ledger.database import open_database
from maas_operator.ledger.history import EventQuestion, ask_events
from maas_operator.ledger.identity import Identity
from maas_operator.ledger.meters import Meters
from maas_operator.ledger.service import Access, Ledger
from maas_operator.serve import served
from tests.processes import free_port
from tests.unit.ledger.moments import recent

SERVICE = {"metadata": {"name": "assistant", "namespace": "team-a", "uid": "u"}}
LIMIT = 10.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "GATHER_SECONDS", 0.01)
    for name in ("FIRST_RETRY_SECONDS", "LONGEST_RETRY_SECONDS"):
        monkeypatch.setattr(client, name, 0.01)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path}/ledger.db")


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("of-the-operator\n")
    return file


def event(number: int) -> Manifest:
    return {"id": f"{number:016x}", "time": recent(), "type": "Warning", "reason": "Alarm", "message": f"m{number}"}


@asynccontextmanager
async def ledger(engine: Engine, port: int) -> AsyncIterator[None]:
    async def review(token: str) -> Identity | None:
        return Identity("maas-system", "operator") if token == "of-the-operator" else None

    made = Ledger(engine, review, Access("maas-system", "gateway", "operator"), Meters())
    async with served((made.application(), port), host="127.0.0.1"):
        yield


@asynccontextmanager
async def running(port: int, token: Path) -> AsyncIterator[Historian]:
    made = Historian(f"http://127.0.0.1:{port}", token)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not true():  # noqa: ASYNC110 what is waited for happens in a database
            await asyncio.sleep(0.01)


def kept(engine: Engine) -> list[str]:
    return [row.message for part in ask_events(engine, EventQuestion(account="team-a")) for row in part]


async def test_m11_an_event_is_sent_once_also_by_the_next_operator(engine: Engine, token: Path) -> None:
    port = free_port()
    async with ledger(engine, port), running(port, token) as first, running(port, token) as second:
        first.note(SERVICE, [event(1)])
        first.note(SERVICE, [event(1), event(2)])
        await until(lambda: len(kept(engine)) == 2)
        second.note(SERVICE, [event(1), event(2), event(3)])
        await until(lambda: len(kept(engine)) == 3)
    assert kept(engine) == ["m1", "m2", "m3"]


async def test_m11_while_the_ledger_is_away_events_are_kept(engine: Engine, token: Path) -> None:
    port = free_port()
    async with running(port, token) as made:
        made.note(SERVICE, [event(1)])
        await asyncio.sleep(0.05)
        async with ledger(engine, port):
            made.note(SERVICE, [event(1), event(2)])
            await until(lambda: len(kept(engine)) == 2)


async def test_m9_a_delivery_is_counted_before_it_is_told_so_and_once(engine: Engine, token: Path) -> None:
    port, told = free_port(), []
    row = NotificationRow(id="e/ops/hook", time=1, account="team-a", topic="ops", channel="hook")

    def rows() -> list[str]:
        with engine.connect() as connection:
            return list(connection.execute(text("SELECT id FROM notification")).scalars())

    async with running(port, token) as made:
        for _ in range(2):
            made.delivered(row, lambda: told.append(rows()))
        await asyncio.sleep(0.05)
        assert told == []
        async with ledger(engine, port):
            await until(lambda: len(told) == 2)
    assert told == [["e/ops/hook"]] * 2


async def test_m11_what_is_kept_is_bounded_and_the_oldest_goes_first(tmp_path: Path) -> None:
    made = Historian("http://127.0.0.1:1", tmp_path / "none")
    for number in range(UNSENT + 5):
        made.note({"metadata": SERVICE["metadata"] | {"uid": str(number)}}, [event(number)])
    assert len(made._unsent) == UNSENT
    assert next(iter(made._unsent)) == event(5)["id"]


async def test_m11_more_than_a_batch_is_sent_in_several(engine: Engine, token: Path) -> None:
    port = free_port()
    async with ledger(engine, port), running(port, token) as made:
        for number in range(HISTORY_BATCH + 5):
            made.note({"metadata": SERVICE["metadata"] | {"uid": str(number)}}, [event(number)])
        await until(lambda: len(kept(engine)) == HISTORY_BATCH + 5)


async def test_m11_what_fills_a_batch_waits_for_no_other(
    engine: Engine, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "GATHER_SECONDS", LIMIT)
    port = free_port()
    async with ledger(engine, port), running(port, token) as made:
        for number in range(3 * HISTORY_BATCH):
            made.note({"metadata": SERVICE["metadata"] | {"uid": str(number)}}, [event(number)])
        await until(lambda: len(kept(engine)) == 3 * HISTORY_BATCH)


def test_m11_a_new_leader_of_2000_services_drops_nothing(tmp_path: Path) -> None:
    made = Historian("http://127.0.0.1:1", tmp_path / "none")
    for number in range(2000):
        events = [event(KEPT * number + each) for each in range(KEPT)]
        made.note({"metadata": SERVICE["metadata"] | {"uid": str(number)}}, events)
    assert len(made._unsent) == 2000 * KEPT


async def test_m11_a_ledger_that_refuses_is_asked_again(token: Path) -> None:
    asked = []

    async def refuse(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.Response(status=503, text="no")

    port, app = free_port(), web.Application()
    app.router.add_post("/v1/events", refuse)
    async with served((app, port), host="127.0.0.1"), running(port, token) as made:
        made.note(SERVICE, [event(1)])
        await until(lambda: len(asked) >= 3)
    assert asked[0] == asked[2]
    assert asked[0]["events"][0]["service"] == "team-a/assistant"


async def test_m11_what_the_ledger_cannot_read_stops_nothing_else(token: Path) -> None:
    took: list[str] = []
    bad = {event(7)["id"], "e/ops/odd"}

    async def read(request: web.Request) -> web.Response:
        batch = await request.json()
        ids = [each["id"] for each in batch["events"] + batch["notifications"]]
        if bad & set(ids):
            return web.Response(status=400, text="no such reason")
        took.extend(ids)
        return web.Response()

    port, app = free_port(), web.Application()
    counted: list[str] = []
    app.router.add_post("/v1/events", read)
    async with served((app, port), host="127.0.0.1"), running(port, token) as made:
        for channel in ("odd", "hook"):
            row = NotificationRow(id=f"e/ops/{channel}", time=1, account="team-a", topic="ops", channel=channel)
            made.delivered(row, partial(counted.append, channel))
        for number in range(20):
            made.note({"metadata": SERVICE["metadata"] | {"uid": str(number)}}, [event(number)])
        await until(lambda: len(took) == 20)
    assert set(took) == {event(number)["id"] for number in range(20)} - bad | {"e/ops/hook"}
    assert counted == ["odd", "hook"], "what is dropped waits for nothing either"
