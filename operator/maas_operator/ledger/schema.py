"""Bringing a database to the tables of this version: steps, each taken once, all in one transaction."""

from collections.abc import Callable

from sqlalchemy import Connection, Table, insert, inspect, select, text, update

from maas_operator.ledger.tables import (
    Base,
    Event,
    Instance,
    Notification,
    PoolTariff,
    Position,
    SchemaVersion,
    Usage,
)

LOCK = 0x6D616173
"""PostgreSQL's advisory lock: of several replicas that start, one at a time looks after the schema."""


class NewerSchemaError(Exception):
    """The database was written by a newer version of the ledger."""


def _create_usage(connection: Connection) -> None:
    _create(connection, Position.__table__, Usage.__table__)


def _create_history(connection: Connection) -> None:
    _create(connection, Event.__table__, Notification.__table__)


def _create_billing(connection: Connection) -> None:
    _create(connection, Instance.__table__, PoolTariff.__table__)


STEPS: tuple[Callable[[Connection], None], ...] = (_create_usage, _create_history, _create_billing)
"""Never change a step that was released: add one. A step spells out what it creates or alters."""


def bring_up_to_date(connection: Connection) -> int:
    """Take the missing steps; returns how many. Raises NewerSchemaError."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    taken = _taken(connection)
    if taken > len(STEPS):
        raise NewerSchemaError(
            f"the ledger's database has schema {taken}, and this version knows {len(STEPS)}: run the newer version "
            "again, or restore the backup that was made before the upgrade"
        )
    for step in STEPS[taken:]:
        step(connection)
    connection.execute(update(SchemaVersion).values(version=len(STEPS)))
    return len(STEPS) - taken


def _taken(connection: Connection) -> int:
    if not inspect(connection).has_table(SchemaVersion.__tablename__):
        _create(connection, SchemaVersion.__table__)
        connection.execute(insert(SchemaVersion).values(version=0))
    return connection.execute(select(SchemaVersion.version)).scalar_one()


def _create(connection: Connection, *tables: object) -> None:
    Base.metadata.create_all(connection, tables=[table for table in tables if isinstance(table, Table)])
