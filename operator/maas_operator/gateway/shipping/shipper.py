"""The shipper: looks at the logs again and again, sends what is new, and lets go what is acknowledged."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from maas_operator.api.usage import SUMS
from maas_operator.gateway.shipping import counters
from maas_operator.gateway.shipping.cutting import LogName, cut
from maas_operator.gateway.shipping.logs import Log, Logs, read_at
from maas_operator.gateway.shipping.progress import Progress
from maas_operator.gateway.shipping.sending import NotAcknowledgedError, NotReopenedError, Reopen, Send
from maas_operator.guard import guarded

log = structlog.get_logger()


@dataclass(frozen=True)
class Settings:
    """How it ships. origin: the gateway's pod uid. Sizes in bytes, times in seconds."""

    origin: str
    current: Path
    interval: float = 1.0
    batch_size: int = 256 * 1024
    rotate_size: int = 16 * 2**20
    largest_backlog: int = 2 * 2**30
    """What is kept of closed logs while the ledger is away: some four million requests. Then the oldest go."""
    longest_pause: float = 30.0


class Shipper:
    """Ships the logs of one Envoy."""

    def __init__(self, settings: Settings, send: Send, reopen: Reopen) -> None:
        self._settings = settings
        self._send = send
        self._reopen = reopen
        self._logs = Logs(settings.current)
        self._progress = Progress(self._logs)
        self._acknowledged: dict[str, int] = {}
        """By log, what the ledger said last; it is asked again after a restart."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Ship until told to stop, and then what is left; with the ledger away, what is left stays on the disk."""
        pause = self._settings.interval
        while True:
            last = stopping.is_set()
            with guarded("shipping"):
                pause = await self._shipped(pause)
            if last:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)

    async def _shipped(self, pause: float) -> float:
        """Ship once. Returns the pause until the next time; pause: the one before."""
        try:
            await self.ship()
        except NotAcknowledgedError as error:
            counters.FAILURES.inc()
            log.warning("usage is not acknowledged: it is kept, and sent again", error=str(error), pause=pause)
            return min(pause * 2, self._settings.longest_pause)
        except OSError as error:
            log.warning("the access logs cannot be read", error=str(error))
            return pause
        return self._settings.interval

    async def ship(self) -> None:
        """Send all that is there now. Raises NotAcknowledgedError, and OSError of the disk."""
        try:
            self._settle()  # before any log is let go
            for each in self._logs.present():
                await self._ship_one(each)
            counters.ACKNOWLEDGED_AT.set(time.time())
        finally:
            await self._rotate()
            self._bound()

    def _settle(self) -> None:
        if settled := self._progress.settle():
            counters.KILLED.inc(settled)
            log.warning("Envoy was killed: what the requests under way had used is counted", requests=settled)

    async def _ship_one(self, each: Log) -> None:
        """Send one log as far as it goes; remove it when it is closed and acknowledged to its end."""
        name = LogName(self._settings.origin, each.name)
        while True:
            start = self._acknowledged.get(each.name, 0)
            if start >= each.size:
                break
            data = read_at(each, start, min(self._settings.batch_size, each.size - start))
            at_end = each.closed and start + len(data) >= each.size
            made = cut(name, start, data, at_end, self._settings.batch_size)
            if made is None:
                return
            receipt = await self._send(made.batch)
            self._acknowledged[each.name] = receipt.acknowledged
            if receipt.counted:
                counters.LINES.inc(made.lines)
                counters.BROKEN.inc(made.broken)
            elif receipt.acknowledged == start:
                raise NotAcknowledgedError(f"the ledger neither counted {made.batch.id} nor knows it")
        if start > each.size:
            log.error("the ledger has counted more of a log than there is", log=str(each.path), acknowledged=start)
        elif each.closed:
            each.path.unlink(missing_ok=True)
            self._acknowledged.pop(each.name, None)

    async def _rotate(self) -> None:
        """Set a large log aside. Envoy is told until it writes a new one, also after a restart of this process."""
        current = self._settings.current
        if current.exists() and current.stat().st_size >= self._settings.rotate_size:
            self._logs.set_aside()
        self._progress.rotate(self._settings.rotate_size)
        if self._logs.to_be_reopened() or self._progress.to_be_reopened():
            try:
                await self._reopen()
            except NotReopenedError as error:
                log.warning("Envoy did not open its log anew: it is told again", error=str(error))

    def _bound(self) -> None:
        """Give up the oldest closed logs when too much is kept, and say so with all that it takes to mend the bill."""
        logs = self._logs.present()
        kept = sum(each.size for each in logs)
        for each in logs:
            if kept <= self._settings.largest_backlog or not each.closed:
                break
            self._give_up(each)
            kept -= each.size
        waiting = sum(max(0, each.size - self._acknowledged.get(each.name, 0)) for each in self._logs.present())
        counters.WAITING.set(waiting)

    def _give_up(self, each: Log) -> None:
        sums: dict[str, dict[str, int]] = {}
        start = self._acknowledged.pop(each.name, 0)
        while start < each.size:
            data = read_at(each, start, self._settings.batch_size)
            made = cut(
                LogName(self._settings.origin, each.name),
                start,
                data,
                start + len(data) >= each.size,
                self._settings.batch_size,
            )
            if made is None:
                break
            for row in made.batch.rows:
                account = sums.setdefault(row.account, dict.fromkeys(SUMS, 0))
                for name in SUMS:
                    account[name] += getattr(row, name)
            start = made.batch.end
        counters.DROPPED.inc(each.size)
        log.error("usage is given up: the ledger was away too long", log=str(each.path), bytes=each.size, accounts=sums)
        each.path.unlink(missing_ok=True)
