"""The ledger's database: SQLite in a file, or PostgreSQL."""

import sqlite3

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from maas_operator.ledger.schema import bring_up_to_date

BUSY_SECONDS = 30
"""How long SQLite waits for another writer."""
READ_ONLY = "reads"
"""Execution option of a connection that only reads: in SQLite it takes no writer's lock."""


class DatabaseUrlError(Exception):
    """The URL names no database that the ledger can use."""


def open_database(url: str) -> Engine:
    """An engine whose database has this version's tables.

    url: sqlite:////var/lib/maas/ledger.db, or postgresql://USER:PASSWORD@HOST/DATABASE. Raises DatabaseUrlError;
    sqlalchemy.exc.OperationalError where the database does not answer; schema.NewerSchemaError.
    """
    engine = _engine(_parsed(url))
    with engine.begin() as connection:
        bring_up_to_date(connection)
    return engine


def reading(engine: Engine) -> Connection:
    """A connection for queries, to be closed by who asked for it."""
    return engine.connect().execution_options(**{READ_ONLY: True})


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:  # the URL itself may hold a password: it is not repeated
        raise DatabaseUrlError("the database URL cannot be read: write sqlite:////PATH or postgresql://...") from error
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database:
        return parsed
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise DatabaseUrlError(f"a database of kind {backend} cannot be used: write sqlite:////PATH or postgresql://...")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    """A commit is on the disk before it is acknowledged (FULL), since the gateway then lets its log go."""
    connection.isolation_level = None  # transactions begin where _begin says
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: Connection) -> None:
    """A writer takes its lock at once: one that reads first, and writes later, may find that it cannot."""
    read_only = connection.get_execution_options().get(READ_ONLY)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
