"""Limits counted in a store: the table's answers, tokens charged when answers end, and what holds while it is away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from maas_operator.gateway import counters, sharing
from maas_operator.gateway.facts import Facts, Limits
from tests.cluster.pki import Authority
from tests.gateway.backend import Backend
from tests.gateway.gateway import Answer, Gateway
from tests.gateway.scene import key, names, service
from tests.gateway.store import PASSWORD, RateLimitService, Store, servers

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKENS = Limits(None, 6000)


@pytest.fixture(params=sorted(servers()))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """With TLS and a password."""
    return Store(tmp_path, servers()[request.param], Authority(tmp_path / "authority"))


def facts_of(engine: Backend) -> Facts:
    return Facts(
        services=(
            service("chat", engine),
            service("qps", engine, qps=1),
            service("minutely", engine, limits=Limits(60)),
            service("spent", engine, limits=TOKENS),
        ),
        keys=(
            key("key-a"),
            key("key-b"),
            key("key-minutely", limits=Limits(60)),
            key("key-few", limits=Limits(2)),
            key("key-spent", limits=TOKENS),
            key("key-stream", limits=Limits(None, 100)),
        ),
        shared=True,
    )


@asynccontextmanager
async def limited(store: Store, directory: Path) -> AsyncIterator[tuple[Gateway, Backend, RateLimitService]]:
    limiter = RateLimitService(directory, store)
    try:
        store.start()
        limiter.start()
        async with (
            Backend(*names("chat", "qps", "minutely", "spent")) as engine,
            Gateway(facts_of(engine), rate_limit_service=limiter.address) as gateway,
        ):
            yield gateway, engine, limiter
    finally:
        limiter.kill()
        store.kill()


async def refused(gateway: Gateway, text: str, model: str, code: str) -> Answer:
    """The first refusal of those that come at once."""
    for _ in range(4):
        if (answer := await gateway.chat(text, model)).status == 429:
            assert answer.code == code
            assert answer.json["request_id"] == answer.headers["x-request-id"]
            assert not [name for name in answer.headers if name.lower().startswith("x-maas-")]
            return answer
        assert answer.status == 200, answer
        assert not [name for name in answer.headers if name.lower().startswith(("x-maas-", "x-ratelimit-"))]
    raise AssertionError("nothing was refused")


def waits(answer: Answer, what: str) -> tuple[str, str, bool]:
    """The limit, what is left of it, and whether both headers that say how long to wait say the same."""
    headers = answer.headers
    same = headers[f"x-ratelimit-reset-{what}"] == f"{headers['retry-after']}s"
    return headers[f"x-ratelimit-limit-{what}"], headers[f"x-ratelimit-remaining-{what}"], same


async def test_81101_81103_and_0308_as_the_table_says_counted_in_a_store(store: Store, tmp_path: Path) -> None:
    async with limited(store, tmp_path) as (gateway, _, limiter):
        of_key = await refused(gateway, "key-minutely", "chat", "ModelArts.81101")
        assert waits(of_key, "requests") == ("60", "0", True)
        assert "60 times per minute" in of_key.json["error_msg"]
        of_service = await refused(gateway, "key-a", "minutely", "ModelArts.81101")
        assert waits(of_service, "requests") == ("60", "0", True)
        few = await refused(gateway, "key-few", "chat", "ModelArts.81101")
        assert 1 <= int(few.headers["retry-after"]) <= 60
        qps = await refused(gateway, "key-a", "qps", "APIG.0308")
        assert qps.headers["retry-after"] == "1"
        for text, model in (("key-spent", "chat"), ("key-a", "spent")):
            assert (await gateway.chat(text, model, max_tokens=TOKENS.tokens_per_minute)).status == 200

            async def over(text: str = text, model: str = model) -> bool:
                return (await gateway.chat(text, model)).status == 429

            await gateway.until(over)
            tokens = await refused(gateway, text, model, "ModelArts.81103")
            assert waits(tokens, "tokens") == ("6000", "0", True)
            assert 1 <= int(tokens.headers["retry-after"]) <= 60
        assert (await gateway.chat("key-b", "chat")).status == 200, "each has windows of its own"
        assert PASSWORD not in limiter.said()


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_81103_a_stream_is_charged_when_it_ends_whoever_ends_it(
    store: Store, tmp_path: Path, hangs_up: bool
) -> None:
    async with limited(store, tmp_path) as (gateway, engine, _):
        engine.delay = 0.002
        body = {"model": "chat", "messages": [], "stream": True, "max_tokens": 400 if hangs_up else 100}
        headers = {"Authorization": "Bearer key-stream"}
        async with gateway.client.post("/v1/chat/completions", json=body, headers=headers) as answer:
            words = 0
            async for chunk in answer.content.iter_any():
                words += chunk.count(b"word ")
                if hangs_up and words > 100:
                    break

        async def over() -> bool:
            return (await gateway.chat("key-stream", "chat", max_tokens=1)).code == "ModelArts.81103"

        await gateway.until(over, 1)


async def test_81101_with_the_store_away_each_replica_holds_the_limit_and_none_is_down(
    store: Store, tmp_path: Path
) -> None:
    async with limited(store, tmp_path) as (gateway, _, limiter):
        admin = f"http://127.0.0.1:{gateway.settings.admin_port}"
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(sharing.watch(session, admin))

            async def shared() -> bool:
                return bool(counters.SHARED._value.get())

            async def alone() -> bool:
                await gateway.chat("key-few", "chat")
                return not await shared()

            await gateway.until(shared)
            store.kill()
            begun, answers = time.monotonic(), []
            while time.monotonic() - begun < 4:
                answers.append(await gateway.chat("key-minutely", "chat"))
            assert {answer.status for answer in answers} == {200, 429}
            assert {answer.code for answer in answers} == {None, "ModelArts.81101"}
            assert sum(answer.status == 200 for answer in answers) <= 2 + 4 + 1
            await gateway.until(alone)
            limiter.kill()
            assert (await gateway.chat("key-b", "chat")).status == 200
            store.start()
            limiter.start()
            await gateway.until(shared, 30)
            assert (await refused(gateway, "key-a", "qps", "APIG.0308")).headers["retry-after"] == "1"
            watching.cancel()
