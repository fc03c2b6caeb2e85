"""Streams that get comments while they are held (issue: sleep and wake), through Envoy and the agent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import openai
import pytest

from maas_operator.gateway import keeping
from maas_operator.gateway.facts import Limits, Reach, Service
from maas_operator.gateway.sse import COMMENT
from tests.gateway.backend import MISSING_MESSAGES, PROMPT_TOKENS, Backend, wrong_model
from tests.gateway.dozing import LARGE, House, dozy, house
from tests.gateway.scene import service
from tests.gateway.test_holding import in_order

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVERY = "1"
CHAT = "/v1/chat/completions"
OWN = "/v1/infers/id-dozy/v1/completions"
STREAM: dict[str, Any] = {"model": "dozy", "messages": [], "stream": True}
USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


class Stream:
    """An answer that comes bit by bit."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.request_id = response.headers["x-request-id"]

    async def comments(self, count: int) -> None:
        """So many come now, and nothing else."""
        assert await self.response.content.readexactly(count * len(COMMENT)) == COMMENT * count

    async def rest(self) -> list[Any]:
        """The events; [DONE] comes last."""
        text = (await self.response.read()).decode()
        events = [each for each in text.split("\n\n") if each and not each.startswith(":")]
        assert events[-1] == "data: [DONE]", text
        return [json.loads(each.removeprefix("data: ")) for each in events[:-1]]

    async def error(self) -> Any:
        """What an answer that is one error says."""
        (event,) = await self.rest()
        return event["error"]


@asynccontextmanager
async def stream(gateway: House, path: str = CHAT, every: str | None = EVERY, **body: Any) -> AsyncIterator[Stream]:
    """A stream, once its head is there."""
    headers = {"Authorization": "Bearer key-a"} | ({"X-SSE-Keep-Alive": every} if every else {})
    async with gateway.client.post(path, headers=headers, json=STREAM | body) as response:
        assert response.status == 200, await response.text()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield Stream(response)


async def answered(gateway: House, **body: Any) -> list[Any]:
    """All that a stream says, comments apart."""
    async with stream(gateway, **body) as made:
        return await made.rest()


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", OWN])
async def test_comments_come_while_it_is_held_and_then_the_stream_metered_once(
    asleep: House, dozing: Backend, path: str
) -> None:
    async with stream(asleep, path, prompt="hi", **USAGE) as held:
        await held.comments(2)
        assert asleep.publisher.holder.held() == {"id-dozy": 1}
        assert not dozing.asked
        await asleep.see(dozy(dozing))
        events = await held.rest()
    assert [bool(each.get("usage")) for each in events] == [False] * (len(events) - 1) + [True]
    assert events[-1]["usage"]["completion_tokens"] == 3
    assert len(dozing.asked) == 1
    line = await asleep.line_of(held.request_id)
    assert (line.service_id, line.model, line.stream, line.code) == ("id-dozy", "dozy-model", True, 200)
    assert (line.prompt_tokens, line.completion_tokens, line.flags) == (PROMPT_TOKENS, 3, "")
    assert line.first_token is not None
    assert line.first_token - line.started > 1000, "comments are no tokens"
    assert asleep.log.read_text().count(held.request_id) == 1
    assert dozing.headers[0]["x-request-id"] == held.request_id
    assert not {"authorization", "x-sse-keep-alive", "accept-encoding"} & set(dozing.headers[0])


async def test_comments_go_on_until_the_instance_says_something_and_no_longer(asleep: House, dozing: Backend) -> None:
    dozing.silence, dozing.delay = 1.5, 0.4
    try:
        async with stream(asleep) as held:
            await held.comments(1)
            await asleep.see(dozy(dozing))
            await held.comments(1)
            assert await held.response.content.readexactly(5) == b"data:"
            assert COMMENT not in await held.response.read()
    finally:
        dozing.silence = dozing.delay = 0


async def test_limits_are_charged_once_and_refuse_as_ever(asleep: House, dozing: Backend) -> None:
    await asleep.see(dozy(limits=Limits(60)))  # two at once
    async with stream(asleep) as one, stream(asleep) as two:
        headers = {"Authorization": "Bearer key-a", "X-SSE-Keep-Alive": EVERY}
        refused = await asleep.call("POST", CHAT, headers=headers, json=STREAM)
        assert (refused.status, refused.code) == (429, "ModelArts.81101")
        await asleep.see(dozy(dozing, limits=Limits(60)))
        for each in (one, two):
            assert len(await each.rest()) == 4


async def test_only_streams_whose_clients_ask_for_it_get_comments(asleep: House, dozing: Backend) -> None:
    headers = {"Authorization": "Bearer key-a"}
    silent = asyncio.create_task(asleep.call("POST", CHAT, headers=headers, json=STREAM))
    headers = headers | {"X-SSE-Keep-Alive": EVERY}
    whole = asyncio.create_task(asleep.call("POST", CHAT, headers=headers, json=STREAM | {"stream": False}))
    await asleep.until_held(2)
    async with stream(asleep) as held:
        await held.comments(2)
        assert not silent.done()
        assert not whole.done()
        await asleep.see(dozy(dozing))
        assert len(await held.rest()) == 4
    assert len((await silent).chunks) == 4
    assert (await whole).json["usage"]["prompt_tokens"] == PROMPT_TOKENS
    assert COMMENT not in (await silent).body


async def test_with_an_instance_the_header_changes_nothing(asleep: House, dozing: Backend) -> None:
    await asleep.see(dozy(dozing))
    async with stream(asleep) as made:
        assert len(await made.rest()) == 4
    line = await asleep.line_of(made.request_id)
    assert line.upstream == f"127.0.0.1:{dozing.port}", "no Python between a client and its tokens"
    assert "x-sse-keep-alive" not in dozing.headers[0]


async def test_pictures_and_long_headers_pass_through_the_agent(asleep: House, dozing: Backend) -> None:
    cookie = {"Authorization": "Bearer key-a", "X-SSE-Keep-Alive": EVERY, "X-Trace": "t" * 40_000}
    async with asleep.client.post(f"{CHAT}?a=b", headers=cookie, json=STREAM | {"pad": LARGE}) as response:
        await Stream(response).comments(1)
        await asleep.see(dozy(dozing))
        assert len(await Stream(response).rest()) == 4
    assert dozing.asked[0]["pad"] == LARGE
    assert dozing.headers[0]["x-trace"] == "t" * 40_000
    assert dozing.paths[-1] == f"{CHAT}?a=b"


async def test_all_go_on_in_the_order_in_which_they_came(asleep: House, dozing: Backend) -> None:
    asked: list[asyncio.Task[Any]] = []
    for number in range(30):
        asked.append(asyncio.create_task(answered(asleep, user=str(number))))
        await asleep.until_held(number + 1)
    await asleep.wake(dozing, asked)
    in_order(dozing, 30)


@pytest.mark.parametrize("body", [{}, {"pad": LARGE}], ids=["small", "20-MB"])
async def test_who_hangs_up_while_it_is_held_frees_a_place_at_once(asleep: House, body: dict[str, str]) -> None:
    async with stream(asleep, every="60", **body) as held:
        await held.comments(1)
        await asleep.until_held(1)
        held.response.close()
        await asleep.until_held(0)
    line = await asleep.line_of(held.request_id)
    assert line.hung_up
    assert line.total_tokens == 0


async def test_who_hangs_up_in_mid_stream_is_metered_and_the_instance_is_let_go(asleep: House, dozing: Backend) -> None:
    dozing.delay, before = 0.05, dozing.tokens
    try:
        async with stream(asleep, max_tokens=1000) as held:
            await held.comments(1)
            await asleep.see(dozy(dozing))
            for _ in range(8):
                await held.response.content.readuntil(b"\n\n")
            held.response.close()

        async def let_go() -> bool:
            return dozing.tokens > before

        await asleep.until(let_go)
    finally:
        dozing.delay = 0
    line = await asleep.line_of(held.request_id)
    assert line.hung_up
    assert line.prompt_tokens == PROMPT_TOKENS
    made = dozing.tokens - before - PROMPT_TOKENS
    assert 6 <= (line.completion_tokens or 0) <= made <= 12, "all but what was on its way"


@pytest.mark.parametrize(
    ("then", "path", "code"),
    [
        (dozy(awaited=False), CHAT, "APIG.0203"),
        (dozy(awaited=False, reach=Reach.STOPPED), CHAT, "ModelArts.81004"),
        (dozy(awaited=False, reach=Reach.FROZEN), CHAT, "ModelArts.81006"),
        (None, CHAT, "ModelArts.81009"),
        (None, OWN, "APIG.0101"),
    ],
    ids=["fails-0203", "stops-81004", "freezes-81006", "is-deleted-81009", "is-deleted-0101"],
)
async def test_a_service_that_will_have_no_instance_is_an_error_in_the_stream(
    asleep: House, then: Service | None, path: str, code: str
) -> None:
    async with stream(asleep, path) as held:
        await held.comments(1)
        await asleep.see(*filter(None, [then]))
        error = await held.error()
    assert (error["code"], error["request_id"]) == (code, held.request_id)
    assert error["message"]


@pytest.mark.parametrize(
    ("body", "path", "error"),
    [
        ({"messages": None, "model": "dozy"}, CHAT, {"message": "dead", "type": "InternalServerError", "code": 500}),
        ({"model": "nope"}, OWN, wrong_model("nope", "dozy")["error"]),
        ({"max_tokens": "many"}, CHAT, MISSING_MESSAGES["error"]),
    ],
    ids=["500", "404", "400"],
)
async def test_the_engines_own_errors_are_said_in_the_stream(
    asleep: House, dozing: Backend, body: dict[str, Any], path: str, error: Any
) -> None:
    dozing.failing = error["code"] == 500
    try:
        async with stream(asleep, path, **body) as held:
            await held.comments(1)
            await asleep.see(dozy(dozing))
            assert await held.error() == error
    finally:
        dozing.failing = False


async def test_0203_an_instance_that_says_nothing_is_given_up_as_any(asleep: House, dozing: Backend) -> None:
    dozing.silence = 5
    try:
        async with stream(asleep) as held:
            await held.comments(1)
            await asleep.see(dozy(dozing))
            assert (await held.error())["code"] == "APIG.0203"
    finally:
        dozing.silence = 0


async def test_an_instance_that_dies_in_mid_stream_breaks_it(asleep: House) -> None:
    async with Backend("dozy") as dying:
        dying.delay = 0.05
        async with stream(asleep, max_tokens=1000) as held:
            await held.comments(1)
            await asleep.see(dozy(dying))
            await held.response.content.readuntil(b'"word 3')
            await dying.__aexit__()
            with pytest.raises(aiohttp.ClientPayloadError):
                await held.response.read()
    line = await asleep.line_of(held.request_id)
    assert line.flags
    assert not line.hung_up
    assert (line.completion_tokens or 0) >= 3


async def test_0203_openais_sdk_raises_what_the_stream_says(dozing: Backend) -> None:
    async with house(dozy(), holding={"seconds": 2}) as gateway:
        headers = {"X-SSE-Keep-Alive": EVERY}
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="key-a", max_retries=0) as client:

            async def text() -> str:
                chunks = await client.chat.completions.create(
                    model="dozy", messages=[], stream=True, extra_headers=headers
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

            with pytest.raises(openai.APIError, match="Backend timeout") as late:
                await text()
            assert late.value.code == "APIG.0203"
            asked = asyncio.create_task(text())
            await gateway.until_held(1)
            await gateway.see(dozy(dozing))
            assert "word 3" in await asked


async def test_0203_beyond_the_bounds_streams_are_held_in_silence_or_refused(
    dozing: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = {"requests": 4, "requestsPerService": 3, "keepAliveStreams": 1}
    headers = {"Authorization": "Bearer key-a", "X-SSE-Keep-Alive": EVERY}
    async with house(dozy(), service("other", awaited=True), holding=bounds) as gateway:
        ask = partial(gateway.call, "POST", CHAT, headers=headers, json=STREAM)
        async with stream(gateway) as held:
            beside = asyncio.create_task(ask())
            await gateway.until_held(2)
            await held.comments(2)
            assert not beside.done(), "in silence"
            await gateway.held(1)
            full = await ask()
            assert (full.status, full.code, full.headers["retry-after"]) == (503, "APIG.0203", "10")
            held.response.close()
            await gateway.until_held(2)
        async with stream(gateway) as again:
            await again.comments(1)
        await gateway.until_held(2)
        monkeypatch.setattr(keeping, "MOST_BYTES", 10)
        large = asyncio.create_task(ask())
        await gateway.until_held(3)
        await gateway.see(dozy(dozing), service("other", awaited=True))
        for each in (beside, large):
            assert COMMENT not in (await each).body


async def test_0203_one_that_is_full_refuses_before_the_stream_begins(asleep: House, dozing: Backend) -> None:
    async with house(dozy(), holding={"requests": 1, "keepAliveStreams": 5}) as gateway, stream(gateway) as held:
        headers = {"Authorization": "Bearer key-a", "X-SSE-Keep-Alive": EVERY}
        full = await gateway.call("POST", CHAT, headers=headers, json=STREAM)
        assert (full.status, full.code, full.headers["retry-after"]) == (503, "APIG.0203", "10")
        await gateway.see(dozy(dozing))
        assert len(await held.rest()) == 4


async def test_an_agent_that_leaves_says_so_and_one_that_is_away_is_waited_for(asleep: House, dozing: Backend) -> None:
    async with stream(asleep) as held:
        await held.comments(1)
        await asleep.agent.aclose()
        assert (await held.error())["code"] == "APIG.0203"
    waiting = asyncio.create_task(answered(asleep))
    await asleep.begin()
    await asleep.until_held(1)
    await asleep.see(dozy(dozing))
    assert len(await waiting) == 4
