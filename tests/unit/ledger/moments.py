"""Times that the ledger keeps."""

from datetime import UTC, datetime, timedelta

from maas_operator.api.times import written


def recent(**ago: float) -> str:
    """So long ago, as Kubernetes writes it."""
    return written(datetime.now(UTC) - timedelta(**ago))
