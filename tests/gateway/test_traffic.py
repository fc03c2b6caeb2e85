"""What a replica tells the operator of the services' requests, from what a real Envoy writes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from maas_operator import serve
from maas_operator.api.traffic import PATH, ServiceTraffic, Traffic
from maas_operator.gateway import traffic
from maas_operator.gateway.access_log import PROGRESS, PROGRESS_LOG
from maas_operator.gateway.facts import Facts, Reach
from maas_operator.gateway.shipping.logs import Logs
from maas_operator.gateway.shipping.progress import Progress
from maas_operator.gateway.shipping.sending import reopener
from tests.gateway.backend import Backend, backends
from tests.gateway.scene import key, names, service
from tests.gateway.test_agent import House, house
from tests.processes import free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT, LENT = "id-chat", "id-lent"


class Told:
    """The agent's answer, as the operator gets it."""

    def __init__(self, gateway: House, url: str) -> None:
        self._gateway = gateway
        self._url = url

    async def ask(self) -> Traffic:
        async with aiohttp.request("GET", self._url) as answer:
            assert answer.status == 200, await answer.text()
            return Traffic.model_validate_json(await answer.read())

    async def until(self, true: Callable[[ServiceTraffic], bool], id_: str = CHAT) -> ServiceTraffic:
        """What is told of a service, once it is so."""
        found = ServiceTraffic()

        async def so() -> bool:
            nonlocal found
            found = (await self.ask()).services.get(id_, ServiceTraffic())
            return true(found)

        await self._gateway.until(so)
        return found


@asynccontextmanager
async def telling(facts: Facts) -> AsyncIterator[tuple[House, Told]]:
    """A gateway with its agent, and where that tells."""
    port = free_port()
    async with house(facts) as gateway, asyncio.TaskGroup() as tasks:
        follow = tasks.create_task(traffic.follow_under_way(gateway.requests, gateway.log, time.monotonic))
        app = serve.metrics()
        app.router.add_get(PATH, traffic.shown(gateway.requests, time.monotonic))
        async with serve.served((app, port), host="127.0.0.1"):
            yield gateway, Told(gateway, f"http://127.0.0.1:{port}{PATH}")
        follow.cancel()


def where(engine: Backend) -> str:
    return "{}:{}".format(*engine.endpoint)


async def test_what_reached_a_service_is_counted_and_what_was_refused_is_not(engine: Backend) -> None:
    facts = Facts(
        services=(
            service("chat", engine),
            service("lent", namespace="team-b", shared_with_all=True),
            service("stopped", reach=Reach.STOPPED),
            service("qps", engine, qps=1),
        ),
        keys=(key("key-a"),),
    )
    async with telling(facts) as (gateway, told):
        begun = time.time()
        statuses = [
            (await gateway.chat("key-a", model)).status for model in ("chat", "lent", "stopped", "nope", "chat")
        ]
        assert statuses == [200, 503, 401, 404, 200]
        limited = [(await gateway.chat("key-a", "qps")).status for _ in range(6)]
        assert set(limited) == {200, 429}
        assert (await gateway.models("key-a", "/v1/infers/id-chat/v1/models")).status == 200
        of_chat = await told.until(lambda each: each.requests == 2)
        assert of_chat.last_request
        assert begun - 1 < of_chat.last_request < time.time()
        await told.until(lambda each: each.requests == 1, LENT)
        await told.until(lambda each: each.requests == limited.count(200), "id-qps")
        said = await told.ask()
        assert set(said.services) == {CHAT, LENT, "id-qps"}
        assert begun - 60 < said.since < time.time()


async def test_m9_requests_under_way_are_told_by_instance_and_those_without_an_answer_apart() -> None:
    served = names("chat")
    async with (
        backends(Backend(*served), Backend(*served)) as (moving, hanging),
        telling(Facts(services=(service("chat", moving),), keys=(key("key-a"),))) as (gateway, told),
    ):
        moving.delay = 0.2
        stream = asyncio.create_task(gateway.chat("key-a", "chat", stream=True, max_tokens=1000))
        found = await told.until(lambda each: each.under_way == {where(moving): 1} and not each.unanswered)
        assert found.requests == 1, "it came, and it has not ended"

        hanging.silence = 1000
        gateway.publisher.put(Facts(services=(service("chat", hanging),), keys=(key("key-a"),)))
        await gateway.until(lambda: asks(gateway, hanging))
        waits = [asyncio.create_task(gateway.chat("key-a", "chat", stream=each)) for each in (True, False)]
        found = await told.until(lambda each: sum(each.unanswered.values()) >= 2)
        assert found.under_way.keys() == {where(moving), where(hanging)}
        assert found.unanswered.keys() == {where(hanging)}

        for each in (stream, *waits):
            each.cancel()
        await told.until(lambda each: not each.under_way)
        await told.until(lambda each: each.requests >= 3)


async def test_who_is_under_way_is_told_also_when_the_log_of_it_is_set_aside(engine: Backend) -> None:
    async with telling(Facts(services=(service("chat", engine),), keys=(key("key-a"),))) as (gateway, told):
        engine.delay = 0.2
        try:
            stream = asyncio.create_task(gateway.chat("key-a", "chat", stream=True, max_tokens=1000))
            await told.until(lambda each: each.under_way == {where(engine): 1})
            Progress(Logs(gateway.log)).rotate(1)
            async with aiohttp.ClientSession() as session:
                await reopener(session, f"http://127.0.0.1:{gateway.settings.admin_port}")()
            new = gateway.log.with_name(PROGRESS) / PROGRESS_LOG

            async def long_after() -> bool:
                assert (await told.ask()).services[CHAT].under_way == {where(engine): 1}
                return new.exists() and new.read_bytes().count(b"\n") > traffic.LATE_SECONDS

            await gateway.until(long_after)
            assert (await told.ask()).services[CHAT].requests == 1
            stream.cancel()
            await told.until(lambda each: not each.under_way)
            engine.delay = 0.0
            assert (await gateway.chat("key-a", "chat")).status == 200
            await told.until(lambda each: each.requests == 2)
        finally:
            engine.delay = 0.0


async def test_what_is_held_is_counted_as_it_comes_and_not_again_when_it_is_answered() -> None:
    asleep = service("chat", awaited=True)
    async with (
        backends(Backend(*names("chat"))) as (engine,),
        telling(Facts(services=(asleep,), keys=(key("key-a"),))) as (gateway, told),
    ):
        holder = gateway.publisher.holder
        gateway.requests.held = holder.held

        async def taken() -> bool:
            return await holder.envoy.number() == holder.envoy.told > 0

        await gateway.until(taken)
        begun = time.time()
        asked = [asyncio.create_task(gateway.chat("key-a", "chat", stream=each)) for each in (True, False)]
        found = await told.until(lambda each: each.held == len(asked))
        assert (found.requests, found.under_way) == (len(asked), {})
        assert found.last_request
        assert begun - 1 < found.last_request < time.time()
        await told.until(lambda each: lines_on(gateway) > len(asked))
        gateway.publisher.put(Facts(services=(service("chat", engine),), keys=(key("key-a"),)))
        assert [each.status for each in await asyncio.gather(*asked)] == [200, 200]
        assert (await gateway.chat("key-a", "chat")).status == 200
        await told.until(lambda each: each.requests == len(asked) + 1)
        assert not (await told.ask()).services[CHAT].held


def lines_on(gateway: House) -> int:
    """Lines on requests under way."""
    log = gateway.log.with_name(PROGRESS) / PROGRESS_LOG
    return log.read_bytes().count(b"\n") if log.exists() else 0


async def asks(gateway: House, engine: Backend) -> bool:
    """Whether a request reaches this engine; it is given up then."""
    before = len(engine.paths)
    asked = asyncio.create_task(gateway.chat("key-a", "chat"))
    await asyncio.wait({asked}, timeout=0.2)
    asked.cancel()
    return len(engine.paths) > before
