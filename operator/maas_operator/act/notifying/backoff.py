"""When a message that could not be delivered is tried again. Pure."""

FIRST_SECONDS = 5.0
"""From the first attempt to the second; doubled with each further one."""
LONGEST_SECONDS = 3600.0
GIVEN_UP_SECONDS = 86400.0
"""From what happened to the last attempt."""
JITTER = 0.2
"""How much longer a wait may become, as a part of it, so that messages that failed together do not return together."""


def wait(attempts: int, age: float, retry_after: float | None, jitter: float) -> float | None:
    """Seconds until the next attempt; None: there is none.

    attempts: those that failed, at least 1. age: seconds since what happened. retry_after: seconds that the receiver
    asks for; where that is more than is left, there is one more attempt at the end. jitter: 0 to 1.
    """
    backed_off = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempts - 1, 16)) * (1 + JITTER * jitter)
    left = GIVEN_UP_SECONDS - age
    seconds = max(backed_off, min(retry_after or 0.0, left))
    return seconds if seconds <= left else None
