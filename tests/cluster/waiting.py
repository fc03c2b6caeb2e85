"""Waiting for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

from tests.cluster.errors import ClusterError

T = TypeVar("T")
POLL_SECONDS = 0.1


def wait_until(
    condition: Callable[[], T | None],
    limit: float,
    what: str,
    otherwise: Callable[[], str] = lambda: "",
) -> T:
    """Return the condition's first true value, asking every tenth of a second.

    Raises ClusterError after `limit` seconds; its message is `what` and what `otherwise` then tells.
    """
    deadline = time.monotonic() + limit
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {limit:g} s for {what}, in vain. {otherwise()}".rstrip())
        time.sleep(POLL_SECONDS)
    return value
