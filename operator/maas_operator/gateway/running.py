"""The agent as a process runs it: facts in, Envoy's files and the agent's answers out."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiohttp
from aiohttp import web

from maas_operator.gateway import waking
from maas_operator.gateway.agent import Agent
from maas_operator.gateway.envoy.listener import MAX_HEAD_KIB, OUR_HEAD_KIB
from maas_operator.gateway.envoy.names import LOOPBACK
from maas_operator.gateway.facts import Facts
from maas_operator.gateway.keeping import Keeper
from maas_operator.gateway.memory import lasting
from maas_operator.gateway.publishing import Publisher
from maas_operator.gateway.settings import GatewaySettings
from maas_operator.gateway.signing import SigningKey
from maas_operator.gateway.traffic import Requests, follow_under_way
from maas_operator.gateway.waking import Wake
from maas_operator.guard import guarded, kept_going

T = TypeVar("T")

NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
"""Streams last; Envoy gives up on silent ones."""


HEAD = (MAX_HEAD_KIB + OUR_HEAD_KIB) << 10
"""Bytes of a request's head that Envoy lets through, in one header or in several."""


@asynccontextmanager
async def answering(settings: GatewaySettings, publisher: Publisher) -> AsyncIterator[None]:
    """The agent answers on loopback; what it does for a client ends when that hangs up. Raises OSError where the port
    is taken."""
    async with aiohttp.ClientSession(timeout=NO_TIMEOUT, connector=aiohttp.TCPConnector(limit=0)) as http:
        inner = f"http://{LOOPBACK}:{settings.inner_port}"
        onward = f"http://{LOOPBACK}:{settings.onward_port}"
        keeper = Keeper(publisher.holder, settings.holding.keep_alive_streams, http, onward)
        agent = Agent(
            settings=settings,
            facts=lambda: publisher.facts,
            signing=lambda: publisher.signing,
            come=publisher.come,
            holder=publisher.holder,
            keeper=keeper,
            http=http,
            inner=inner,
        )
        runner = web.AppRunner(
            agent.app(), access_log=None, handler_cancellation=True, max_line_size=HEAD, max_field_size=HEAD
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, settings.agent_port).start()
            yield
        finally:
            await runner.cleanup()


async def run(
    settings: GatewaySettings,
    folder: Path,
    access_log: Path,
    facts: AsyncIterator[Facts],
    signing: AsyncIterator[tuple[SigningKey, ...]],
    wake: Wake,
    requests: Requests,
) -> None:
    """Keep Envoy's files as the facts say, until cancelled; while there are none, as was last known. Envoy may start
    when bootstrap.json is there: that is after the first facts, so that a gateway that has seen nothing yet does not
    refuse what it should let through."""
    publisher = Publisher(settings, folder, access_log, requests)
    requests.held = publisher.holder.held
    facts = lasting(facts, publisher.recall())
    publisher.put(await anext(facts))
    publisher.sign_with(await anext(signing))
    publisher.begin()
    async with answering(settings, publisher), asyncio.TaskGroup() as tasks:
        tasks.create_task(publisher.run())
        woken = partial(waking.run, publisher.calls, publisher.holder.held, lambda: publisher.facts, wake)
        tasks.create_task(kept_going("waking", woken))
        under_way = partial(follow_under_way, requests, access_log, time.monotonic)
        tasks.create_task(kept_going("under way", under_way))
        tasks.create_task(_take_over(signing, publisher.sign_with))
        await _take_over(facts, publisher.put)


async def _take_over(values: AsyncIterator[T], take: Callable[[T], None]) -> None:
    async for value in values:
        with guarded("taking over"):
            take(value)
