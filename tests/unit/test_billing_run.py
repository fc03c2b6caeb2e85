"""M16: what runs reaches the ledger, which may be away, and nobody waits for it. The ledger is a real one."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from maas_operator import billing, metrics
from maas_operator.act import ledger as client
from maas_operator.api.billing import INTERVALS_BATCH, Facts, Interval
from maas_operator.billing import UNTOLD, Billing
from maas_operator.ledger import intervals
from maas_operator.ledger.database import open_database
from maas_operator.watch.billed import Billed
from tests.processes import free_port
from tests.unit.act.test_history import ledger, token, until
from tests.unit.decide.facts import pod
from tests.unit.watch.test_billed import pool

__all__ = ["token"]
START = int(time.time()) - 100


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(billing, "GATHER_SECONDS", 0.01)
    monkeypatch.setattr(billing, "LOOK_SECONDS", 0.01)
    for name in ("FIRST_RETRY_SECONDS", "LONGEST_RETRY_SECONDS"):
        monkeypatch.setattr(client, name, 0.01)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path}/ledger.db")


@asynccontextmanager
async def running(made: Billing, billed: Billed, seen: Callable[[], bool] = lambda: True) -> AsyncIterator[None]:
    task = asyncio.create_task(made.run(billed, seen))
    yield
    task.cancel()
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended


def kept(engine: Engine) -> dict[str, Interval]:
    return {each.uid: each for each in intervals.intervals(engine, None, 0, 2**40)}


async def test_m16_what_comes_and_goes_is_told_at_once_and_what_runs_once_more_at_the_end(
    engine: Engine, token: Path
) -> None:
    port, billed = free_port(), Billed()
    billed.put_pool(pool())
    billed.put([pod("a", scheduled_at=START)])
    async with ledger(engine, port):
        async with running(Billing(f"http://127.0.0.1:{port}", token), billed):
            await until(lambda: "uid-a" in kept(engine))
            billed.put([pod("b", scheduled_at=START)])
            await until(lambda: "uid-b" in kept(engine))
            billed.drop([pod("a", scheduled_at=START)])
            await until(lambda: kept(engine)["uid-a"].end is not None)
            before = int(time.time())
            while int(time.time()) == before:  # noqa: ASYNC110 the clock is what is waited for
                await asyncio.sleep(0.05)
        assert kept(engine)["uid-b"].seen > before
    assert kept(engine)["uid-b"].end is None


async def test_m16_nothing_is_taken_for_lost_before_all_pods_have_been_seen(engine: Engine, token: Path) -> None:
    port, billed = free_port(), Billed()
    interval = Interval(
        uid="uid-a", account="team-a", service="team-a/s", pool="p", flavor="f", start=START, seen=START + 9
    )
    gone = interval.model_copy(update={"uid": "uid-gone"})
    intervals.record(engine, Facts(intervals=[interval, gone]))
    seen = asyncio.Event()
    async with ledger(engine, port), running(Billing(f"http://127.0.0.1:{port}", token), billed, seen.is_set):
        await asyncio.sleep(0.1)
        assert not any(each.lost for each in kept(engine).values())
        billed.put([pod("a", scheduled_at=START)])
        seen.set()
        await until(lambda: kept(engine)["uid-gone"].lost)
    assert (kept(engine)["uid-gone"].seen, kept(engine)["uid-a"].lost) == (START + 9, False)


async def test_m16_while_the_ledger_is_away_what_ended_is_kept_and_outlives_the_term(
    engine: Engine, token: Path
) -> None:
    port, first = free_port(), Billed()
    made = Billing(f"http://127.0.0.1:{port}", token)
    first.put([pod("a", scheduled_at=START)])
    async with running(made, first):
        first.drop([pod("a", scheduled_at=START)])
        failures = metrics.BILLING_FAILURES._value.get()
        await until(lambda: metrics.BILLING_FAILURES._value.get() > failures)
    second = Billed()
    async with ledger(engine, port), running(made, second):
        await until(lambda: "uid-a" in kept(engine))
    assert kept(engine)["uid-a"].end is not None


async def test_m16_more_than_a_batch_is_told_in_several(engine: Engine, token: Path) -> None:
    port, billed = free_port(), Billed()
    for number in range(INTERVALS_BATCH + 5):
        billed.put([pod(str(number), scheduled_at=START)])
    async with ledger(engine, port), running(Billing(f"http://127.0.0.1:{port}", token), billed):
        await until(lambda: len(kept(engine)) == INTERVALS_BATCH + 5)


def test_m16_what_is_kept_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert UNTOLD >= 10_000
    monkeypatch.setattr(billing, "UNTOLD", 10)
    made, billed = Billing("http://127.0.0.1:1", tmp_path / "none"), Billed()
    for number in range(15):
        billed.put([pod(str(number), scheduled_at=START)])
        billed.drop([pod(str(number), scheduled_at=START)])
    made._take(billed)
    assert list(made._ended) == [f"uid-{number}" for number in range(5, 15)]


async def test_m16_one_bad_pod_pool_or_line_is_told_once_and_all_else_is_billed(engine: Engine, token: Path) -> None:
    billed, took = Billed(), {"pods": 0}
    made = Billing("http://ledger", token)

    class Odd:
        """A ledger that says something which nobody knows of an interval that it has open."""

        async def post(self, path: str, facts: Facts) -> None:
            intervals.record(engine, facts)
            took["pods"] += len(facts.intervals)

        async def lines(self, path: str) -> list[str]:
            known = [row.model_dump_json(by_alias=True) for part in intervals.open_intervals(engine) for row in part]
            return ['{"uid": "of-a-newer-ledger", "currency": "EUR"}', "no JSON", *known]

    made._ledger = Odd()  # type: ignore[assignment]
    odd = pod("odd", namespace="a", service="", scheduled_at=START)
    billed.put_pool(pool() | {"spec": {"flavors": [{"name": "one"}]}})
    gone = Interval(uid="uid-gone", account="team-a", service="team-a/s", pool="p", flavor="f", start=START, seen=START)
    intervals.record(engine, Facts(intervals=[gone]))
    billed.put([odd])
    billed.put([pod("a", scheduled_at=START)])
    over = pod("over", namespace="a", service="", scheduled_at=START)
    billed.put([over])
    billed.drop([over])
    with capture_logs() as logs:
        for _ in range(2):
            made._take(billed)
            await made._tell(billed.here.values())
            await made._recount(billed)
    assert {uid: each.lost for uid, each in kept(engine).items()} == {"uid-a": False, "uid-gone": True}
    assert sorted((each["what"], each["name"]) for each in logs) == [
        ("line", "no JSON"),
        ("line", '{"uid": "of-a-newer-ledger", "currency": "EUR"}'),
        ("pod", "a/odd"),
        ("pod", "a/over"),
        ("pool", "pool-a"),
    ]


async def test_m16_what_the_ledger_cannot_read_stops_nothing_else(token: Path) -> None:
    billed, took = Billed(), set[str]()
    made = Billing("http://ledger", token)
    bad = {"uid-3", "uid-ended-3", "u"}

    class Older:
        async def post(self, path: str, facts: Facts) -> None:
            told = {each.uid for each in facts.intervals} | {each.uid for each in facts.tariffs}
            if told & bad:
                raise client.UnfitError("HTTP status 400: no such field")
            took.update(told)

    made._ledger = Older()  # type: ignore[assignment]
    priced = {"spec": {"flavors": [{"name": "one", "cpu": "1", "memory": "1Gi"}]}}
    billed.put_pool(pool() | priced)
    billed.put_pool(pool(name="pool-b", uid="v") | priced)
    for number in range(10):
        billed.put([pod(str(number), scheduled_at=START)])
        ended = pod(f"ended-{number}", scheduled_at=START)
        billed.put([ended])
        billed.drop([ended])
    dropped = metrics.BILLING_DROPPED._value.get()
    made._take(billed)
    with capture_logs() as logs:
        await made._tell(billed.here.values())
        await made._tell(billed.here.values())
    every = {f"uid-{number}" for number in range(10)} | {f"uid-ended-{number}" for number in range(10)} | {"u", "v"}
    assert took == every - bad
    assert len(logs) == len(bad), "each is told once"
    assert (made._ended, made._tariffs, metrics.BILLING_DROPPED._value.get()) == ({}, {}, dropped + 1)


async def test_m16_a_ledger_that_is_away_amid_a_batch_is_not_taken_for_one_that_cannot_read_it(token: Path) -> None:
    billed, made = Billed(), Billing("http://ledger", token)

    class Away:
        async def post(self, path: str, facts: Facts) -> None:
            if len(facts.intervals) > 1:
                raise client.UnfitError("HTTP status 400")
            raise client.NotTakenError("away")

    made._ledger = Away()  # type: ignore[assignment]
    for number in range(4):
        billed.put([pod(str(number), scheduled_at=START)])
        billed.drop([pod(str(number), scheduled_at=START)])
    made._take(billed)
    with pytest.raises(client.NotTakenError):
        await made._tell(())
    assert len(made._ended) == 4
