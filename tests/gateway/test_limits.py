"""Limits over 1, 2 and 4 replicas of the gateway: never more than the limit says, however the load falls."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from maas_operator.gateway.facts import Facts, Limits
from tests.gateway.backend import Backend
from tests.gateway.gateway import Gateway
from tests.gateway.scene import key, service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECONDS = 6
QPS = 40
BURST = 1
"""Seconds' worth of requests that a bucket holds at the start. Over a minute that is 1.7 %."""


async def load(gateways: list[Gateway], shares: list[float], model: str, per_second: float) -> int:
    """Requests that were let through, of those sent evenly over SECONDS."""
    passed = 0
    begun = time.monotonic()

    async def one(gateway: Gateway) -> None:
        nonlocal passed
        answer = await gateway.chat("key-a", model)
        passed += answer.status == 200

    async def send(gateway: Gateway, share: float) -> None:
        sent, tasks = 0, set()
        while (now := time.monotonic() - begun) < SECONDS:
            while sent < now * per_second * share:
                tasks.add(asyncio.create_task(one(gateway)))
                sent += 1
            await asyncio.sleep(0.005)
        await asyncio.gather(*tasks)

    await asyncio.gather(*(send(gateway, share) for gateway, share in zip(gateways, shares, strict=True)))
    return passed


async def start(stack: AsyncExitStack, facts: Facts, count: int) -> list[Gateway]:
    """So many replicas that know of each other."""
    gateways = [Gateway(facts) for _ in range(count)]
    replicas = tuple(("127.0.0.1", gateway.settings.port) for gateway in gateways)
    for gateway in gateways:
        gateway.facts = replace(facts, replicas=replicas)
        await stack.enter_async_context(gateway)
    return gateways


@pytest.mark.parametrize(("limit", "count"), [("qps", 1), ("qps", 2), ("qps", 4), ("key", 2), ("service", 4)])
async def test_81101_and_0308_hold_over_replicas(engine: Backend, limit: str, count: int) -> None:
    minute = Limits(QPS * 60)
    served = {
        "qps": service("qps", engine, qps=QPS),
        "key": service("chat", engine),
        "service": service("minutely", engine, limits=minute),
    }[limit]
    caller = key("key-a", limits=minute if limit == "key" else Limits())
    async with AsyncExitStack() as stack:
        gateways = await start(stack, Facts(services=(served,), keys=(caller,)), count)
        passed = await load(gateways, [1 / count] * count, served.name, QPS * 3)
    print(f"{limit} over {count}: {passed} of {QPS * SECONDS} allowed")
    assert passed <= QPS * (SECONDS + BURST) * 1.02
    assert passed >= QPS * SECONDS * 0.98


async def test_0308_holds_where_one_replica_gets_most(engine: Backend) -> None:
    async with AsyncExitStack() as stack:
        facts = Facts(services=(service("qps", engine, qps=QPS),), keys=(key("key-a"),))
        gateways = await start(stack, facts, 2)
        passed = await load(gateways, [0.8, 0.2], "qps", QPS * 3)
    print(f"80 to 20: {passed} of {QPS * SECONDS} allowed")
    assert passed <= QPS * (SECONDS + BURST) * 1.02


async def test_a_change_of_routes_or_keys_does_not_begin_a_bucket_anew(engine: Backend) -> None:
    facts = Facts(services=(service("minutely", engine, limits=Limits(3)),), keys=(key("key-a"),))
    async with Gateway(facts) as gateway:
        assert (await gateway.chat("key-a", "minutely")).status == 200
        changed = (*facts.services, service("chat", engine))
        gateway.put(replace(facts, services=changed, keys=(*facts.keys, key("key-b", limits=Limits(None, 5)))))

        async def live() -> bool:
            return (await gateway.chat("key-b", "chat")).status == 200

        await gateway.until(live)
        answer = await gateway.chat("key-a", "minutely")
        assert answer.code == "ModelArts.81101"
        assert answer.headers["retry-after"] == "20"


async def test_each_key_and_each_service_has_a_bucket_of_its_own(engine: Backend) -> None:
    one = Limits(60)
    facts = Facts(
        services=(service("chat", engine), service("qps", engine, qps=1), service("prefix", engine, qps=1)),
        keys=(key("key-a", limits=one), key("key-b", limits=one), key("key-c")),
    )
    async with Gateway(facts) as gateway:
        assert [(await gateway.chat(text, "chat")).status for text in ("key-a", "key-b", "key-a")] == [200, 200, 429]
        calls = [(await gateway.chat("key-c", model)).status for model in ("qps", "prefix", "qps", "chat")]
        assert calls == [200, 200, 429, 200]
