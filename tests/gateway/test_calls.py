"""Calls that succeed (M17, M19, M20, M21), and what is written down of them."""

import base64
import json

import pytest
from aiohttp import web

from maas_operator.gateway.facts import Facts
from tests.gateway.backend import PROMPT_TOKENS, Backend
from tests.gateway.gateway import Gateway
from tests.gateway.scene import SERVED, key, service

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("model", ["chat", "chat-model", "lent", "lent-model", "public", "public-model"])
async def test_m17_the_shared_host_knows_a_service_by_its_name_and_its_models(gateway: Gateway, model: str) -> None:
    answer = await gateway.chat("key-a", model)
    assert (answer.status, answer.json["model"]) == (200, model)


@pytest.mark.parametrize("id_", ["id-chat", "id-lent", "id-public"])
async def test_m17_a_services_own_path(gateway: Gateway, engine: Backend, id_: str) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        answer = await gateway.call(
            "POST",
            f"/v1/infers/{id_}{path}?x=1",
            headers={"Authorization": "Bearer key-a"},
            json={"prompt": "hi", "messages": []},
        )
        assert (answer.status, engine.paths[-1]) == (200, f"{path}?x=1")
        assert answer.json["model"] == SERVED[0]


async def test_m20_parameters_and_images_pass_as_they_are(gateway: Gateway, engine: Backend) -> None:
    image = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 20).decode()
    body = {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": image}}]}],
        "n": 2,
        "use_beam_search": True,
        "length_penalty": 1.1,
        "top_k": 20,
        "tools": [{"type": "function", "function": {"name": "é\u2028\\", "parameters": {"stream": True}}}],
        "stop": ["}", '"stream":false'],
        "stream_options": None,
    }
    await gateway.chat("key-a", "chat", **body)
    assert engine.asked[-1] == {"model": "chat", **body}
    await gateway.chat("key-a", "chat", **body, stream=True)
    usage = {"include_usage": True, "continuous_usage_stats": True}
    assert engine.asked[-1] == {"model": "chat", **body, "stream": True, "stream_options": usage}


async def test_m19_a_stream_without_usage_shows_none(gateway: Gateway) -> None:
    answer = await gateway.chat("key-a", "chat", stream=True, max_tokens=5)
    assert answer.headers["content-type"].startswith("text/event-stream")
    chunks = answer.chunks
    assert len(chunks) == 6
    assert not any("usage" in chunk or not chunk["choices"] for chunk in chunks)
    assert chunks[2]["choices"][0]["delta"]["content"] == 'word 2 ,"usage":{"x":1}'


async def test_m19_a_stream_with_usage_shows_it_once_at_the_end(gateway: Gateway) -> None:
    answer = await gateway.chat("key-a", "chat", stream=True, max_tokens=5, stream_options={"include_usage": True})
    *chunks, last = answer.chunks
    assert not any("usage" in chunk for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 5


async def test_m19_usage_on_every_chunk_for_who_asks_for_it(gateway: Gateway) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    answer = await gateway.chat("key-a", "chat", stream=True, max_tokens=2, stream_options=options)
    assert [chunk["usage"]["completion_tokens"] for chunk in answer.chunks] == [0, 1, 2, 2]


async def test_m19_usage_on_every_chunk_as_a_setting(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Gateway(facts, usage_on_streams="EveryChunk") as gateway:
        answer = await gateway.chat("key-a", "chat", stream=True, max_tokens=2)
        assert [chunk["usage"]["completion_tokens"] for chunk in answer.chunks] == [0, 1, 2]


async def test_m21_reasoning_under_both_its_names(gateway: Gateway) -> None:
    message = (await gateway.chat("key-a", "thinks")).json["choices"][0]["message"]
    assert message["reasoning_content"] == message["reasoning"] == 'I "think" \\ so, "reasoning": é'
    chunks = (await gateway.chat("key-a", "thinks", stream=True)).chunks
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[1]["reasoning_content"] == deltas[1]["reasoning"] == 'word 1 ,"usage":{"x":1}'
    assert "reasoning_content" not in deltas[2]


async def test_the_engine_learns_neither_the_key_nor_what_the_client_says_under_our_names(
    gateway: Gateway, engine: Backend
) -> None:
    forged = {
        "x-maas-client": "team-b/root 0 0 0",
        "X-MaaS-Account": "team-b",
        "x-maas-key-hash": "0" * 64,
        "x-maas-route": "team-b name/alien",
        "x-maas-service": "id-alien",
        "x-maas-anything": "1",
    }
    headers = {"Authorization": "Bearer key-a", **forged}
    body = {"model": "chat", "messages": []}
    answer = await gateway.call("POST", "/v1/chat/completions", headers=headers, json=body)
    assert answer.status == 200
    seen = engine.headers[-1]
    assert "authorization" not in seen
    assert "x-maas-key-hash" not in seen
    assert "x-maas-anything" not in seen
    assert (seen["x-maas-client"], seen["x-maas-service"]) == ("team-a/ci", "id-chat")
    assert "key-a" not in json.dumps(seen)
    del headers["Authorization"]
    answer = await gateway.call("POST", "/v1/chat/completions", headers=headers, json=body)
    assert answer.code == "ModelArts.81002"


async def test_m22_metering_writes_every_answer_down(engine: Backend) -> None:
    facts = Facts(
        services=(service("chat", engine), service("lent", engine, namespace="team-b", shared_with_all=True)),
        keys=(key("key-a", "ci"),),
    )
    async with Gateway(facts) as gateway:
        before = engine.tokens
        answers = [
            await gateway.chat("key-a", "chat", max_tokens=4),
            await gateway.chat("key-a", "lent", max_tokens=5, stream=True),
            await gateway.chat("key-a", "chat", max_tokens=6, stream=True, stream_options={"include_usage": True}),
            await gateway.chat("key-a", "chat", max_tokens=2, stream=True, stream_options={"include_usage": False}),
            await gateway.chat("key-a", "nope"),
        ]
        await gateway.chat("nobody", "chat")
        lines = await gateway.lines(5)
    assert [line.request_id for line in lines] == [answer.headers["x-request-id"] for answer in answers]
    assert [line.completion_tokens for line in lines] == [4, 5, 6, 2, None]
    assert sum(line.total_tokens for line in lines) == engine.tokens - before
    whole, lent = lines[:2]
    assert (whole.account, whole.key, whole.service_namespace, whole.service) == ("team-a", "ci", "team-a", "chat")
    assert (whole.service_id, whole.model, whole.model_version) == ("id-chat", "chat-model", "8k")
    assert (whole.prompt_tokens, whole.code, whole.flags, whole.stream) == (PROMPT_TOKENS, 200, "", False)
    assert whole.upstream == "{}:{}".format(*engine.endpoint)
    assert (lent.account, lent.service_namespace, lent.stream) == ("team-a", "team-b", True)
    assert lent.first_token is not None
    assert 0 <= lent.first_token - lent.started < 5000
    assert lines[-1].code == 404


def odd(message: str, indent: int | None = None, logprobs: object = None) -> str:
    """An answer of 7 and 4 tokens."""
    choices = [{"index": 0, "message": {"content": message}, "logprobs": logprobs}]
    usage = {"prompt_tokens_details": {"prompt_tokens": 9}, "prompt_tokens": 7, "completion_tokens": 4}
    return json.dumps({"id": "a", "choices": choices, "usage": usage, "prompt_logprobs": None}, indent=indent)


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text=odd('"usage":{"prompt_tokens":9}'), content_type="application/json"),
        web.Response(text=odd('\\"usage\\": {"prompt_tokens": 9}'), content_type="application/json"),
        web.Response(text=odd("usage"), content_type="Application/JSON", charset="utf-8"),
        web.Response(text=odd("a", indent=2), content_type="application/json"),
        web.Response(text=odd("a", logprobs={"top_logprobs": [{"usage": -0.5}]}), content_type="application/json"),
        web.Response(text=odd("x" * 5_000_000), content_type="application/json"),
    ],
    ids=["quoted", "quoted twice", "type", "indented", "token", "long"],
)
async def test_m22_what_a_model_says_is_not_taken_for_what_it_used(answer: web.Response) -> None:
    async with Backend("chat") as engine:
        engine.said = answer
        async with Gateway(Facts(services=(service("chat", engine),), keys=(key("key-a"),))) as gateway:
            line = await gateway.line(await gateway.chat("key-a", "chat"))
    assert (line.prompt_tokens, line.completion_tokens) == (7, 4)


async def test_who_hangs_up_is_still_metered(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Gateway(facts) as gateway:
        engine.delay = 0.05
        try:
            for after in (1, 4):
                body = {"model": "chat", "messages": [], "stream": True, "max_tokens": 100}
                headers = {"Authorization": "Bearer key-a"}
                async with gateway.client.post("/v1/chat/completions", headers=headers, json=body) as response:
                    for _ in range(2 * after):
                        await response.content.readline()
                    response.close()
            early, late = await gateway.lines(2)
        finally:
            engine.delay = 0
    assert early.hung_up
    assert late.hung_up
    assert (early.prompt_tokens, late.prompt_tokens) == (PROMPT_TOKENS, PROMPT_TOKENS)
    assert (early.completion_tokens or 0) <= 2
    assert 3 <= (late.completion_tokens or 0) <= 6
