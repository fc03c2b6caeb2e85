"""A gateway with its agent, and a service that has no instance now and will have one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from maas_operator.gateway.facts import Facts, Product, Reach, Service
from maas_operator.gateway.publishing import Publisher
from maas_operator.gateway.running import answering
from tests.gateway.backend import Backend
from tests.gateway.gateway import Answer, Gateway
from tests.gateway.scene import key, service
from tests.processes import free_port

LARGE = "x" * 20_000_000
PRODUCT = Product("dozy-model", "97a75a6d", "maas-model-dozy", "acme/dozy")


class House(Gateway):
    """A gateway with its agent, which can be away."""

    publisher: Publisher
    agent: AsyncExitStack

    async def begin(self) -> None:
        """The agent starts."""
        self.agent = AsyncExitStack()
        self.publisher = Publisher(self.settings, self.files.folder, self.log)
        self.publisher.put(self.facts)
        await self.agent.enter_async_context(answering(self.settings, self.publisher))
        task = asyncio.create_task(self.publisher.run())
        self.agent.push_async_callback(ended, task)

    async def see(self, *services: Service) -> None:
        """These services are there now, and Envoy knows it."""
        self.facts = replace(self.facts, services=services)
        holder = self.publisher.holder
        before = holder.envoy.told
        self.publisher.put(self.facts)

        async def taken() -> bool:
            return holder.envoy.told > before and await holder.envoy.number() == holder.envoy.told

        await self.until(taken)

    def ask(self, number: int = 0, model: str = "dozy", key_: str = "key-a", **body: Any) -> asyncio.Task[Answer]:
        return asyncio.create_task(self.chat(key_, model, user=str(number), **body))

    async def wake(self, engine: Backend, asked: list[asyncio.Task[Answer]]) -> list[Answer]:
        """The answers, of an engine that takes a moment for each: so each request has a connection of its own."""
        engine.silence = 0.5
        try:
            await self.see(dozy(engine))
            return await asyncio.gather(*asked)
        finally:
            engine.silence = 0.0

    async def until_held(self, count: int, id_: str = "id-dozy") -> None:
        async def there() -> bool:
            return self.publisher.holder.held().get(id_, 0) == count

        await self.until(there)

    async def held(self, count: int, **options: Any) -> list[asyncio.Task[Answer]]:
        """So many requests, each of which came after the one before."""
        asked = []
        already = self.publisher.holder.held().get("id-dozy", 0)
        for number in range(count):
            asked.append(self.ask(number, **options))
            await self.until_held(already + number + 1)
        return asked


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def dozy(*engines: Backend, **fields: Any) -> Service:
    return service("dozy", *engines, **{"awaited": True, **fields})


ENDS = [
    pytest.param(dozy(awaited=False), 503, "APIG.0203", id="fails-0203"),
    pytest.param(dozy(awaited=False, reach=Reach.STOPPED), 401, "ModelArts.81004", id="stops-81004"),
    pytest.param(dozy(awaited=False, reach=Reach.FROZEN), 401, "ModelArts.81006", id="freezes-81006"),
    pytest.param(None, 404, "ModelArts.81009", id="is-deleted-81009"),
]
"""What becomes of a service that is not waited for any more, and of the requests that are held for it."""


@asynccontextmanager
async def house(*services: Service, **settings: Any) -> AsyncIterator[House]:
    keys = (key("key-a"), key("key-b", account="team-b"), key("key-only", services=("dozy",)))
    async with House(
        Facts(services=services, keys=keys, products=(PRODUCT,)), agent_port=free_port(), **settings
    ) as made:
        await made.begin()
        try:
            await made.see(*services)
            yield made
        finally:
            await made.agent.aclose()
