"""Durations as manifests have them: 90s, 30m, 4h, 1h30m."""

import re
from typing import Annotated

from pydantic import Field

PATTERN = r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$"
_PARTS = re.compile(r"^(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,5})s)?$")

Duration = Annotated[str, Field(min_length=2, max_length=18, pattern=PATTERN)]
"""Hours, minutes and seconds, each with its letter; at least one of them."""


def duration(text: str | None) -> float | None:
    """Seconds; None for None and for what is no duration."""
    found = _PARTS.match(text) if text else None
    if found is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds)
