"""Writing batches into the ledger, and summing up what it holds."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from maas_operator.api.usage import SUMS, Batch, Grouping, Receipt
from maas_operator.ledger.database import reading
from maas_operator.ledger.tables import Base, Position, Usage

PART = 1000
"""Lines of an answer that are fetched at a time."""
SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True)
class Question:
    """Which usage to sum up. None: whatever it is. `start` is the first second, `end` the one behind the last."""

    account: str | None = None
    key: str | None = None
    service: str | None = None
    start: int | None = None
    end: int | None = None
    by: tuple[Grouping, ...] = ()


def record(engine: Engine, batch: Batch) -> Receipt:
    """Count a batch, all of it or nothing of it, unless it was counted before.

    A batch that does not begin where its log's last one ended is not counted: the receipt says where to begin.
    Raises sqlalchemy.exc.DBAPIError where the database fails; then it is not known whether the batch was counted, and
    sending it again tells.
    """
    with engine.begin() as connection:
        acknowledged = _position(connection, batch)
        if batch.start != acknowledged or batch.end <= batch.start:
            return Receipt(acknowledged=acknowledged, counted=False)
        _add(connection, batch)
        mine = (Position.origin == batch.origin) & (Position.log == batch.log)
        connection.execute(update(Position).where(mine).values(acknowledged=batch.end))
    return Receipt(acknowledged=batch.end, counted=True)


def ask(engine: Engine, question: Question) -> Generator[Sequence[dict[str, str | int]]]:
    """The sums, some lines at a time, ordered by what they are grouped by. Times are seconds since 1970."""
    with reading(engine) as connection:
        result = connection.execution_options(yield_per=PART).execute(_select(question))
        for part in result.partitions():
            yield [{name: _plain(value) for name, value in row._mapping.items()} for row in part]


def answers(engine: Engine) -> None:
    """Raise sqlalchemy.exc.DBAPIError unless the database answers."""
    with reading(engine) as connection:
        connection.execute(select(Position.acknowledged).limit(1))


def _position(connection: Connection, batch: Batch) -> int:
    """How far this log is counted; locked until the transaction ends, against a second sender of the same log."""
    new = {"origin": batch.origin, "log": batch.log, "acknowledged": 0}
    connection.execute(insert_into(connection)(Position).values(new).on_conflict_do_nothing())
    query = select(Position.acknowledged).where(Position.origin == batch.origin, Position.log == batch.log)
    return connection.execute(query.with_for_update()).scalar_one()


def _add(connection: Connection, batch: Batch) -> None:
    """Add the rows to those of the same minute. In one order, so that two replicas never wait for each other."""
    if not batch.rows:
        return
    statement = insert_into(connection)(Usage)
    keys = [column.name for column in Usage.__table__.primary_key]
    summed = {name: getattr(Usage, name) + getattr(statement.excluded, name) for name in SUMS}
    rows = sorted((row.model_dump() for row in batch.rows), key=lambda row: [row[key] for key in keys])
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=summed), rows)


def insert_into(connection: Connection) -> type[sqlite.Insert] | type[postgresql.Insert]:
    """The database's own INSERT, which knows ON CONFLICT."""
    return postgresql.Insert if connection.dialect.name == "postgresql" else sqlite.Insert


def _select(question: Question) -> Select[*tuple[Any, ...]]:
    groups = [_group(name) for name in question.by]
    sums = [func.coalesce(func.sum(getattr(Usage, name)), 0).label(name) for name in SUMS]
    query = select(*groups, *sums).group_by(*groups).order_by(*groups)
    for column in ("account", "key", "service"):
        wanted = getattr(question, column)
        if wanted is not None:
            query = query.where(getattr(Usage, column) == wanted)
    if question.start is not None:
        query = query.where(Usage.minute >= question.start)
    if question.end is not None:
        query = query.where(Usage.minute < question.end)
    return query


def _group(name: Grouping) -> ColumnElement[Any]:
    if name not in SECONDS:
        return Usage.__table__.c[name]
    return (Usage.minute - Usage.minute % literal(SECONDS[name], literal_execute=True)).label(name)


def insert_new(connection: Connection, table: type[Base], rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows; those whose key is there already are left as they are. Returns how many were new."""
    if not rows:
        return 0
    made = insert_into(connection)(table).values(rows).on_conflict_do_nothing()
    return len(connection.execute(made.returning(*table.__table__.primary_key)).all())


def _plain(value: Any) -> str | int:
    """PostgreSQL sums up to decimals."""
    return value if isinstance(value, str) else int(value)
