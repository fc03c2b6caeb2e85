"""Times as Kubernetes writes them, and as they stand in a status."""

from datetime import UTC, datetime


def written(moment: datetime) -> str:
    """RFC 3339, whole seconds, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str | None) -> datetime | None:
    """The time; None where there is none, or somebody has put something else there."""
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return time if time and time.tzinfo else None
