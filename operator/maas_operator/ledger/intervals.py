"""How long each instance ran, and what pools cost: written once however often it comes, and read for the bill.

What is known of an instance only ever grows: it was seen later, or it has ended. So batches may come twice, late, or
from two operators in turn, and the end is the same.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import ColumnElement, Connection, Engine, case, func, select

from maas_operator.api.billing import Facts, Interval, Tariff
from maas_operator.ledger.book import PART, insert_into, insert_new
from maas_operator.ledger.database import reading
from maas_operator.ledger.tables import Instance, PoolTariff


@dataclass(frozen=True)
class Grown:
    """By how much more an instance is known to have run than before."""

    interval: Interval
    start: int
    end: int


def record(engine: Engine, facts: Facts) -> list[Grown]:
    """Write down what is news, all of it or nothing; returns by how much it has grown, for the meters.

    An end that is known never changes; until then `seen` moves forward. An instance that was given up as lost, and is
    seen after all, or whose end becomes known, was not lost. Raises sqlalchemy.exc.DBAPIError.
    """
    with engine.begin() as connection:
        insert_new(connection, PoolTariff, [_tariff_row(each) for each in _once(facts.tariffs)])
        uids = [each.uid for each in facts.intervals]
        before = _until(connection, uids)
        _merge(connection, facts.intervals)
        after = _until(connection, uids)
    told = {each.uid: each for each in facts.intervals}
    known = {uid: before[uid][1] if uid in before else after[uid][0] for uid in told}
    return [Grown(told[uid], known[uid], after[uid][1]) for uid in told if after[uid][1] > known[uid]]


def open_intervals(engine: Engine) -> Generator[Sequence[Interval]]:
    """Those that have no end and are not given up, some at a time."""
    query = select(Instance.__table__).where(Instance.lost == 0, Instance.ended.is_(None)).order_by(Instance.uid)
    with reading(engine) as connection:
        for part in connection.execution_options(yield_per=PART).execute(query).mappings().partitions():
            yield [_interval(dict(row)) for row in part]


def accounts(engine: Engine, after: int, before: int) -> list[str]:
    """Whose instances were running after one time and before another one."""
    until = func.coalesce(Instance.ended, Instance.seen)
    query = select(Instance.account).where(Instance.started < before, until > after).distinct()
    with reading(engine) as connection:
        return sorted(connection.execute(query).scalars())


def intervals(engine: Engine, account: str | None, after: int, before: int) -> list[Interval]:
    """Those that were running after one time and before another one; of an account, or of all."""
    until = func.coalesce(Instance.ended, Instance.seen)
    query = select(Instance.__table__).where(Instance.started < before, until > after).order_by(Instance.uid)
    if account is not None:
        query = query.where(Instance.account == account)
    with reading(engine) as connection:
        return [_interval(dict(row)) for row in connection.execute(query).mappings()]


def unsettled(engine: Engine, account: str | None, before: int) -> bool:
    """Whether of an instance that was seen last before that time it may still become known that it ran on."""
    query = select(Instance.uid).where(Instance.lost == 0, Instance.ended.is_(None), Instance.seen < before).limit(1)
    if account is not None:
        query = query.where(Instance.account == account)
    with reading(engine) as connection:
        return connection.execute(query).first() is not None


def tariffs(engine: Engine, pools: Iterable[str] | None = None) -> list[Tariff]:
    """All that pools cost, ever; of these pools, or of all."""
    query = select(PoolTariff.content).order_by(PoolTariff.pool, PoolTariff.uid, PoolTariff.generation)
    if pools is not None:
        query = query.where(PoolTariff.pool.in_(sorted(pools)))
    with reading(engine) as connection:
        return [_parsed(content) for content in connection.execute(query).scalars()]


def _merge(connection: Connection, found: Sequence[Interval]) -> None:
    """In one order, so that two replicas of the ledger never wait for each other."""
    if not found:
        return
    statement = insert_into(connection)(Instance)
    new = statement.excluded
    later = new.seen >= Instance.seen
    given_up: ColumnElement[int] = case((later, new.lost), else_=Instance.lost)
    grown = {"seen": case((later, new.seen), else_=Instance.seen), "ended": new.ended, "lost": given_up}
    merged = statement.on_conflict_do_update(index_elements=["uid"], set_=grown, where=Instance.ended.is_(None))
    connection.execute(merged, [_row(each) for each in sorted(found, key=lambda each: each.uid)])


def _until(connection: Connection, uids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """By uid: since when, and until when it is known to have run."""
    until = func.coalesce(Instance.ended, Instance.seen)
    query = select(Instance.uid, Instance.started, until).where(Instance.uid.in_(uids))
    return {uid: (start, end) for uid, start, end in connection.execute(query)}


def _row(interval: Interval) -> dict[str, object]:
    row = interval.model_dump()
    return row | {"started": row.pop("start"), "ended": row.pop("end"), "lost": int(row["lost"])}


def _interval(row: dict[str, object]) -> Interval:
    return Interval.model_validate(row | {"start": row.pop("started"), "end": row.pop("ended")})


def _tariff_row(tariff: Tariff) -> dict[str, object]:
    keys = {"pool": tariff.pool, "uid": tariff.uid, "generation": tariff.generation, "since": tariff.since}
    return keys | {"content": tariff.model_dump_json(by_alias=True)}


def _once(found: Iterable[Tariff]) -> Iterable[Tariff]:
    return {(each.pool, each.uid, each.generation): each for each in found}.values()


@lru_cache(maxsize=10_000)
def _parsed(content: str) -> Tariff:
    return Tariff.model_validate_json(content)
