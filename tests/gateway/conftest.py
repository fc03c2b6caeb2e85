"""One Envoy and two canned engines for all tests that only ask; another Envoy that asks content control."""

import resource
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gateway.backend import Backend
from tests.gateway.control import Control, controlled
from tests.gateway.dozing import House, dozy, house
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


OPEN_FILES = 20_000
"""For thousands of connections, on both sides."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(engine: Backend, thinker: Backend) -> AsyncIterator[Gateway]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, OPEN_FILES)), hard))
    async with Gateway(scene(engine, thinker)) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def asking(engine: Backend) -> AsyncIterator[tuple[Gateway, Control]]:
    async with controlled(engine, timeout_seconds=60) as made:
        yield made


@pytest.fixture
def both(asking: tuple[Gateway, Control]) -> tuple[Gateway, Control]:
    """A gateway that asks, and whom it asks: it allows all until told otherwise."""
    gateway, control = asking
    control.forget()
    return gateway, control


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dozing() -> AsyncIterator[Backend]:
    async with Backend("dozy", "dozy-model") as backend:
        yield backend


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def holding() -> AsyncIterator[House]:
    # less than what requests are held for here: neither a slow client's bound nor a silent instance's ends them
    async with house(dozy(), body_seconds=1, backend_seconds=2) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def asleep(holding: House, dozing: Backend) -> House:
    """A gateway, and a service that has no instance."""
    dozing.asked.clear()
    dozing.headers.clear()
    await holding.see(dozy())
    return holding
