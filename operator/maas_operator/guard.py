"""What keeps the tasks of a process going: an error that nobody foresaw ends a round of one of them, and nothing else.

It is logged with its traceback and counted (maas_operator_task_failures_total), and the task tries again: a replica
that ends for it would hand the same error to the next. What can be foreseen is dealt with where it arises.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog

from maas_operator import metrics

FIRST_RETRY_SECONDS = 1.0
"""Until a task that has failed is begun again; doubled with each failure on end."""
LONGEST_RETRY_SECONDS = 60.0
"""The longest such pause. A task that went on for longer than this before it failed is begun again after the first."""

log = structlog.get_logger()


@contextmanager
def guarded(task: str) -> Iterator[None]:
    """A round of a task: its errors go no further than this. A task that is being cancelled ends all the same, also
    where tidying up fails."""
    try:
        yield
    except Exception as error:
        metrics.TASK_FAILURES.labels(task).inc()
        log.exception("a task failed: it is tried again", task=task)
        current = asyncio.current_task()
        if current and current.cancelling():
            raise asyncio.CancelledError from error


async def kept_going(task: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do a task's work until it is done, or cancelled: after an error it is begun again."""
    loop, pause = asyncio.get_running_loop(), FIRST_RETRY_SECONDS
    while True:
        began = loop.time()
        with guarded(task):
            await work()
            return
        if loop.time() - began > LONGEST_RETRY_SECONDS:
            pause = FIRST_RETRY_SECONDS
        await asyncio.sleep(pause)
        pause = min(LONGEST_RETRY_SECONDS, 2 * pause)
