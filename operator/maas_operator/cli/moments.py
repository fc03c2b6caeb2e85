"""Points in time as people write them."""

import re
from datetime import UTC, datetime, timedelta

from maas_operator.cli.errors import CliError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"^(\d{1,6})([mhdw])$")
HOW = "write a duration (90m, 24h, 30d, 4w) or a time (2027-01-31, 2027-01-31T12:00:00Z)"


def before(text: str, now: datetime, option: str) -> datetime:
    """`24h`: that long ago; or the time itself. Raises CliError."""
    return _moved(now, text, -1, option)


def after(text: str, now: datetime, option: str) -> datetime:
    """`30d`: so long from now; or the time itself. Raises CliError."""
    return _moved(now, text, 1, option)


def _moved(now: datetime, text: str, direction: int, option: str) -> datetime:
    found = _SPAN.match(text)
    if found is None:
        return _moment(text, option)
    try:
        return now + direction * timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError as error:
        raise CliError(f"{option} {text} is no time that a calendar has: {HOW}") from error


def _moment(text: str, option: str) -> datetime:
    """A time without a zone is in UTC, as all that the ledger shows."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CliError(f"{option} {text} is no time: {HOW}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
