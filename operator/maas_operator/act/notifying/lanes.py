"""What waits to be delivered, a lane for each channel: a slow receiver holds up its own lane alone."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

AT_ONCE = 4
"""Messages under way on one channel."""

Work = TypeVar("Work")


class Lane(Generic[Work]):
    """One channel's messages: so many at a time, each when it is due."""

    def __init__(self, do: Callable[[Work], Awaitable[None]]) -> None:
        self._do = do
        self._due: deque[Work] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()

    @property
    def idle(self) -> bool:
        """Whether nothing runs, and nothing waits."""
        return not (self._due or self._running or self._timers)

    def add(self, work: Work, seconds: float = 0.0) -> None:
        """Do this, in so many seconds at the earliest."""
        if seconds <= 0:
            self._due.append(work)
            self._start()
            return
        timer: asyncio.TimerHandle

        def due() -> None:
            self._timers.discard(timer)
            self.add(work)

        timer = asyncio.get_running_loop().call_later(seconds, due)
        self._timers.add(timer)

    def stop(self) -> Iterable[asyncio.Task[None]]:
        """Begin nothing more; returns what has been cancelled."""
        self._due.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for task in self._running:
            task.cancel()
        return tuple(self._running)

    def _start(self) -> None:
        while self._due and len(self._running) < AT_ONCE:
            task = asyncio.ensure_future(self._do(self._due.popleft()))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._start()
