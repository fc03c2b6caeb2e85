"""The agent as a process runs it: facts in, Envoy's files and the agent's answers out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp
from aiohttp import web

from maas_operator.gateway.agent import Agent
from maas_operator.gateway.envoy.names import LOOPBACK
from maas_operator.gateway.facts import Facts
from maas_operator.gateway.memory import lasting
from maas_operator.gateway.publishing import Publisher
from maas_operator.gateway.settings import GatewaySettings
from maas_operator.gateway.signing import SigningKey

T = TypeVar("T")

NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
"""Streams last; Envoy gives up on silent ones."""


@asynccontextmanager
async def answering(settings: GatewaySettings, publisher: Publisher) -> AsyncIterator[None]:
    """The agent answers on loopback. Raises OSError where the port is taken."""
    async with aiohttp.ClientSession(timeout=NO_TIMEOUT, connector=aiohttp.TCPConnector(limit=0)) as http:
        inner = f"http://{LOOPBACK}:{settings.inner_port}"
        agent = Agent(settings, lambda: publisher.facts, lambda: publisher.signing, http, inner)
        runner = web.AppRunner(agent.app(), access_log=None)
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
) -> None:
    """Keep Envoy's files as the facts say, until cancelled; while there are none, as was last known. Envoy may start
    when bootstrap.json is there: that is after the first facts, so that a gateway that has seen nothing yet does not
    refuse what it should let through."""
    publisher = Publisher(settings, folder, access_log)
    facts = lasting(facts, publisher.recall())
    publisher.put(await anext(facts))
    publisher.sign_with(await anext(signing))
    publisher.begin()
    async with answering(settings, publisher), asyncio.TaskGroup() as tasks:
        tasks.create_task(publisher.run())
        tasks.create_task(_take_over(signing, publisher.sign_with))
        await _take_over(facts, publisher.put)


async def _take_over(values: AsyncIterator[T], take: Callable[[T], None]) -> None:
    async for value in values:
        take(value)
