"""What is asked of the ledger, from a query, and one line of what it answers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from maas_operator.api.events import EventRow
from maas_operator.api.usage import GROUPINGS, Grouping, UsageLine
from maas_operator.ledger.bill import MONTH, BillQuestion
from maas_operator.ledger.book import Question
from maas_operator.ledger.history import EventQuestion

FIELDS = frozenset({"account", "key", "service", "from", "to", "by"})
EVENT_FIELDS = frozenset({"account", "service", "since", "until"})
BILL_FIELDS = frozenset({"account", "month"})
FORMATS = {"minute": "%Y-%m-%dT%H:%MZ", "hour": "%Y-%m-%dT%H:%MZ", "day": "%Y-%m-%d"}


class UnclearQuestionError(Exception):
    """The query cannot be understood."""


def question(query: Mapping[str, str]) -> Question:
    """From account=, key=, service=NAMESPACE/NAME, from=, to= (RFC 3339) and by=COLUMN,COLUMN.

    Raises UnclearQuestionError.
    """
    _known(query, FIELDS)
    return Question(
        account=query.get("account"),
        key=query.get("key"),
        service=query.get("service"),
        start=_seconds("from", query.get("from")),
        end=_seconds("to", query.get("to")),
        by=_groupings(query.get("by", "")),
    )


def event_question(query: Mapping[str, str]) -> EventQuestion:
    """From account=, service=NAMESPACE/NAME, since= and until= (RFC 3339). Raises UnclearQuestionError."""
    _known(query, EVENT_FIELDS)
    return EventQuestion(
        account=query.get("account"),
        service=query.get("service"),
        start=_seconds("since", query.get("since")),
        end=_seconds("until", query.get("until")),
    )


def bill_question(query: Mapping[str, str], now: datetime) -> BillQuestion:
    """From account= and month=2026-11; left out: this month, in UTC. Raises UnclearQuestionError."""
    _known(query, BILL_FIELDS)
    month = query.get("month") or now.astimezone(UTC).strftime(MONTH)
    try:
        first = datetime.strptime(month, MONTH).replace(tzinfo=UTC)
    except ValueError as error:
        raise UnclearQuestionError(f"month={month} is no month: write it as 2026-11") from error
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return BillQuestion(query.get("account"), first, following, now)


def line(values: Mapping[str, str | int]) -> bytes:
    """A line of the answer, in JSON."""
    shown = {name: _shown(name, value) for name, value in values.items()}
    return UsageLine.model_validate(shown).model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n"


def event_line(event: EventRow) -> bytes:
    """An event of the answer, in JSON."""
    return event.model_dump_json(by_alias=True).encode() + b"\n"


def _known(query: Mapping[str, str], fields: frozenset[str]) -> None:
    if unknown := query.keys() - fields:
        raise UnclearQuestionError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(fields))}")


def _shown(name: str, value: str | int) -> str | int:
    form = FORMATS.get(name)
    return datetime.fromtimestamp(int(value), UTC).strftime(form) if form else value


def _seconds(name: str, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise UnclearQuestionError(f"{name}={value} is no time: write it as 2026-01-31T12:00:00Z") from error
    if moment.tzinfo is None:
        raise UnclearQuestionError(f"{name}={value} lacks its time zone: write it as 2026-01-31T12:00:00Z")
    return int(moment.timestamp())


def _groupings(value: str) -> tuple[Grouping, ...]:
    names = [name for name in value.split(",") if name]
    for name in names:
        if name not in GROUPINGS:
            raise UnclearQuestionError(f"by={name}: usage can be grouped by {', '.join(GROUPINGS)}")
    return cast(tuple[Grouping, ...], tuple(dict.fromkeys(names)))
