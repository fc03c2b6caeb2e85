"""Points in time as people write them."""

import re
from datetime import UTC, datetime, timedelta

from maas_operator.cli.errors import CliError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"^(\d{1,6})([mhdw])$")
HOW = "write a duration (90m, 24h, 30d, 4w) or a time (2027-01-31, 2027-01-31T12:00:00Z)"


def before(text: str, now: datetime, option: str) -> datetime:
    """`24h`: that long ago; or the time itself. Raises CliError."""
    span = _span(text)
    return now - span if span is not None else _moment(text, option)


def after(text: str, now: datetime, option: str) -> datetime:
    """`30d`: so long from now; or the time itself. Raises CliError."""
    span = _span(text)
    return now + span if span is not None else _moment(text, option)


def _span(text: str) -> timedelta | None:
    found = _SPAN.match(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def _moment(text: str, option: str) -> datetime:
    """A time without a zone is in UTC, as all that the ledger shows."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CliError(f"{option} {text} is no time: {HOW}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
