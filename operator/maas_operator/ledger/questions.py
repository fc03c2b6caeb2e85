"""What is asked of the ledger, from a query, and one line of what it answers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from maas_operator.api.usage import GROUPINGS, Grouping, UsageLine
from maas_operator.ledger.book import Question

FIELDS = frozenset({"account", "key", "service", "from", "to", "by"})
FORMATS = {"minute": "%Y-%m-%dT%H:%MZ", "hour": "%Y-%m-%dT%H:%MZ", "day": "%Y-%m-%d"}


class UnclearQuestionError(Exception):
    """The query cannot be understood."""


def question(query: Mapping[str, str]) -> Question:
    """From account=, key=, service=NAMESPACE/NAME, from=, to= (RFC 3339) and by=COLUMN,COLUMN.

    Raises UnclearQuestionError.
    """
    if unknown := query.keys() - FIELDS:
        raise UnclearQuestionError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(FIELDS))}")
    return Question(
        account=query.get("account"),
        key=query.get("key"),
        service=query.get("service"),
        start=_seconds("from", query.get("from")),
        end=_seconds("to", query.get("to")),
        by=_groupings(query.get("by", "")),
    )


def line(values: Mapping[str, str | int]) -> bytes:
    """A line of the answer, in JSON."""
    shown = {name: _shown(name, value) for name, value in values.items()}
    return UsageLine.model_validate(shown).model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n"


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
