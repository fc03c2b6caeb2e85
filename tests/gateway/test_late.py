"""Requests that came while their service had an instance, and find none by the time that they are to go there: their
body was long on its way, or content control thought about it. They are held like those that came later."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from maas_operator.gateway.facts import Service
from tests.gateway.backend import PROMPT_TOKENS, Backend
from tests.gateway.dozing import ENDS, House, dozy, house
from tests.gateway.gateway import Answer

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT = "/v1/chat/completions"
ALIVE = {"X-SSE-Keep-Alive": "1"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def awake(dozing: Backend) -> AsyncIterator[House]:
    async with house(dozy(dozing)) as made:
        yield made


@asynccontextmanager
async def half_sent(there: House, engine: Backend, **more: object) -> AsyncIterator[asyncio.Task[Answer]]:
    """A request of which Envoy has the first half; the second comes at the end."""
    await there.see(dozy(engine))
    engine.asked.clear()
    begun, rest = asyncio.Event(), asyncio.Event()
    text = json.dumps({"model": "dozy", "messages": [], "pad": "x" * 2**20, **more}).encode()

    async def body() -> AsyncIterator[bytes]:
        yield text[: len(text) // 2]
        begun.set()
        await rest.wait()
        yield text[len(text) // 2 :]

    headers = {"Authorization": "Bearer key-a", "Content-Type": "application/json"} | (
        ALIVE if "stream" in more else {}
    )
    asked = asyncio.create_task(there.call("POST", CHAT, data=body(), headers=headers))
    await asyncio.wait_for(begun.wait(), 5)

    async def under_way() -> bool:
        return await there.stat("http.gateway.downstream_rq_active") >= 1

    await there.until(under_way)
    yield asked
    rest.set()


async def test_it_is_held_and_answered_and_metered_once(awake: House, dozing: Backend) -> None:
    async with half_sent(awake, dozing) as asked:
        await awake.see(dozy())
    await awake.until_held(1)
    await awake.see(dozy(dozing))
    answer = await asked
    assert answer.status == 200
    assert len(dozing.asked) == 1
    line = await awake.line(answer)
    assert (line.service_id, line.prompt_tokens, line.code) == ("id-dozy", PROMPT_TOKENS, 200)
    assert line.answered
    assert sum(line.request_id in text for text in awake.log.read_text().splitlines()) == 1


async def test_a_stream_with_comments_too(awake: House, dozing: Backend) -> None:
    async with half_sent(awake, dozing, stream=True, stream_options={"include_usage": True}) as asked:
        await awake.see(dozy())
    await awake.until_held(1)
    await awake.see(dozy(dozing))
    answer = await asked
    assert answer.status == 200
    assert answer.body.startswith(b": keep-alive")
    assert b"data: [DONE]" in answer.body


async def test_it_is_held_again_where_the_next_instance_is_gone_as_well(awake: House, dozing: Backend) -> None:
    async with half_sent(awake, dozing) as asked:
        await awake.see(dozy())
        await awake.see(dozy(dozing))
        await awake.see(dozy())
    await awake.until_held(1)
    assert not asked.done()
    await awake.see(dozy(dozing))
    assert (await asked).status == 200


@pytest.mark.parametrize(("then", "status", "code"), ENDS)
async def test_of_a_service_that_will_have_no_instance_it_is_refused_as_any(
    awake: House, dozing: Backend, then: Service | None, status: int, code: str
) -> None:
    async with half_sent(awake, dozing) as asked:
        await awake.see(dozy())
    await awake.until_held(1)
    await awake.see(*filter(None, [then]))
    answer = await asked
    assert (answer.status, answer.code) == (status, code)
    assert not [name for name in answer.headers if name.lower().startswith("x-maas-")]
    line = await awake.line(answer)
    assert line.upstream, "by way of Envoy's own listener"
    assert not line.answered
