"""The queue of what is to be reconciled: one run a key at a time, nothing twice, nothing lost."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from maas_operator.watch.keys import Key

FIRST_BACK_OFF = 0.2
"""Seconds until a failed key is tried again; doubled with each failure on end."""
LONGEST_BACK_OFF = 60.0
"""Seconds that a key waits at most: what an administrator repairs is noticed within a minute."""
JITTER = 0.2
"""How much longer a wait may become, as a part of it, so that keys that failed together do not come back together."""
FINISH_SECONDS = 3.0
"""What runs when the queue is stopped may take so long to finish."""

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Reconciles a key; returns the seconds until it is worth looking again, or None. Raises where it failed."""


class Queue:
    """A queue of keys. `intervals` are the least seconds between two runs of a key, by kind."""

    def __init__(
        self,
        reconcile: Reconcile,
        workers: int,
        intervals: Mapping[str, float],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._reconcile = reconcile
        self._workers = workers
        self._intervals = intervals
        self._jitter = jitter
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()
        self._running: dict[Key, asyncio.Task[Any] | None] = {}
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: Counter[Key] = Counter()
        self._started: dict[Key, float] = {}
        self._open: set[str] = set()
        self._held: dict[Key, None] = {}
        self._stopping = False

    @property
    def depth(self) -> int:
        """Keys that wait for a worker."""
        return self._ready.qsize()

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits for a worker."""
        return not self._queued and not self._running

    def open(self, kind: str) -> None:
        """Let keys of a kind be run; until then they are held."""
        self._open.add(kind)
        for key in [key for key in self._held if key.kind == kind]:
            del self._held[key]
            self.add(key)

    def add(self, key: Key) -> None:
        """Have a key reconciled, after its present run if there is one."""
        if key in self._queued:
            return
        if key in self._running:
            self._again.add(key)
        elif key.kind not in self._open:
            self._held[key] = None
        elif (wait := self._rest(key)) > 0:
            self.add_after(key, wait)
        else:
            self._cancel_timer(key)
            self._queued.add(key)
            self._ready.put_nowait(key)

    def add_all(self, keys: Iterable[Key]) -> None:
        """Have keys reconciled."""
        for key in keys:
            self.add(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Have a key reconciled later; the earliest of several times counts."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(seconds, self._due, key)

    async def run(self) -> None:
        """Work until cancelled. What is being reconciled then may take FINISH_SECONDS to finish."""
        workers = {asyncio.create_task(self._work()) for _ in range(self._workers)}
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
            for worker in done:
                worker.result()
        finally:
            self._stopping = True
            for key in list(self._timers):
                self._cancel_timer(key)
            if busy := {task for task in self._running.values() if task}:
                await asyncio.wait(busy, timeout=FINISH_SECONDS)
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self) -> None:
        while not self._stopping:
            key = await self._ready.get()
            self._queued.discard(key)
            self._running[key] = asyncio.current_task()
            self._note_start(key)
            try:
                look_again = await self._reconcile(key)
            except Exception:  # the reconcile has told of it: here it only counts
                self._done(key)
                self._failures[key] += 1
                self.add_after(key, self._back_off(key))
            else:
                self._done(key)
                del self._failures[key]
                if look_again is not None:
                    self.add_after(key, look_again)
            # A reconcile that writes nothing never waits: without this, a long queue would let nobody else run, and
            # the lease would not be renewed.
            await asyncio.sleep(0)

    def _done(self, key: Key) -> None:
        del self._running[key]
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _back_off(self, key: Key) -> float:
        exponent = min(self._failures[key] - 1, 16)
        return float(min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2**exponent) * (1 + JITTER * self._jitter()))

    def _note_start(self, key: Key) -> None:
        """Remember when the key was started, and forget the starts that no interval can reach back to."""
        if key.kind not in self._intervals:
            return
        now = asyncio.get_running_loop().time()
        self._started.pop(key, None)
        self._started[key] = now
        longest = max(self._intervals.values())
        while (oldest := next(iter(self._started))) != key and self._started[oldest] < now - longest:
            del self._started[oldest]

    def _rest(self, key: Key) -> float:
        """Seconds until the key's interval is over."""
        started = self._started.get(key)
        if started is None:
            return 0.0
        return started + self._intervals[key.kind] - asyncio.get_running_loop().time()

    def _due(self, key: Key) -> None:
        del self._timers[key]
        self._started.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
