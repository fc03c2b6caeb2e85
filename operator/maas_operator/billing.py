"""Telling the ledger what runs where, since when and until when, and what pools cost (M16). No reconcile waits for it.

All that is told is a fact which any operator reads alike, and may be told again: see docs/decisions/0017-billing.md.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import ValidationError

from maas_operator import metrics
from maas_operator.act.ledger import GATHER_SECONDS, LedgerClient, NotTakenError, Patience, UnfitError, in_parts
from maas_operator.api.billing import INTERVALS_BATCH, TARIFFS_BATCH, Facts, Interval, Tariff
from maas_operator.api.seen import PodSeen, PoolEdit
from maas_operator.decide import billing as decide
from maas_operator.watch.billed import Billed

EVERY_SECONDS = 60.0
"""Between two times that the ledger is told of all that runs. What went while no operator ran is billed until the last
of them."""
RECOUNT_SECONDS = 600.0
"""Between two looks whether the ledger has intervals open of which no instance is there."""
LOOK_SECONDS = 0.5
"""Between two looks, at the beginning, whether all pods have been seen."""
LAST_SECONDS = 2.0
"""What telling for the last time may take: an operator that ends has 4 s for everything."""
UNTOLD = 50_000
"""Ended intervals that are kept while the ledger is away; of more the oldest are dropped."""
LEFT_OUT = 10_000
"""Of what cannot be billed, how much is remembered, so that it is told once."""
LINE_TOLD = 300
"""Characters of a line of the ledger that are told, where it cannot be read."""

log = structlog.get_logger()

Item = TypeVar("Item")


class Billing:
    """One for the life of the process: what the ledger has not taken yet outlives the term in which it was seen."""

    def __init__(self, ledger: str, token: Path, clock: Callable[[], float] = time.time) -> None:
        self._ledger = LedgerClient(ledger, token)
        self._clock = clock
        self._ended: OrderedDict[str, Interval] = OrderedDict()
        self._tariffs: OrderedDict[tuple[str, int], Tariff] = OrderedDict()
        self._left_out = _LeftOut()

    async def run(self, billed: Billed, seen: Callable[[], bool]) -> None:
        """Tell until cancelled, as soon as all has been seen; and once more then."""
        metrics.BILLING_WAITING.set_function(lambda: len(self._ended))
        async with self._ledger:
            try:
                while not seen():  # noqa: ASYNC110 the watch has no event for it
                    await asyncio.sleep(LOOK_SECONDS)
                await self._keep_telling(billed)
            finally:
                self._take(billed)
                with suppress(NotTakenError, TimeoutError):
                    async with asyncio.timeout(LAST_SECONDS):
                        await self._tell(billed.here.values())

    async def _keep_telling(self, billed: Billed) -> None:
        loop, patience = asyncio.get_running_loop(), Patience("what runs", metrics.BILLING_FAILURES)
        recount_at = loop.time()
        while True:
            try:
                due = loop.time() + EVERY_SECONDS
                self._take(billed)
                await self._tell(billed.here.values())
                if loop.time() >= recount_at:
                    await self._recount(billed)
                    recount_at = loop.time() + RECOUNT_SECONDS
                metrics.BILLING_TOLD_AT.set_to_current_time()
                patience.taken()
                await self._tell_news(billed, due)
            except NotTakenError as error:
                self._take(billed)
                await patience.wait(error)

    async def _tell_news(self, billed: Billed, until: float) -> None:
        """Until then, tell of what comes and goes alone."""
        loop = asyncio.get_running_loop()
        while (left := until - loop.time()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await billed.changed.wait()
                    await asyncio.sleep(GATHER_SECONDS)
            billed.changed.clear()
            new = billed.take_new()
            self._take(billed)
            await self._tell(new)

    def _take(self, billed: Billed) -> None:
        """Take over what is to be told for as long as it has not been: what has ended, and what pools cost."""
        for instance in billed.take_ended():
            for interval in self._interval(instance.pod, partial(decide.ended, instance)):
                self._ended[interval.uid] = interval
        while len(self._ended) > UNTOLD:
            self._ended.popitem(last=False)
            metrics.BILLING_DROPPED.inc()
        self._price(billed.take_edits())

    def _price(self, edits: Iterable[PoolEdit]) -> None:
        for edit in edits:
            try:
                self._tariffs[edit.uid, edit.generation] = decide.tariff(edit)
            except ValidationError as error:  # its Ready condition says so, too
                self._left_out.note("pool", edit.name, edit.uid, error)

    def _interval(self, pod: PodSeen, make: Callable[[], Interval]) -> list[Interval]:
        """An instance's interval; none where its pod says what cannot be billed."""
        try:
            return [make()]
        except ValidationError as error:
            self._left_out.note("pod", f"{pod.namespace}/{pod.name}", pod.uid, error)
            return []

    async def _tell(self, instances: Iterable[PodSeen]) -> None:
        """Tell of prices, of what has ended, and of these instances. Raises NotTakenError."""
        for tariffs in _parts(list(self._tariffs.values()), TARIFFS_BATCH):
            await in_parts(tariffs, self._post_tariffs, self._unfit_tariff)
            for tariff in tariffs:
                self._tariffs.pop((tariff.uid, tariff.generation), None)
        for ended in _parts(list(self._ended.values()), INTERVALS_BATCH):
            await in_parts(ended, self._post_intervals, self._unfit_end)
            for interval in ended:
                self._ended.pop(interval.uid, None)
        now = int(self._clock())
        running = [each for pod in instances for each in self._interval(pod, partial(decide.running, pod, now))]
        for intervals in _parts(running, INTERVALS_BATCH):
            await in_parts(intervals, self._post_intervals, self._unfit_interval)

    async def _post_tariffs(self, tariffs: Sequence[Tariff]) -> None:
        await self._ledger.post("v1/intervals", Facts(tariffs=list(tariffs)))

    async def _post_intervals(self, intervals: Sequence[Interval]) -> None:
        await self._ledger.post("v1/intervals", Facts(intervals=list(intervals)))

    def _unfit_tariff(self, tariff: Tariff, error: UnfitError) -> None:
        self._left_out.note("tariff", tariff.pool, tariff.uid, error)

    def _unfit_interval(self, interval: Interval, error: UnfitError) -> None:
        self._left_out.note("interval", f"{interval.service}, pod {interval.uid}", interval.uid, error)

    def _unfit_end(self, interval: Interval, error: UnfitError) -> None:
        """It is dropped: the ledger closes what it has of it at the next recount, as of when it was last told of it."""
        metrics.BILLING_DROPPED.inc()
        self._unfit_interval(interval, error)

    async def _recount(self, billed: Billed) -> None:
        """Have the ledger close what is not there any more, and know all prices: it may be another one, or older, than
        it was. Raises NotTakenError."""
        open_ = [each for line in await self._ledger.lines("v1/intervals") for each in self._read(line)]
        self._take(billed)
        self._price(billed.pools)
        await self._tell(())  # an end that is known comes before the word that it is not
        lost = decide.lost(open_, billed.here)
        for gone in _parts(lost, INTERVALS_BATCH):
            await in_parts(gone, self._post_intervals, self._unfit_interval)

    def _read(self, line: str) -> list[Interval]:
        """An interval that the ledger has open; none where it says it in a way that is not known here."""
        try:
            return [Interval.model_validate_json(line)]
        except ValidationError as error:
            self._left_out.note("line", line[:LINE_TOLD], _uid(line), error)
            return []


class _LeftOut:
    """What cannot be billed: told in the log and counted, once for as long as the same is wrong with it."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, str], str] = OrderedDict()

    def note(self, what: str, name: str, uid: str, error: ValidationError | UnfitError) -> None:
        """It is left out."""
        words = _words(error)
        before, self._told[what, uid] = self._told.pop((what, uid), None), words
        if len(self._told) > LEFT_OUT:
            self._told.popitem(last=False)
        if words != before:
            metrics.BILLING_LEFT_OUT.labels(what).inc()
            log.error("cannot be billed, and is left out", what=what, name=name, error=words)


def _words(error: ValidationError | UnfitError) -> str:
    if isinstance(error, UnfitError):
        return f"the ledger cannot read it (is it as new as the operator?): {error}"
    told = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in told)


def _uid(line: str) -> str:
    """Of the pod that a line of the ledger is on; the line itself where it does not say."""
    try:
        return str(json.loads(line)["uid"])
    except (ValueError, KeyError, TypeError):
        return line


def _parts(items: Sequence[Item], most: int) -> Iterable[list[Item]]:
    for first in range(0, len(items), most):
        yield list(items[first : first + most])
