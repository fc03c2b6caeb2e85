"""What keeps a replica alive, and how it leaves: its bound on memory, whom it believes, its drain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import yaml

from maas_operator.gateway.facts import Facts
from tests.gateway.backend import Backend
from tests.gateway.gateway import Answer, Gateway
from tests.gateway.scene import key, service

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHART = Path(__file__).parents[1] / "chart" / "golden" / "default.yaml"
CHAT = "/v1/chat/completions"
GOOD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key-a\r\n"
HALF_SENT = GOOD + b"Content-Length: 9000000\r\n\r\n{" + b" " * 8_000_000
SMALLEST_HEAP = 64 * 2**20


def facts_of(engine: Backend) -> Facts:
    return Facts(services=(service("chat", engine),), keys=(key("key-a"),))


async def test_0203_at_its_bound_on_memory_a_replica_refuses_and_recovers(engine: Backend) -> None:
    async with Gateway(facts_of(engine), heap_bytes=SMALLEST_HEAP) as gateway:
        assert (await gateway.chat("key-a", "chat")).status == 200
        writers = []

        async def refused() -> bool:
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.settings.port)
            writers.append(writer)
            writer.write(HALF_SENT)
            with suppress(ConnectionError):  # at its bound it may close the connection before it has read the whole
                await writer.drain()
            answer = await gateway.chat("key-a", "chat")
            return (answer.status, answer.code) == (503, "APIG.0203")

        await gateway.until(refused)
        assert len(writers) > SMALLEST_HEAP // (2 * len(HALF_SENT)), "refused long before the bound"
        for writer in writers:
            writer.close()

        async def served() -> bool:
            return (await gateway.chat("key-a", "chat")).status == 200

        await gateway.until(served)


@pytest.mark.parametrize(
    ("trusted", "forwarded", "same"),
    [
        (0, ["192.0.2.1", "192.0.2.2"], True),
        (1, ["192.0.2.1", "192.0.2.2"], False),
        (1, ["192.0.2.1, 192.0.2.9", "192.0.2.2, 192.0.2.9"], True),
        (2, ["192.0.2.1, 192.0.2.9", "192.0.2.2, 192.0.2.9"], False),
        (2, ["192.0.2.8, 192.0.2.1, 192.0.2.9", "192.0.2.7, 192.0.2.1, 192.0.2.8"], True),
    ],
)
async def test_0308_x_forwarded_for_is_believed_of_the_last_proxies_alone(
    engine: Backend, trusted: int, forwarded: list[str], same: bool
) -> None:
    async with Gateway(facts_of(engine), requests_per_minute_per_address=1, trusted_proxies=trusted) as gateway:
        codes = [(await call(gateway, each)).code for each in forwarded]
    assert codes == ["ModelArts.81003", "APIG.0308" if same else "ModelArts.81003"]


async def call(gateway: Gateway, forwarded: str) -> Answer:
    headers = {"Authorization": "Bearer nobody", "X-Forwarded-For": forwarded}
    return await gateway.call("POST", CHAT, headers=headers, json={})


@pytest_asyncio.fixture(loop_scope="session")
async def leaving(engine: Backend, tmp_path: Path) -> AsyncIterator[tuple[Gateway, Path]]:
    """A replica, and the chart's script that its pod runs before it ends."""
    settings = next(
        each["data"] for each in yaml.safe_load_all(CHART.read_text()) if "drain.sh" in (each.get("data") or {})
    )
    async with Gateway(facts_of(engine)) as gateway:
        script = tmp_path / "drain.sh"
        script.write_text(settings["drain.sh"].replace("127.0.0.1/9901", f"127.0.0.1/{gateway.settings.admin_port}"))
        yield gateway, script


async def stream(gateway: Gateway, words: int) -> Answer:
    headers = {"Authorization": "Bearer key-a"}
    body = {"model": "chat", "messages": [], "stream": True, "max_tokens": words}
    return await gateway.call("POST", CHAT, headers=headers, json=body)


async def test_a_leaving_replica_ends_when_its_last_stream_has(engine: Backend, leaving: tuple[Gateway, Path]) -> None:
    gateway, script = leaving
    engine.delay = 0.5
    try:
        asked = len(engine.asked)
        streaming = asyncio.create_task(stream(gateway, 14))

        async def begun() -> bool:
            return len(engine.asked) > asked

        await gateway.until(begun)
        drain = await asyncio.create_subprocess_exec("bash", str(script))

        async def told() -> bool:
            answer = await gateway.call("GET", "/nothing")
            return bool(answer.headers.get("connection") == "close")

        await gateway.until(told)
        await drain.wait()
        answer = await asyncio.wait_for(streaming, 1)  # else it left before its stream had ended
        assert answer.status == 200
        assert answer.chunks
        assert drain.returncode == 0
    finally:
        engine.delay = 0.0


async def test_what_lasts_longer_than_the_drain_is_not_waited_for(
    engine: Backend, leaving: tuple[Gateway, Path]
) -> None:
    gateway, script = leaving
    script.write_text(script.read_text().replace("-lt 1200 ]", "-lt 6 ]"))
    engine.delay = 1.0
    try:
        async with aiohttp.ClientSession() as session:
            body = {"model": "chat", "messages": [], "stream": True, "max_tokens": 60}
            headers = {"Authorization": "Bearer key-a"}
            async with session.post(f"{gateway.url}{CHAT}", headers=headers, json=body) as answer:
                assert answer.status == 200
                drain = await asyncio.create_subprocess_exec("bash", str(script))
                async with asyncio.timeout(15):
                    assert await drain.wait() == 0
    finally:
        engine.delay = 0.0
