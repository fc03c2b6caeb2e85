"""Times as Kubernetes writes them."""

from datetime import UTC, datetime


def written(moment: datetime) -> str:
    """RFC 3339, whole seconds, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
