"""The OpenAI SDK, unmodified, through a real Envoy to an engine that remembers what it was asked (M19, M20, M21)."""

import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from maas_operator.gateway.facts import Facts, Limits
from tests.gateway.backend import PROMPT_TOKENS, Backend
from tests.gateway.gateway import Gateway
from tests.gateway.pictures import PICTURES, about
from tests.gateway.scene import key, service

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: Any = [{"role": "user", "content": "hi"}]


def client(gateway: Gateway, path: str = "", key_: str = "key-a", **more: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gateway.url}{path}/v1", api_key=key_, **{"max_retries": 0} | more)


@pytest_asyncio.fixture(params=["", "/v1/infers/id-chat"], ids=["shared", "own"], loop_scope="session")
async def app(request: pytest.FixtureRequest, gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client(gateway, request.param) as made:
        yield made


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("stream", [False, True])
async def test_m19_pictures_reach_the_engine_byte_by_byte(
    app: openai.AsyncOpenAI, engine: Backend, kind: str, stream: bool
) -> None:
    messages: Any = about(PICTURES[kind])
    await app.chat.completions.create(model="chat", messages=messages, stream=stream)
    assert engine.asked[-1]["messages"] == messages
    sent = engine.asked[-1]["messages"][0]["content"][1]["image_url"]["url"]
    begins = {"png": b"\x89PNG", "jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}[kind]
    assert base64.b64decode(sent.partition(",")[2]).startswith(begins)


async def test_m20_every_parameter_reaches_the_engine(app: openai.AsyncOpenAI, engine: Backend) -> None:
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    parameters: dict[str, Any] = {
        "max_tokens": 5,
        "temperature": 0.6,
        "top_p": 0.9,
        "stop": ["\n", "}"],
        "n": 2,
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 3,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "response_format": {"type": "json_object"},
        "tools": [tool],
        "tool_choice": "none",
    }
    of_the_guide = {"top_k": 20, "use_beam_search": True, "length_penalty": 1.1}
    await app.chat.completions.create(model="chat", messages=HELLO, **parameters, extra_body=of_the_guide)
    assert engine.asked[-1] == {"model": "chat", "messages": HELLO, **parameters, **of_the_guide}


async def test_m19_a_conversation_is_the_clients_to_keep(app: openai.AsyncOpenAI, engine: Backend) -> None:
    messages: list[Any] = [{"role": "system", "content": "Be brief."}]
    for turn in range(3):
        messages.append({"role": "user", "content": f"turn {turn}"})
        answer = await app.chat.completions.create(model="chat", messages=messages)
        assert engine.asked[-1]["messages"] == messages, "nothing is stored between requests"
        messages.append({"role": "assistant", "content": answer.choices[0].message.content})


async def test_m21_reasoning_content_beside_the_content_and_first_in_a_stream(gateway: Gateway) -> None:
    async with client(gateway) as app:
        whole = await app.chat.completions.create(model="thinks", messages=HELLO)
        message: Any = whole.choices[0].message
        assert message.reasoning_content == message.reasoning == 'I "think" \\ so, "reasoning": é'
        assert message.content
        stream = await app.chat.completions.create(model="thinks", messages=HELLO, stream=True)
        deltas: list[Any] = [chunk.choices[0].delta async for chunk in stream]
    thoughts = [bool(getattr(delta, "reasoning_content", None)) for delta in deltas if delta.role is None]
    assert thoughts == sorted(thoughts, reverse=True)
    assert thoughts[0]


REFUSALS = [
    ("81001", openai.BadRequestError, "key-a", ""),
    ("81003", openai.AuthenticationError, "nobody", "chat"),
    ("81004", openai.AuthenticationError, "key-a", "stopped"),
    ("81005", openai.AuthenticationError, "key-quota", "chat"),
    ("81006", openai.AuthenticationError, "key-frozen", "chat"),
    ("81009", openai.NotFoundError, "key-a", "nope"),
    ("81103", openai.RateLimitError, "key-spent", "chat"),
    ("APIG.0203", openai.InternalServerError, "key-a", "empty"),
]


@pytest.mark.parametrize(("code", "kind", "key_", "model"), REFUSALS, ids=[row[0] for row in REFUSALS])
@pytest.mark.parametrize("stream", [False, True])
async def test_refusals_are_the_sdks_own_exceptions(
    gateway: Gateway, code: str, kind: type[openai.APIStatusError], key_: str, model: str, stream: bool
) -> None:
    async with client(gateway, key_=key_) as app:
        with pytest.raises(kind) as caught:
            await app.chat.completions.create(model=model, messages=HELLO, stream=stream)
    body: Any = caught.value.body
    assert body["error_code"].removeprefix("ModelArts.") == code
    assert body["request_id"] == caught.value.request_id == caught.value.response.headers["x-request-id"]
    assert body["error_msg"]


async def test_81002_without_a_key(gateway: Gateway) -> None:
    async with client(gateway) as app:
        with pytest.raises(openai.BadRequestError) as caught:
            nothing = {"Authorization": openai.Omit()}
            await app.chat.completions.create(model="chat", messages=HELLO, extra_headers=nothing)
    assert caught.value.body["error_code"] == "ModelArts.81002"  # type: ignore[index]


async def test_apig_0101_what_the_gateway_does_not_have(gateway: Gateway) -> None:
    async with client(gateway) as app:
        with pytest.raises(openai.NotFoundError) as caught:
            await app.embeddings.create(model="chat", input="hi")
    assert caught.value.body["error_code"] == "APIG.0101"  # type: ignore[index]


async def test_the_engines_own_refusal_is_the_sdks_exception_too(app: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="Field required") as caught:
        await app.post("/chat/completions", body={"model": "chat"}, cast_to=object)
    assert caught.value.param == "body.messages"


async def test_81101_the_sdk_waits_as_long_as_it_is_told_and_tries_again(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a", limits=Limits(30)),))
    async with Gateway(facts) as gateway, client(gateway) as hasty, client(gateway, max_retries=1) as patient:
        await hasty.chat.completions.create(model="chat", messages=HELLO)
        with pytest.raises(openai.RateLimitError) as caught:
            await hasty.chat.completions.create(model="chat", messages=HELLO)
        told = caught.value.response.headers
        assert (told["retry-after"], told["x-ratelimit-reset-requests"]) == ("2", "2s")
        begun = time.monotonic()
        answer = await patient.chat.completions.create(model="chat", messages=HELLO)
        assert answer.choices
        assert time.monotonic() - begun > 1.9, "by itself the SDK would try again after half a second"


async def test_headers_are_there_for_who_looks(app: openai.AsyncOpenAI) -> None:
    raw = await app.chat.completions.with_raw_response.create(model="chat", messages=HELLO)
    answer = raw.parse()
    assert raw.headers["x-request-id"] == answer._request_id
    assert not [name for name in raw.headers if name.startswith("x-maas")]


async def test_a_client_that_gives_up_is_metered(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Gateway(facts) as gateway, client(gateway, timeout=0.3) as app:
        engine.delay = 0.1
        try:
            stream = await app.chat.completions.create(model="chat", messages=HELLO, stream=True, max_tokens=100)
            seen = 0
            async for _ in stream:
                seen += 1
                if seen == 4:
                    break
            await stream.close()
            engine.silence = 1
            with pytest.raises(openai.APITimeoutError):
                await app.chat.completions.create(model="chat", messages=HELLO, stream=True)
            left, timed_out = await gateway.lines(2)
        finally:
            engine.delay = engine.silence = 0
    assert left.hung_up
    assert timed_out.hung_up
    assert left.prompt_tokens == PROMPT_TOKENS
    assert seen - 1 <= (left.completion_tokens or 0) <= seen + 2
    assert not timed_out.completion_tokens, "nothing was on its way"
