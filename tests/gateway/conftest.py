"""One Envoy and two canned engines for all tests that only ask."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.gateway.backend import Backend
from tests.gateway.gateway import Gateway
from tests.gateway.scene import SERVED, names, scene


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine() -> AsyncIterator[Backend]:
    async with Backend(*SERVED) as backend:
        yield backend


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def thinker() -> AsyncIterator[Backend]:
    async with Backend(*names("thinks"), reasoning=True) as backend:
        yield backend


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(engine: Backend, thinker: Backend) -> AsyncIterator[Gateway]:
    async with Gateway(scene(engine, thinker)) as running:
        yield running
