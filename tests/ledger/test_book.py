"""What the ledger counts, on a real SQLite and a real PostgreSQL."""

import threading
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from maas_operator.api.usage import SUMS, Batch, Grouping
from maas_operator.ledger import book
from maas_operator.ledger.book import Question, record
from maas_operator.ledger.database import DatabaseUrlError, open_database
from maas_operator.ledger.schema import STEPS, NewerSchemaError
from tests.ledger.batches import MINUTE, batch, row
from tests.ledger.postgresql import PostgreSql


def lines(engine: Engine, *by: Grouping, **filters: str | int) -> list[tuple[str | int, ...]]:
    """(Groups..., requests, prompt tokens)."""
    found = [each for part in book.ask(engine, Question(by=by, **filters)) for each in part]  # type: ignore[arg-type]
    return [(*(each[name] for name in by), each["requests"], each["prompt_tokens"]) for each in found]


def test_a_batch_that_comes_twice_counts_once(engine: Engine) -> None:
    first, second = record(engine, batch(0, 100)), record(engine, batch(0, 100))
    assert (first.counted, first.acknowledged) == (True, 100)
    assert (second.counted, second.acknowledged) == (False, 100)
    assert lines(engine) == [(1, 10)]


def test_a_batch_that_overlaps_what_was_counted_is_told_where_to_begin(engine: Engine) -> None:
    """The gateway was killed before it read the receipt, and its log has grown since."""
    record(engine, batch(0, 100))
    receipt = record(engine, batch(0, 250))
    assert (receipt.counted, receipt.acknowledged) == (False, 100)
    assert record(engine, batch(100, 250)).counted
    assert lines(engine) == [(2, 20)]


def test_a_gap_is_not_counted_over(engine: Engine) -> None:
    """The ledger's volume was restored from a backup: what is still in the gateway's log is asked for again."""
    receipt = record(engine, batch(100, 200))
    assert (receipt.counted, receipt.acknowledged) == (False, 0)


def test_logs_are_counted_apart(engine: Engine) -> None:
    for log, origin in (("a", "pod"), ("b", "pod"), ("a", "other")):
        assert record(engine, batch(0, 100, log=log, origin=origin)).counted
    assert lines(engine) == [(3, 30)]


def test_a_batch_is_counted_whole_or_not_at_all(engine: Engine) -> None:
    """The database fails in the middle of a batch."""
    failing = "RAISE EXCEPTION 'no'" if engine.dialect.name == "postgresql" else "SELECT RAISE(ABORT, 'no')"
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(
                text(f"CREATE FUNCTION no() RETURNS trigger AS $$ BEGIN {failing}; END $$ LANGUAGE plpgsql")
            )
            connection.execute(
                text("CREATE TRIGGER no BEFORE INSERT ON usage FOR EACH ROW WHEN (NEW.key = 'z') EXECUTE FUNCTION no()")
            )
        else:
            connection.execute(
                text(f"CREATE TRIGGER no BEFORE INSERT ON usage WHEN NEW.key = 'z' BEGIN {failing}; END")
            )
    with pytest.raises(Exception, match="no"):
        record(engine, batch(0, 100, row(key="a"), row(key="z")))
    assert lines(engine) == [(0, 0)]
    assert record(engine, batch(0, 90, row(key="a"))).counted
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER no" + (" ON usage" if engine.dialect.name == "postgresql" else "")))
        if engine.dialect.name == "postgresql":
            connection.execute(text("DROP FUNCTION no"))


def test_usage_by_account_key_service_version_minute(engine: Engine) -> None:
    record(
        engine,
        batch(0, 1, row(), row(20, minute=1), row(30, key="web"), row(40, account="team-b"), row(50, minute=61)),
    )
    assert lines(engine, "account") == [("team-a", 4, 110), ("team-b", 1, 40)]
    assert lines(engine, "key", account="team-a") == [("ci", 3, 80), ("web", 1, 30)]
    assert lines(engine, "service", "model", "version") == [("team-a/assistant", "qwen3", "8k", 5, 150)]
    assert lines(engine, "minute", start=MINUTE, end=MINUTE + 120) == [(MINUTE, 3, 80), (MINUTE + 60, 1, 20)]
    assert lines(engine, "hour") == [(MINUTE, 4, 100), (MINUTE + 3600, 1, 50)]
    assert lines(engine, "day") == [(MINUTE - MINUTE % 86400, 5, 150)]
    assert lines(engine, service="team-b/other") == [(0, 0)]


def test_sums_beyond_32_bits(engine: Engine) -> None:
    record(engine, batch(0, 1, row(2**50)))
    record(engine, batch(1, 2, row(2**50)))
    assert lines(engine) == [(2, 2**51)]


def test_many_gateways_at_once_lose_nothing(engine: Engine) -> None:
    """Threads as replicas; each batch is sent by two of them, rows in contrary orders."""
    keys = [f"key-{number}" for number in range(5)]

    def send(origin: str, order: int) -> None:
        for number in range(20):
            rows = [row(1, key=key) for key in keys[::order]]
            record(engine, batch(number, number + 1, *rows, origin=origin))

    threads = [threading.Thread(target=send, args=(f"pod-{n % 2}", 1 if n < 2 else -1)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines(engine) == [(200, 200)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_in_whatever_order_and_however_often_batches_come_the_sum_is_right(engine: Engine, data: st.DataObject) -> None:
    bounds = sorted(data.draw(st.sets(st.integers(1, 20), min_size=1, max_size=6)))
    log = uuid4().hex  # another one for each example: they share a database
    made = [batch(start, end, row(end - start), log=log) for start, end in zip([0, *bounds], bounds, strict=False)]
    before = lines(engine)[0][1]
    assert isinstance(before, int)
    for one in data.draw(st.lists(st.sampled_from(made), max_size=20)) + made:
        record(engine, one)
    assert lines(engine)[0][1] == before + bounds[-1]


def test_the_schema_is_made_once_and_a_newer_one_is_left_alone(url: str) -> None:
    engine = open_database(url)
    record(engine, batch(0, 1))
    engine.dispose()
    engine = open_database(url)
    assert lines(engine) == [(1, 10)]
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = 99"))
    engine.dispose()
    with pytest.raises(NewerSchemaError, match=f"schema 99, and this version knows {len(STEPS)}:"):
        open_database(url)


def test_a_url_of_another_kind_is_refused_without_repeating_it() -> None:
    for wrong in ("mysql://root:secret@host/db", "secret", "sqlite://"):
        with pytest.raises(DatabaseUrlError) as caught:
            open_database(wrong)
        assert "secret" not in str(caught.value)


def test_a_wire_batch_is_read_back_as_it_was_written() -> None:
    sent = batch(0, 1, row())
    assert Batch.model_validate_json(sent.model_dump_json(by_alias=True)) == sent
    assert len(SUMS) == 8


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_postgresql_killed_and_back_is_found_again_and_lost_nothing(engine: Engine, postgresql: PostgreSql) -> None:
    record(engine, batch(0, 1))
    postgresql.stop()  # SIGQUIT: as a crash, with recovery at the next start
    try:
        with pytest.raises(OperationalError):
            record(engine, batch(1, 2))
    finally:
        postgresql.start()
    assert record(engine, batch(1, 2)).counted
    assert not record(engine, batch(0, 1)).counted
    assert lines(engine) == [(2, 20)]
