"""What the ledger keeps. A change here needs a step in schema.py."""

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column


class Base(MappedAsDataclass, DeclarativeBase):
    """The ledger's tables."""

    type_annotation_map = {int: BigInteger, str: String}  # noqa: RUF012 as SQLAlchemy reads it


class SchemaVersion(Base):
    """One row: how many steps of schema.py this database has seen."""

    __tablename__ = "schema_version"
    version: Mapped[int] = mapped_column(primary_key=True)


class Position(Base):
    """How far an access log is counted."""

    __tablename__ = "position"
    origin: Mapped[str] = mapped_column(primary_key=True)
    log: Mapped[str] = mapped_column(primary_key=True)
    acknowledged: Mapped[int]
    """Bytes from the log's beginning."""


class Usage(Base):
    """Sums of one minute. The columns mean what api/usage.py says."""

    __tablename__ = "usage"
    minute: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int]
    answered: Mapped[int]
    failures: Mapped[int]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    first_tokens: Mapped[int]
    first_token_ms: Mapped[int]
    duration_ms: Mapped[int]

    __table_args__ = (
        Index("usage_by_account", "account", "minute"),
        Index("usage_by_service", "service", "minute"),
    )


class Event(Base):
    """Something that happened to a service. The columns mean what api/events.py says."""

    __tablename__ = "event"
    id: Mapped[str] = mapped_column(primary_key=True)
    time: Mapped[int]
    account: Mapped[str]
    service: Mapped[str]
    type: Mapped[str]
    reason: Mapped[str]
    message: Mapped[str]

    __table_args__ = (Index("event_by_account", "account", "time"), Index("event_by_time", "time"))


class Notification(Base):
    """A message that was delivered, for the bill: never pruned."""

    __tablename__ = "notification"
    id: Mapped[str] = mapped_column(primary_key=True)
    time: Mapped[int]
    account: Mapped[str]
    topic: Mapped[str]
    channel: Mapped[str]

    __table_args__ = (Index("notification_by_account", "account", "time"),)


class Instance(Base):
    """An instance's time on its node, for the bill: never pruned. The columns mean what api/billing.py says."""

    __tablename__ = "instance"
    uid: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str]
    service: Mapped[str]
    pool: Mapped[str]
    flavor: Mapped[str]
    started: Mapped[int]
    seen: Mapped[int]
    ended: Mapped[int | None]
    lost: Mapped[int]
    """1: it is gone, and nobody saw when."""

    __table_args__ = (
        Index("instance_by_account", "account", "started"),
        Index("instance_open", "lost", "ended"),
    )


class PoolTariff(Base):
    """What a pool's spec said of money, for the bill: never changed, never pruned."""

    __tablename__ = "tariff"
    pool: Mapped[str] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True)
    since: Mapped[int]
    content: Mapped[str] = mapped_column(Text)
    """api.billing.Tariff in JSON: it is only ever read whole."""
