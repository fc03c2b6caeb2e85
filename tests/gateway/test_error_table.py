"""Every row of the table of errors, driven through a real Envoy and the agent. test_errors.py has the many ways in
which some of them can be written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from maas_operator.gateway.publishing import Publisher
from maas_operator.gateway.running import answering
from tests.gateway.backend import Backend
from tests.gateway.gateway import Answer, Gateway
from tests.gateway.table import ROWS, SERVED, Ask, Row, facts, lists
from tests.processes import free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOLD = ("retry-after", "allow", "x-ratelimit-")


class Doors:
    """A gateway for each setting that a row asks for."""

    def __init__(self, stack: AsyncExitStack, engine: Backend, silent: Backend) -> None:
        self._stack = stack
        self._facts = facts(engine, silent)
        self._open: dict[Any, Gateway] = {}

    async def with_settings(self, settings: tuple[tuple[str, Any], ...]) -> Gateway:
        if settings not in self._open:
            self._open[settings] = await self._start(**{"agent_port": free_port()} | dict(settings))
        return self._open[settings]

    async def _start(self, **settings: Any) -> Gateway:
        gateway = await self._stack.enter_async_context(Gateway(self._facts, **settings))
        if settings["agent_port"] > 1024:
            publisher = Publisher(gateway.settings, gateway.files.folder, gateway.log)
            publisher.put(self._facts)
            await self._stack.enter_async_context(answering(gateway.settings, publisher))
        return gateway


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def doors() -> AsyncIterator[Doors]:
    async with AsyncExitStack() as stack:
        engine, silent = Backend(*SERVED), Backend("silent")
        silent.silence = 5
        for each in (engine, silent):
            await stack.enter_async_context(each)
        yield Doors(stack, engine, silent)


async def send(gateway: Gateway, ask: Ask) -> Answer:
    headers = {} if ask.key is None else {"Authorization": f"{ask.scheme}{ask.key}"}
    headers |= {} if ask.comments is None else {"X-SSE-Keep-Alive": ask.comments}
    body = {"data": ask.body} if isinstance(ask.body, bytes) else {"json": ask.body}
    if ask.body is None:
        body = {}
    elif ask.body is ...:
        body = {"data": never_ends()}
    return await gateway.call(ask.method, ask.path, headers=headers, **body)


async def never_ends() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()


CASES = [pytest.param(row, ask, id=f"{row.id}-{ask}") for row in ROWS for ask in row.asks]


@pytest.mark.parametrize(("row", "ask"), CASES)
async def test_the_table_of_errors(doors: Doors, row: Row, ask: Ask) -> None:
    gateway = await doors.with_settings(row.settings)
    answer = await send(gateway, ask)
    for _ in range(row.tries - 1):
        if answer.status != 200:
            break
        answer = await send(gateway, ask)
    assert answer.status == row.status, answer
    id_ = answer.headers["x-request-id"]
    assert id_
    assert answer.json == (row.body | {"request_id": id_} if "request_id" in row.body else row.body)
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert {
        name.lower(): value for name, value in answer.headers.items() if name.lower().startswith(TOLD)
    } == row.headers


@pytest.mark.parametrize("key", ["key-once", "key-spent"])
async def test_m18_lists_are_not_limited(doors: Doors, key: str) -> None:
    gateway = await doors.with_settings(())
    for ask in lists(key) * 2:
        assert (await send(gateway, ask)).status == 200
