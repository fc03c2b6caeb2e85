"""Keys (M22) and routes, many of them: what a change costs, and how soon it counts."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from maas_operator.api.modelservice import Balancing
from maas_operator.gateway.facts import Facts, Key
from tests.gateway.backend import Backend
from tests.gateway.gateway import Gateway, digest
from tests.gateway.scene import key, service

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEYS = 30_000
SERVICES = 5_000


def many_keys() -> tuple[Key, ...]:
    return tuple(Key(f"team-{n % 1000}", f"key-{n}", f"uid-{n}", digest(f"key-{n}")) for n in range(KEYS))


@asynccontextmanager
async def calling(gateway: Gateway, text: str, model: str) -> AsyncIterator[list[float]]:
    """Somebody calls all the time; yields the seconds that their calls took. None may fail."""
    taken: list[float] = []
    done = asyncio.Event()

    async def call() -> None:
        while not done.is_set():
            begun = time.monotonic()
            answer = await gateway.chat(text, model)
            taken.append(time.monotonic() - begun)
            assert answer.status == 200, answer

    caller = asyncio.create_task(call())
    yield taken
    done.set()
    await caller


async def test_m22_a_key_comes_and_goes_in_under_a_second_among_30000(engine: Backend) -> None:
    chat = service("chat", engine, shared_with_all=True)
    facts = Facts(services=(chat,), keys=many_keys())
    async with Gateway(facts) as gateway, calling(gateway, "key-1", "chat") as taken:
        assert (await gateway.chat("key-29999", "chat")).status == 200
        begun = time.monotonic()
        gateway.put(replace(facts, keys=facts.keys[:-1]))

        async def gone() -> bool:
            return (await gateway.chat("key-29999", "chat")).code == "ModelArts.81003"

        await gateway.until(gone)
        revoked = time.monotonic() - begun
        begun = time.monotonic()
        gateway.put(replace(facts, keys=(*facts.keys, key("fresh"))))

        async def there() -> bool:
            return (await gateway.chat("fresh", "chat")).status == 200

        await gateway.until(there)
        made = time.monotonic() - begun
    print(f"revoked in {revoked:.3f} s, made in {made:.3f} s, slowest call {max(taken):.3f} s")
    assert revoked < 1
    assert made < 1


async def test_m17_a_route_among_5000_is_found_and_changed(engine: Backend) -> None:
    services = tuple(service(f"s{n}", engine, namespace=f"team-{n % 500}") for n in range(SERVICES))
    last = service("chat", engine)
    facts = Facts(services=(*services, last), keys=(key("key-a"), key("key-7", account="team-7")))
    async with Gateway(facts) as gateway, calling(gateway, "key-a", "chat"):
        assert (await gateway.chat("key-7", "s7")).status == 404, "the engine's own: it does not serve it"
        assert (await gateway.chat("key-7", "s8")).code == "ModelArts.81009"
        begun = time.monotonic()
        gateway.put(replace(facts, services=(*services, last, service("lent", engine))))

        async def there() -> bool:
            return (await gateway.chat("key-a", "lent")).status == 200

        await gateway.until(there)
        live = time.monotonic() - begun
    print(f"a new service among {SERVICES} is live in {live:.3f} s")
    assert live < 5


async def test_a_stream_outlives_its_services_end(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Gateway(facts) as gateway:
        engine.delay = 0.1
        try:
            stream = asyncio.create_task(gateway.chat("key-a", "chat", stream=True, max_tokens=15))
            await asyncio.sleep(0.3)
            gateway.put(replace(facts, services=()))

            async def gone() -> bool:
                return (await gateway.chat("key-a", "chat")).code == "ModelArts.81009"

            await gateway.until(gone)
            assert not stream.done()
            assert len((await stream).chunks) == 16
        finally:
            engine.delay = 0


async def test_requests_go_to_the_instances_that_are_there(engine: Backend) -> None:
    async with Backend("chat") as one, Backend("chat") as two:
        facts = Facts(services=(service("chat", one, two),), keys=(key("key-a"),))
        async with Gateway(facts) as gateway:
            for _ in range(30):
                await gateway.chat("key-a", "chat")
            assert len(one.asked) + len(two.asked) == 30
            assert min(len(one.asked), len(two.asked)) > 5
            gateway.put(replace(facts, services=(service("chat", two),)))
            await asyncio.sleep(0.5)
            before = len(one.asked)
            for _ in range(10):
                await gateway.chat("key-a", "chat")
            assert len(one.asked) == before


async def test_a_request_is_tried_again_only_where_no_byte_was_sent() -> None:
    async with Backend("chat") as one:
        gone = replace(service("chat"), endpoints=(("127.0.0.1", 1), one.endpoint))
        async with Gateway(Facts(services=(gone,), keys=(key("key-a"),))) as gateway:
            answers = [await gateway.chat("key-a", "chat") for _ in range(20)]
            assert {answer.status for answer in answers} == {200}
            one.failing = True
            asked = len(one.paths)
            assert (await gateway.chat("key-a", "chat")).status == 500
            assert len(one.paths) == asked + 1


async def test_a_failing_instance_is_left_out_for_a_while() -> None:
    async with Backend("chat") as good, Backend("chat") as bad:
        bad.failing = True
        facts = Facts(services=(service("chat", good, bad),), keys=(key("key-a"),))
        async with Gateway(facts) as gateway:
            for _ in range(40):
                await gateway.chat("key-a", "chat")
            await asyncio.sleep(1.2)
            answers = [await gateway.chat("key-a", "chat") for _ in range(20)]
            assert {answer.status for answer in answers} == {200}


async def test_prefix_affinity_keeps_a_conversation_with_its_instance() -> None:
    async with Backend("chat") as one, Backend("chat") as two, Backend("chat") as three:
        engines = (one, two, three)
        served = replace(service("chat", *engines), balancing=Balancing.PREFIX_AFFINITY)
        async with Gateway(Facts(services=(served,), keys=(key("key-a"),))) as gateway:
            for talk in range(12):
                turns = [{"role": "system", "content": "be [kind]"}, {"role": "user", "content": f"talk {talk}"}]
                for turn in range(4):
                    body = {"messages": turns, "model": "chat", "temperature": 0.5, "stream": turn % 2 == 1}
                    answer = await gateway.call(
                        "POST", "/v1/chat/completions", headers={"Authorization": "Bearer key-a"}, json=body
                    )
                    assert answer.status == 200
                    turns += [{"role": "assistant", "content": "yes"}, {"role": "user", "content": f"and {turn}"}]
        homes = [{each["messages"][1]["content"] for each in engine.asked} for engine in engines]
        assert sum(map(len, homes)) == 12, "no conversation is at two instances"
        assert all(homes), "and they are spread"


async def test_m22_the_last_key_is_refused_as_any_other_is_once_it_is_gone(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Gateway(facts) as gateway:
        assert (await gateway.chat("key-a", "chat")).status == 200
        gateway.put(replace(facts, keys=()))

        async def refused() -> bool:
            return (await gateway.chat("key-a", "chat")).code == "ModelArts.81003"

        await gateway.until(refused)
        assert (await gateway.chat("nobody", "chat")).code == "ModelArts.81003"
