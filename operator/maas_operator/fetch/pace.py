"""How long a fetch will take yet."""

from collections import deque

WINDOW_SECONDS = 60.0
"""Over which the pace is averaged."""


class Pace:
    """Bytes that were there at moments; moments are seconds that only grow."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int]] = deque()

    def note(self, now: float, done: int) -> None:
        """So many bytes are there now."""
        self._noted.append((now, done))
        while len(self._noted) > 2 and self._noted[1][0] <= now - WINDOW_SECONDS:
            self._noted.popleft()

    def seconds_left(self, total: int) -> int | None:
        """Seconds until all is there at this pace; None while that cannot be told."""
        if len(self._noted) < 2:
            return None
        (then, before), (now, done) = self._noted[0], self._noted[-1]
        if now <= then or done <= before:
            return None
        return round((total - done) * (now - then) / (done - before))
