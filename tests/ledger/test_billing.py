"""M16: how long instances ran, and the bill of it, on a real SQLite and a real PostgreSQL."""

import os
import random
import signal
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import generate_latest
from sqlalchemy import Engine, text

from maas_operator.api.billing import Bill, Facts, FlavorPrice, Interval, Package, Tariff
from maas_operator.api.events import History, NotificationRow
from maas_operator.api.resourcepool import Price
from maas_operator.api.usage import LEDGER_TOKEN_HEADER
from maas_operator.ledger import book, history, intervals
from maas_operator.ledger.bill import BillQuestion, bill
from maas_operator.ledger.database import open_database
from maas_operator.ledger.meters import Meters
from maas_operator.ledger.service import Access, Ledger
from tests.cluster import Cluster
from tests.ledger.batches import batch, row
from tests.ledger.processes import NAMESPACE, OPERATOR, LedgerProcess, token
from tests.ledger.test_history import review
from tests.processes import free_port

HOUR = 3600
NOVEMBER, DECEMBER = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
START = int(NOVEMBER.timestamp())
KILLS = 3
MINUTES = 20
"""Posts between two kills."""


def interval(uid: str, start: int, seen: int, end: int | None = None, **given: Any) -> Interval:
    facts = {"account": "team-a", "service": "team-a/assistant", "pool": "gold", "flavor": "one"} | given
    return Interval(uid=uid, start=start, seen=seen, end=end, **facts)


def tariff(since: int, generation: int, price: str = "10", currency: str = "EUR", **given: Any) -> Tariff:
    listed = [FlavorPrice(flavor="one", price=Price(per_hour=price, currency=currency))]
    facts = {"pool": "gold", "uid": "u", "flavors": ["one"]} | given
    return Tariff(since=since, generation=generation, prices=listed, **facts)


def record(engine: Engine, *found: Interval | Tariff) -> int:
    facts = Facts(
        tariffs=[each for each in found if isinstance(each, Tariff)],
        intervals=[each for each in found if isinstance(each, Interval)],
    )
    return sum(each.end - each.start for each in intervals.record(engine, facts))


def kept(engine: Engine) -> dict[str, tuple[int, int, int | None, bool]]:
    return {
        each.uid: (each.start, each.seen, each.end, each.lost) for each in intervals.intervals(engine, None, 0, 2**40)
    }


def opened(engine: Engine) -> list[str]:
    return [each.uid for part in intervals.open_intervals(engine) for each in part]


def november(engine: Engine, account: str | None = "team-a", now: datetime = DECEMBER) -> Bill:
    return bill(engine, BillQuestion(account, NOVEMBER, DECEMBER, now))


def lines(made: Bill) -> list[tuple[str, int, int, str | None, str | None]]:
    return [(each.service, each.seconds, each.prepaid_seconds, each.price, each.amount) for each in made.lines]


def test_m16_what_is_known_of_an_instance_only_grows(engine: Engine) -> None:
    assert record(engine, interval("a", 100, 160), interval("b", 100, 160)) == 120
    assert record(engine, interval("a", 100, 160), interval("a", 100, 150)) == 0
    assert record(engine, interval("a", 100, 220)) == 60
    assert opened(engine) == ["a", "b"]
    assert record(engine, interval("a", 100, 250, 250)) == 30
    assert record(engine, interval("a", 100, 400), interval("a", 100, 300, 300)) == 0
    assert kept(engine) == {"a": (100, 250, 250, False), "b": (100, 160, None, False)}
    assert opened(engine) == ["b"]


def test_m16_a_lost_instance_keeps_what_it_has_until_more_is_known(engine: Engine) -> None:
    gone = interval("a", 100, 160, lost=True)
    record(engine, interval("a", 100, 160))
    record(engine, gone, interval("a", 100, 130))
    assert (kept(engine)["a"], opened(engine)) == ((100, 160, None, True), [])
    record(engine, interval("a", 100, 170))
    assert opened(engine) == ["a"]
    record(engine, gone)
    assert opened(engine) == ["a"]
    record(engine, gone.model_copy(update={"seen": 170}), interval("a", 100, 190, 190))
    assert kept(engine)["a"][2] == 190


def test_m16_a_tariff_is_written_once_and_never_changed(engine: Engine) -> None:
    record(engine, tariff(100, 1), tariff(100, 1))
    record(engine, tariff(500, 1, "99"), tariff(200, 2, "20"))
    found = [(each.generation, each.since, each.prices[0].price.per_hour) for each in intervals.tariffs(engine)]
    assert found == [(1, 100, "10"), (2, 200, "20")]


def test_m16_the_bill_of_a_month_by_service_and_price(engine: Engine) -> None:
    spans = (
        interval("a", START - HOUR, START + HOUR, START + HOUR),  # an hour of October
        interval("b", START, START + 2 * HOUR, START + 2 * HOUR, service="team-a/coder"),
        interval("c", int(DECEMBER.timestamp()) - 60, int(DECEMBER.timestamp()) + 60),
        interval("d", START, START + 7 * HOUR, account="team-b", service="team-b/x"),
    )
    record(engine, tariff(START - 9 * HOUR, 1), tariff(START + HOUR // 2, 2, "0.07"), *spans)
    made = november(engine)
    assert lines(made) == [
        ("team-a/assistant", HOUR // 2, 0, "10", "5.00"),
        ("team-a/assistant", HOUR // 2 + 60, 0, "0.07", "0.04"),
        ("team-a/coder", HOUR // 2, 0, "10", "5.00"),
        ("team-a/coder", HOUR + HOUR // 2, 0, "0.07", "0.11"),
    ]
    assert [(each.currency, each.amount) for each in made.totals] == [("EUR", "10.15")]
    october = bill(engine, BillQuestion("team-a", NOVEMBER - timedelta(days=31), NOVEMBER, DECEMBER))
    assert lines(october) == [("team-a/assistant", HOUR, 0, "10", "10.00")]
    assert {each.account for each in november(engine, None).lines} == {"team-a", "team-b"}


def test_m16_prepaid_hours_of_the_month_before_are_gone_and_the_rest_is_used_first(engine: Engine) -> None:
    package = Package(name="p", account="team-a", flavor="one", hours=3, start=START - 9 * HOUR)
    record(
        engine,
        tariff(START - 9 * HOUR, 1, packages=[package]),
        interval("early", START - 4 * HOUR, START - 3 * HOUR, START - 3 * HOUR, service="team-a/gone"),
        interval("a", START - HOUR, START + 5 * HOUR, START + 5 * HOUR),
        interval("other", START - HOUR, START + HOUR, START + HOUR, account="team-b", service="team-b/x"),
    )
    assert lines(november(engine)) == [("team-a/assistant", 5 * HOUR, HOUR, "10", "40.00")]
    assert lines(november(engine, "team-b")) == [("team-b/x", HOUR, 0, "10", "10.00")]
    record(engine, tariff(START + 10 * HOUR, 2))  # the package is removed: what it has paid for stays
    assert lines(november(engine)) == [("team-a/assistant", 5 * HOUR, HOUR, "10", "40.00")]


def test_m16_dedicated_pools_are_free_but_listed(engine: Engine) -> None:
    record(engine, tariff(START, 1, dedicated=True), interval("a", START, START + HOUR))
    (found,) = november(engine).lines
    assert (found.dedicated, found.seconds, found.amount) == (True, HOUR, "0.00")


def test_m16_a_flavor_without_a_price_is_listed_without_an_amount(engine: Engine) -> None:
    record(engine, interval("a", START, START + HOUR))
    made = november(engine)
    assert (lines(made), made.totals) == ([("team-a/assistant", HOUR, 0, None, None)], [])


def test_m16_each_currency_has_its_own_total(engine: Engine) -> None:
    record(
        engine,
        tariff(START, 1, "100", "JPY"),
        tariff(START, 1, pool="silver"),
        interval("a", START, START + 90),
        interval("b", START, START + 90, pool="silver"),
    )
    assert [(each.currency, each.amount) for each in november(engine).totals] == [("EUR", "0.25"), ("JPY", "3")]


def test_m16_messages_and_tokens_stand_beside(engine: Engine) -> None:
    facts = {"account": "team-a", "topic": "ops"}
    rows = [
        NotificationRow(id=f"{number}", time=START + number, channel="hook" if number % 3 else "mail", **facts)
        for number in range(-1, 5)
    ]
    history.keep(engine, History(notifications=rows))
    at = row(40).model_copy(update={"minute": START})
    book.record(engine, batch(0, 9, at, at.model_copy(update={"minute": START - 60}), row(7, account="team-b")))
    made = november(engine)
    assert [(each.channel, each.messages) for each in made.notifications] == [("hook", 3), ("mail", 2)]
    assert [(each.service, each.requests, each.prompt_tokens) for each in made.tokens] == [("team-a/assistant", 1, 40)]


def test_m16_a_bill_is_final_once_the_month_is_over_and_all_of_it_is_known(engine: Engine) -> None:
    noon = NOVEMBER + timedelta(hours=12)
    record(engine, tariff(START, 1), interval("a", START, START + HOUR))
    assert (november(engine, now=noon).final, november(engine, now=noon).until) == (False, "2026-11-01T12:00:00Z")
    assert (november(engine).final, november(engine).until) == (False, "2026-12-01T00:00:00Z")
    assert november(engine, "team-b").final
    record(engine, interval("a", START, int(DECEMBER.timestamp()) + 60))
    assert november(engine).final


def test_m16_a_ledger_of_before_gets_the_new_tables(url: str) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE instance"))
        connection.execute(text("DROP TABLE tariff"))
        connection.execute(text("UPDATE schema_version SET version = 2"))
    engine.dispose()
    engine = open_database(url)
    record(engine, interval("a", START, START + HOUR), tariff(START, 1))
    assert lines(november(engine)) == [("team-a/assistant", HOUR, 0, "10", "10.00")]
    engine.dispose()


@pytest.fixture
def made(tmp_path: Path) -> tuple[Ledger, Engine, Meters]:
    engine, meters = open_database(f"sqlite:///{tmp_path}/ledger.db"), Meters()
    return Ledger(engine, review, Access("maas-system", "gateway", "operator"), meters), engine, meters


@pytest.mark.parametrize(
    ("who", "query", "status"),
    [
        ("ann", "account=team-a&month=2026-11", 200),
        ("ann", "account=team-a", 200),
        ("ann", "account=team-b", 403),
        ("ann", "", 403),
        ("platform", "", 200),
        ("platform", "month=2026-13", 400),
        ("platform", "month=November", 400),
        ("platform", "year=2026", 400),
        ("nobody", "account=team-a", 401),
    ],
)
async def test_m16_who_may_read_which_bill(
    made: tuple[Ledger, Engine, Meters], who: str, query: str, status: int
) -> None:
    async with TestClient(TestServer(made[0].application())) as client:
        answer = await client.get(f"/v1/bill?{query}", headers={LEDGER_TOKEN_HEADER: who})
        assert answer.status == status
        if status == 200:
            assert Bill.model_validate_json(await answer.text()).account == ("team-a" if who == "ann" else None)


@pytest.mark.parametrize(
    ("who", "status"), [("operator", 200), ("gateway", 403), ("ann", 403), ("platform", 403), ("nobody", 401)]
)
async def test_m16_the_operator_alone_tells_what_runs(
    made: tuple[Ledger, Engine, Meters], who: str, status: int
) -> None:
    body = Facts(intervals=[interval("a", 100, 160)]).model_dump_json(by_alias=True)
    headers = {LEDGER_TOKEN_HEADER: who}
    async with TestClient(TestServer(made[0].application())) as client:
        answer = await client.post("/v1/intervals", data=body, headers=headers)
        assert answer.status == status
        assert (await client.get("/v1/intervals", headers=headers)).status == status
        if status == 200:
            assert (await client.post("/v1/intervals", data='{"spans": 1}', headers=headers)).status == 400
    assert len(kept(made[1])) == (status == 200)


async def test_m16_prometheus_sees_hours_and_costs_grow_once(made: tuple[Ledger, Engine, Meters]) -> None:
    headers = {LEDGER_TOKEN_HEADER: "operator"}
    batches = [
        Facts(tariffs=[tariff(100, 1), tariff(100 + HOUR, 2, "20")], intervals=[interval("a", 100, 100 + 2 * HOUR)]),
        Facts(tariffs=[tariff(100 + 3 * HOUR, 3, dedicated=True)], intervals=[interval("a", 100, 100 + 4 * HOUR)]),
    ]
    async with TestClient(TestServer(made[0].application())) as client:
        for facts in (*batches, batches[0]):
            await client.post("/v1/intervals", data=facts.model_dump_json(by_alias=True), headers=headers)
    labels = 'account="team-a",flavor="one",pool="gold",service="team-a/assistant"'
    shown = generate_latest(made[2].registry).decode()
    assert f"maas_instance_seconds_total{{{labels}}} {4 * HOUR}.0" in shown
    assert 'currency="EUR"' in shown
    assert "} 50.0" in shown


def post(ledger: LedgerProcess, secret: str, facts: Facts) -> bool:
    """Whether the ledger said that it took it."""
    request = urllib.request.Request(f"{ledger.address}/v1/intervals", facts.model_dump_json(by_alias=True).encode())
    request.add_header("X-Maas-Ledger-Token", secret)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def test_m16_no_kill_of_the_ledger_loses_or_doubles_a_second(tmp_path: Path, cluster: Cluster, url: str) -> None:
    """Instances come, are seen and go; the ledger is killed between posts and within them, and its answers with it."""
    dice, secret = random.Random(6), token(cluster, NAMESPACE, OPERATOR)
    ledger = LedgerProcess(tmp_path, cluster, url, free_port(), free_port()).start()
    truth: dict[str, Interval] = {}
    restarts = 0
    try:
        for minute in range(MINUTES * KILLS):
            now = START + 60 * minute
            for uid, each in truth.items():
                if each.end is None:
                    end = now if dice.random() < 0.1 else None
                    truth[uid] = each.model_copy(update={"seen": now, "end": end})
            truth[f"u{minute}"] = interval(f"u{minute}", now, now)
            if minute % MINUTES == MINUTES - 1:
                Timer(dice.uniform(0, 0.01), os.kill, (ledger.pid, signal.SIGKILL)).start()
            while not post(ledger, secret, Facts(tariffs=[tariff(START, 1)], intervals=list(truth.values()))):
                ledger.end(signal.SIGKILL)
                ledger.start()
                restarts += 1
    finally:
        ledger.end()
    assert restarts >= KILLS - 1  # the last may come when all has been told
    engine = open_database(url)
    wanted = {each.uid: (each.start, each.seen, each.end, False) for each in truth.values()}
    assert kept(engine) == wanted
    (total,) = november(engine).lines
    assert total.seconds == sum(seen - start for start, seen, _, _ in wanted.values())
    engine.dispose()
