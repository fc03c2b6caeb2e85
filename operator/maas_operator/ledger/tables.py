"""What the ledger keeps. A change here needs a step in schema.py."""

from sqlalchemy import BigInteger, Index, String
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
