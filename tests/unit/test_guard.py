"""One error that nobody foresaw ends one round of one task: it is told, counted, and the task goes on."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from structlog.testing import capture_logs

from maas_operator import guard, metrics
from maas_operator.guard import guarded, kept_going

LIMIT = 10.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "FIRST_RETRY_SECONDS", 0.001)


def failures(task: str) -> float:
    counted: float = metrics.TASK_FAILURES.labels(task)._value.get()
    return counted


def sometimes(*errors: Exception | None) -> Callable[[], Awaitable[None]]:
    """Work that fails so; None: it is done."""
    left: Iterator[Exception | None] = iter(errors)

    async def work() -> None:
        if error := next(left):
            raise error

    return work


async def test_a_task_that_fails_is_told_counted_and_tried_again_and_stops_no_other() -> None:
    before, other = failures("odd"), asyncio.Event()
    with capture_logs() as logs:
        async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
            group.create_task(other.wait())
            await kept_going("odd", sometimes(KeyError("name"), ExceptionGroup("x", [ValueError()]), None))
            other.set()
    assert failures("odd") == before + 2
    assert [(each["task"], each["exc_info"]) for each in logs] == [("odd", True)] * 2


async def test_a_task_that_fails_for_ever_is_tried_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(guard, "FIRST_RETRY_SECONDS", 1.0)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with capture_logs():
        await kept_going("odd", sometimes(*[ValueError()] * 9, None))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_a_cancellation_passes() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(kept_going("odd", work))
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(LIMIT):
        await asyncio.wait({task})
    assert task.cancelled()


async def test_a_task_that_is_cancelled_ends_also_where_tidying_up_fails() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            raise KeyError("name")

    task = asyncio.create_task(kept_going("odd", work))
    await begun.wait()
    with capture_logs() as logs:
        task.cancel()
        async with asyncio.timeout(LIMIT):
            await asyncio.wait({task})
    assert task.cancelled()
    assert len(logs) == 1


async def test_a_time_limit_stays_one() -> None:
    with capture_logs(), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            with guarded("odd"):
                try:
                    await asyncio.Event().wait()
                finally:
                    raise KeyError("name")
