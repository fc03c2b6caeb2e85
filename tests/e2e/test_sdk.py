"""An application team's view: the official OpenAI SDK, unmodified, with nothing but the gateway's address and a key, on
the shared host and on a service's own path (M17, M19, M20, M21)."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import openai
import pytest

from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import ACCOUNT, Account
from tests.gateway.pictures import PICTURES, about
from tests.keys import new_key, used

pytestmark = pytest.mark.e2e

SETTLE_SECONDS = 30
SHIPPED_SECONDS = 60
HELLO: Any = [{"role": "user", "content": "hi"}]
TALK: Any = [
    {"role": "system", "content": "Be brief."},
    *HELLO,
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "And now?"},
]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER: Any = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
NAMED = {"type": "function", "function": {"name": "weather"}}
CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>'
CALLED: Any = [
    *HELLO,
    {"role": "assistant", "content": "", "tool_calls": [
        {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}]},
    {"role": "tool", "tool_call_id": "call-1", "content": "sunny"},
]  # fmt: skip
SURE = {
    "type": "object",
    "properties": {"sure": {"type": "boolean"}},
    "required": ["sure"],
    "additionalProperties": False,
}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SURE}}
THOUGHT = {"structured_outputs": {"regex": "Here is my thought process: it may be so[.] Here is my response: yes"}}
"""The words by which the engine's parser tells a chain of thought; the tiny model would not find them by itself."""


@dataclass(frozen=True)
class Place:
    """Where an application calls, and the instance behind it."""

    shared: str
    own: str
    instance: str
    key: str

    def client(self, base: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=base, api_key=self.key, max_retries=0)


@pytest.fixture(scope="module")
def place(cluster: Cluster, account: Account, address: str) -> Place:
    id_ = account.get("msvc", "talker")["status"]["serviceId"]
    (pod,) = account.pods("talker")
    key = new_key(cluster, ACCOUNT, "sdk", "the official SDK")
    made = Place(f"{address}/v1", f"{address}/v1/infers/{id_}/v1", f"http://{pod['status']['podIP']}:8000/v1", key)
    for base in (made.shared, made.own):
        with made.client(base) as client:
            wait_until(partial(answers, client), SETTLE_SECONDS, "the key to count")
    return made


def answers(client: openai.OpenAI) -> bool:
    try:
        client.chat.completions.create(model="talker", messages=HELLO, max_tokens=1)
    except openai.APIStatusError:
        return False
    return True


@pytest.fixture(params=["shared", "own"])
def app(request: pytest.FixtureRequest, place: Place) -> Iterator[openai.OpenAI]:
    with place.client(getattr(place, request.param)) as client:
        yield client


@pytest.fixture
def instance(place: Place) -> Iterator[openai.OpenAI]:
    """The engine, asked directly."""
    with place.client(place.instance) as client:
        yield client


def said(client: openai.OpenAI, **parameters: Any) -> Any:
    """An answer or a refusal, without what differs each time."""
    asked = {"model": "talker", "messages": HELLO, "max_tokens": 12, "temperature": 0} | parameters
    try:
        answer = client.chat.completions.create(**asked).model_dump()
    except openai.APIStatusError as error:
        return type(error), error.status_code, error.body
    for choice in answer["choices"]:
        choice["message"].pop("reasoning_content", None)
        for call in choice["message"]["tool_calls"] or ():
            del call["id"]
    return answer | {"id": "", "created": 0}


def whole(answer: Any) -> Any:
    assert isinstance(answer, dict), answer
    return answer["choices"]


def test_m18_models_are_listed(app: openai.OpenAI) -> None:
    assert sorted(model.id for model in app.models.list()) == ["talker", "tiny"]


PASSES: dict[str, dict[str, Any]] = {
    "several-turns": {"messages": TALK},
    "n": {"n": 2, "temperature": 0.9, "seed": 3},
    "stop": {"stop": ["o", "a"]},
    "seed": {"seed": 7, "temperature": 1.0},
    "top_p": {"top_p": 0.1, "temperature": 0.6, "seed": 1},
    "top_k": {"extra_body": {"top_k": 1}, "temperature": 1.0},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "max_tokens": {"max_tokens": 3},
    "penalties": {"presence_penalty": 1.5, "frequency_penalty": 1.5},
    "beam-search": {"extra_body": {"use_beam_search": True, "length_penalty": 1.1}, "n": 2},
    "tools": {"tools": [WEATHER], "tool_choice": "none"},
    "tools-called": {"tools": [WEATHER], "extra_body": {"structured_outputs": {"choice": [CALL]}}, "max_tokens": 100},
    "tool-choice": {"tools": [WEATHER], "tool_choice": NAMED},
    "tool-result": {"tools": [WEATHER], "tool_choice": "none", "messages": CALLED},
    "response-format": {"response_format": JSON_SCHEMA, "max_tokens": 30},
    "reasoning": {"extra_body": THOUGHT, "max_tokens": 100},
}  # fmt: skip
REFUSED: dict[str, dict[str, Any]] = {
    "picture-png": {"messages": about(PICTURES["png"])},
    "picture-jpeg": {"messages": about(PICTURES["jpeg"])},
    "picture-webp": {"messages": about(PICTURES["webp"])},
    "n-greedy": {"n": 2},
    "temperature": {"temperature": -1},
    "max_tokens": {"max_tokens": 100_000},
    "prompt": {"messages": [{"role": "user", "content": "much " * 2000}]},
}


@pytest.mark.parametrize("name", PASSES)
def test_m20_a_parameter_does_what_it_does_at_the_engine(
    app: openai.OpenAI, instance: openai.OpenAI, name: str
) -> None:
    answer = said(app, **PASSES[name])
    assert whole(answer)
    assert answer == said(instance, **PASSES[name])


@pytest.mark.parametrize("name", REFUSED)
def test_m20_the_engines_own_refusal_passes_unchanged(app: openai.OpenAI, instance: openai.OpenAI, name: str) -> None:
    refusal = said(app, **REFUSED[name])
    assert refusal[0] is openai.BadRequestError
    assert refusal == said(instance, **REFUSED[name])


def test_m20_what_parameters_do(app: openai.OpenAI) -> None:
    assert len(whole(said(app, **PASSES["n"]))) == 2
    assert [choice["finish_reason"] for choice in whole(said(app, **PASSES["stop"]))] == ["stop"]
    assert said(app, **PASSES["max_tokens"])["usage"]["completion_tokens"] == 3
    (choice,) = whole(said(app, **PASSES["tools-called"]))
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city": "Bern"}'}
    (choice,) = whole(said(app, **PASSES["response-format"]))
    assert json.loads(choice["message"]["content"]).keys() == {"sure"}
    (choice,) = whole(said(app, **PASSES["logprobs"]))
    assert all(len(token["top_logprobs"]) == 2 for token in choice["logprobs"]["content"])


def test_m19_streams_with_and_without_usage(app: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "talker", "messages": TALK, "max_tokens": 16, "temperature": 0}
    answer = app.chat.completions.create(**asked)
    without = list(app.chat.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in without) == answer.choices[0].message.content
    assert without[-1].choices[0].finish_reason == answer.choices[0].finish_reason
    assert not any(chunk.usage for chunk in without)
    *chunks, last = app.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    assert not any(chunk.usage for chunk in chunks)
    assert (last.choices, last.usage) == ([], answer.usage)


def test_m21_reasoning_content_comes_first(app: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "talker", "messages": HELLO, "max_tokens": 100, "extra_body": THOUGHT}
    message: Any = app.chat.completions.create(**asked).choices[0].message
    assert (message.reasoning_content.strip(), message.content.strip()) == ("it may be so.", "yes")
    deltas: list[Any] = [chunk.choices[0].delta for chunk in app.chat.completions.create(**asked, stream=True)]
    thoughts = [getattr(delta, "reasoning_content", None) for delta in deltas]
    words = [delta.content for delta in deltas]
    # the engine's parser loses letters of what it is given several tokens of at once, as on a busy machine
    assert thoughts == [getattr(delta, "reasoning", None) for delta in deltas]
    assert "".join(filter(None, thoughts)).strip()
    assert "".join(filter(None, words)).strip() == "yes"
    assert max(i for i, text in enumerate(thoughts) if text) < min(i for i, text in enumerate(words) if text)


def test_completions(app: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "talker", "prompt": "one two", "max_tokens": 6, "temperature": 0, "logprobs": 1}
    answer = app.completions.create(**asked)
    assert answer.usage
    assert answer.usage.completion_tokens == 6
    streamed = app.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == answer.choices[0].text


def test_the_asynchronous_client(place: Place) -> None:
    async def ask() -> list[int]:
        async with openai.AsyncOpenAI(base_url=place.shared, api_key=place.key) as client:

            async def one(tokens: int) -> int:
                asked: Any = {"model": "talker", "messages": HELLO, "max_tokens": tokens, "stream": True}
                stream = await client.chat.completions.create(**asked, extra_body={"ignore_eos": True},
                                                              stream_options={"include_usage": True})  # fmt: skip
                return int([chunk.usage.completion_tokens async for chunk in stream if chunk.usage][-1])

            return list(await asyncio.gather(*(one(tokens) for tokens in (4, 5, 6, 7))))

    assert asyncio.run(ask()) == [4, 5, 6, 7]


REFUSALS: dict[str, tuple[type[openai.APIStatusError], Any]] = {
    "81001": (openai.BadRequestError, {"model": ""}),
    "81004": (openai.AuthenticationError, {"model": "halted"}),
    "81009": (openai.NotFoundError, {"model": "nothing-of-the-kind"}),
    "APIG.0203": (openai.InternalServerError, {"model": "broken"}),
}


@pytest.fixture(scope="module")
def unready(account: Account) -> Iterator[None]:
    """A service that is stopped, and one that has failed: for one that may yet come requests would be held."""
    account.apply("halted", state="Stopped")
    account.apply("broken", engine={"image": "localhost/no-such-engine:1"})
    account.wait_phase("broken", "Failed")
    yield
    for name in ("halted", "broken"):
        account.delete(name)


@pytest.mark.usefixtures("unready")
@pytest.mark.parametrize("row", REFUSALS)
def test_refusals_are_the_sdks_own_exceptions(place: Place, row: str) -> None:
    kind, more = REFUSALS[row]

    def refusal() -> openai.APIStatusError:
        with place.client(place.shared) as app, pytest.raises(openai.APIStatusError) as caught:
            app.chat.completions.create(messages=HELLO, **more)
        return caught.value

    wait_until(lambda: type(refusal()) is kind, SETTLE_SECONDS, f"{row}", lambda: repr(refusal()))
    body: Any = refusal().body
    assert body["error_code"].removeprefix("ModelArts.") == row
    error = refusal()
    assert error.request_id == error.body["request_id"]  # type: ignore[index]


def test_81003_an_unknown_key(place: Place) -> None:
    app = openai.OpenAI(base_url=place.shared, api_key="sk-maas-unknown")
    with app, pytest.raises(openai.AuthenticationError) as caught:
        app.models.list()
    assert caught.value.body["error_code"] == "ModelArts.81003"  # type: ignore[index]


def test_81101_the_sdk_waits_as_it_is_told_and_gets_its_answer(cluster: Cluster, place: Place) -> None:
    key = new_key(cluster, ACCOUNT, "sdk-limited", "thirty a minute", "--limits", "requestsPerMinute=30")
    with openai.OpenAI(base_url=place.shared, api_key=key, max_retries=0) as hasty:
        wait_until(lambda: answers(hasty), SETTLE_SECONDS, "the key to count")
        with pytest.raises(openai.RateLimitError) as caught:
            for _ in range(10):
                hasty.chat.completions.create(model="talker", messages=HELLO, max_tokens=1)
        assert caught.value.response.headers["retry-after"] == "2"
        assert hasty.with_options(max_retries=5).chat.completions.create(model="talker", messages=HELLO, max_tokens=1)


def test_headers_are_there_for_who_looks(app: openai.OpenAI) -> None:
    raw = app.chat.completions.with_raw_response.create(model="talker", messages=HELLO, max_tokens=2)
    assert raw.headers["x-request-id"] == raw.parse()._request_id


def test_a_client_that_gives_up_is_metered(cluster: Cluster, place: Place) -> None:
    key = new_key(cluster, ACCOUNT, "sdk-hasty", "gives up")
    hasty = openai.OpenAI(base_url=place.shared, api_key=key, max_retries=0)
    wait_until(lambda: answers(hasty), SETTLE_SECONDS, "the key to count")
    asked: Any = {"model": "talker", "messages": HELLO, "max_tokens": 1000, "extra_body": {"ignore_eos": True}}
    with pytest.raises(openai.APITimeoutError):
        hasty.with_options(timeout=0.3).chat.completions.create(**asked)
    with hasty.chat.completions.create(**asked, stream=True) as stream:
        seen = sum(bool(chunk.choices[0].delta.content) for chunk, _ in zip(stream, range(20), strict=False))

    def sums() -> dict[str, Any]:
        return used(cluster, ACCOUNT, "sdk-hasty")

    wait_until(
        lambda: sums().get("requests") == 3, SHIPPED_SECONDS, "three requests in the ledger", lambda: str(sums())
    )
    assert seen < sums()["completionTokens"] < 1000
