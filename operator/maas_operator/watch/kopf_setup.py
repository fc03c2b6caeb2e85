"""kopf, set up to watch and do nothing else."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import kopf

from maas_operator.api.seen import Manifest
from maas_operator.watch.watched import Watched

CHUNK = 250
"""Objects of one page of a listing: whole listings of 2,000 Deployments take 50 MB while they are read."""
IDLE_SECONDS = 0.05
"""How long kopf keeps an object's worker, and with it the object as it was read."""
RETRY_SECONDS = (1, 2, 5, 10)
"""Waits between tries of a request of kopf's; the last one for ever."""
END_SECONDS = 1.0
"""What kopf's tasks may take to end before they are asked again."""
END_TRIES = 10
_KOPF = Path(kopf.__file__).parent

Handle = Callable[[str | None, Manifest], None]
"""Takes an event: its type (None while listing, ADDED, MODIFIED, DELETED), and the object."""
NewSession = Callable[[aiohttp.TraceConfig], aiohttp.ClientSession]
"""Makes a session with the API server."""


class _ForEver:
    """Waits without end. kopf gives up, and ends all its watches, when one request has run out of waits: a kind that
    may not be listed, or an API server that is away for minutes, would stop everything."""

    def __iter__(self) -> Iterator[float]:
        yield from RETRY_SECONDS
        while True:
            yield RETRY_SECONDS[-1]


class _NothingStored(kopf.DiffBaseStorage):
    """kopf compares each object with its last-handled state, and copies it deeply for that, even where nobody asks:
    1.4 ms an event. With this, and the pages and idle times above, it is 0.45 ms, and 18 MB instead of 67 for 2,000
    Deployments."""

    def build(self, **_: Any) -> Any:
        return None

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


def settings() -> kopf.OperatorSettings:
    """kopf's settings: no events posted, no peering, no scanning, no giving up."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.scanning.disabled = True
    made.peering.standalone = True
    made.process.ultimate_exiting_timeout = None
    made.persistence.diffbase_storage = _NothingStored()
    made.queueing.idle_timeout = IDLE_SECONDS
    made.watching.chunk_size = CHUNK
    made.networking.error_backoffs = _ForEver()
    return made


def registry(
    server: str, session: Callable[[], aiohttp.ClientSession], watched: Iterable[Watched], handle: Handle
) -> kopf.OperatorRegistry:
    """kopf's handlers: one for each watched kind, and a login by a session of ours."""
    made = kopf.OperatorRegistry()

    @kopf.on.login(registry=made)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(aiohttp_session=session(), server=server)

    for each in watched:
        _watch(made, each, handle)
    return made


def _watch(made: kopf.OperatorRegistry, watched: Watched, handle: Handle) -> None:
    @kopf.on.event(watched.group, watched.version, watched.plural, registry=made, id=watched.plural)
    async def seen(event: kopf.RawEvent, **_: Any) -> None:
        handle(event["type"], event["object"])  # type: ignore[arg-type]


async def run(handlers: kopf.OperatorRegistry, started: Callable[[], None]) -> None:
    """Watch until cancelled. Raises what ends kopf: a kind that is no longer there, an answer that it does not know.

    Not kopf.operator() or kopf.run_tasks(): when they end, they cancel every task of the loop that is younger than
    they are, ours among them. spawn_tasks takes SIGTERM for itself; `started` is called at once after, to take it back.
    """
    tasks = await kopf.spawn_tasks(registry=handlers, settings=settings(), clusterwide=True)
    started()
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _end(tasks)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """End kopf's tasks, and the watches that it leaves behind when one of them fails: they would wait for ever to log
    in again. Asked more than once, since kopf now and then swallows a cancellation while it tidies up."""
    for _ in range(END_TRIES):
        left = {task for task in (*tasks, *filter(_of_kopf, asyncio.all_tasks())) if not task.done()}
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=END_SECONDS)


def _of_kopf(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and task is not asyncio.current_task() and Path(code.co_filename).is_relative_to(_KOPF)
