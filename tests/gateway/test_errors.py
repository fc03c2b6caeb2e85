"""The table of errors: every row that the gateway itself answers, and the engine's own, passed on."""

import asyncio
import re
from typing import Any

import pytest

from maas_operator.gateway.facts import Facts
from tests.gateway.backend import MISSING_MESSAGES, Backend, wrong_model
from tests.gateway.gateway import Answer, Gateway
from tests.gateway.scene import SERVED, key, service

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT = "/v1/chat/completions"


def refused(answer: Answer, status: int, code: str, message: str = "") -> None:
    assert (answer.status, answer.code) == (status, code), answer
    body = answer.json
    assert list(body) == ["error_code", "error_msg", "request_id"]
    assert body["request_id"] == answer.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", body["request_id"])
    assert answer.headers["content-type"] == "application/json"
    assert message in body["error_msg"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"nul",
        b'"text"',
        b"\xff\xfe{\x00}\x00",
        b'{"messages":[]}',
        b'{"model":""}',
        b'{"model":null}',
        b'{"model":3}',
        b'{"model":{"a":1}}',
        b'{"model":"chat"} {}',
        b'{"model":"chat","temperature":NaN}',
        b'{"model":"chat","stream":"yes"}',
        b'{"model":"chat","stream":1}',
    ],
)
async def test_81001_the_body_cannot_be_parsed_or_names_no_model(gateway: Gateway, body: bytes) -> None:
    headers = {"Authorization": "Bearer key-a", "Content-Type": "application/json"}
    refused(await gateway.call("POST", CHAT, headers=headers, data=body), 400, "ModelArts.81001")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("n", value) for value in (2, 128, 1.5, "2", "2_0", " 3 ", True, 10**30)),
        *(("use_beam_search", value) for value in (True, 1, "true", "on")),
        *(("length_penalty", value) for value in (0, 0.5, -1, 1.000001, "2", "1_1", True)),
    ],
)
async def test_m20_81001_a_parameter_that_the_models_version_does_not_support(
    gateway: Gateway, name: str, value: Any
) -> None:
    """However it is written: the engine also takes numbers and booleans as texts. Lists and objects it refuses."""
    answer = await gateway.chat("key-a", "plain", **{name: value})
    refused(answer, 400, "ModelArts.81001", "Model plain-model does not support ")
    assert f" {name}" in answer.json["error_msg"]
    assert (await gateway.chat("key-a", "chat", **{name: value})).status == 200, "another model's version may"


@pytest.mark.parametrize(
    "body",
    [
        {"n": 1, "use_beam_search": False, "length_penalty": 1},
        {"n": None, "use_beam_search": None, "length_penalty": None},
        {"n": "1", "length_penalty": 1.0, "stop": ["n"], "metadata": {"n": 2, "use_beam_search": True}},
        {"stream": True, "n": 1},
    ],
)
async def test_m20_parameters_that_ask_for_nothing_pass(gateway: Gateway, body: dict[str, Any]) -> None:
    assert (await gateway.chat("key-a", "plain", **body)).status == 200


@pytest.mark.parametrize(
    "sent", [None, "", "Bearer", "Bearer ", "key-a", "Basic a2V5LWE6", "Token key-a", "Bearer a b"]
)
async def test_81002_the_authorization_header_is_missing_empty_or_lacks_bearer(
    gateway: Gateway, sent: str | None
) -> None:
    headers = {} if sent is None else {"Authorization": sent}
    refused(await gateway.call("POST", CHAT, headers=headers, json={"model": "chat"}), 400, "ModelArts.81002")


@pytest.mark.parametrize("sent", ["nobody", "key-A", "key-a.", "é", "eyJh.eyJh.AAAA", "k" * 5000])
async def test_81003_the_key_is_unknown(gateway: Gateway, sent: str) -> None:
    refused(await gateway.chat(sent, "chat"), 401, "ModelArts.81003")


async def test_81004_no_access_to_the_service_or_it_is_not_enabled(gateway: Gateway) -> None:
    refused(await gateway.chat("key-a", "stopped"), 401, "ModelArts.81004")
    refused(await gateway.chat("key-only", "chat"), 401, "ModelArts.81004")
    headers = {"Authorization": "Bearer key-a"}
    for id_ in ("id-alien", "id-stopped"):
        path = f"/v1/infers/{id_}/v1/chat/completions"
        refused(await gateway.call("POST", path, headers=headers, json={"model": "alien"}), 401, "ModelArts.81004")


async def test_81005_the_quota_is_used_up(gateway: Gateway) -> None:
    refused(await gateway.chat("key-quota", "chat"), 401, "ModelArts.81005")


async def test_81006_the_account_or_the_service_is_frozen(gateway: Gateway) -> None:
    refused(await gateway.chat("key-frozen", "chat"), 401, "ModelArts.81006")
    refused(await gateway.chat("key-a", "frozen"), 401, "ModelArts.81006")


async def test_81009_the_model_named_in_the_body_is_not_found(gateway: Gateway) -> None:
    for model in ("nope", "alien", "team-a/chat", "name/chat", "chat\n", "漢"):
        refused(await gateway.chat("key-a", model), 404, "ModelArts.81009")


async def test_81101_a_key_past_its_requests_a_minute(gateway: Gateway) -> None:
    answers = [await gateway.chat("key-minutely", "chat") for _ in range(3)]
    assert answers[0].status == 200
    refused(answers[-1], 429, "ModelArts.81101", "Too many requests, exceeded rate limit is 60 times per minute.")
    told(answers[-1], "requests", "60")


async def test_81101_a_service_past_its_requests_a_minute(gateway: Gateway) -> None:
    answers = [await gateway.chat("key-a", "minutely") for _ in range(3)]
    assert answers[0].status == 200
    refused(answers[-1], 429, "ModelArts.81101", "Too many requests, exceeded rate limit is 60 times per minute.")
    told(answers[-1], "requests", "60")


def told(answer: Answer, what: str, limit: str) -> None:
    assert answer.headers["retry-after"] == "1"
    assert answer.headers[f"x-ratelimit-limit-{what}"] == limit
    assert answer.headers[f"x-ratelimit-remaining-{what}"] == "0"
    assert answer.headers[f"x-ratelimit-reset-{what}"] == "1s"


async def test_81103_past_the_tokens_a_minute(gateway: Gateway) -> None:
    words = "Too many requests. exceeded rate limit is {} tokens per minute."
    of_key, of_service = await gateway.chat("key-spent", "chat"), await gateway.chat("key-a", "spent")
    refused(of_key, 429, "ModelArts.81103", words.format(500))
    told(of_key, "tokens", "500")
    refused(of_service, 429, "ModelArts.81103", words.format(100))
    told(of_service, "tokens", "100")


async def test_apig_0308_a_service_past_its_qps(gateway: Gateway) -> None:
    answers = [await gateway.chat("key-a", "qps") for _ in range(3)]
    assert answers[0].status == 200
    words = "The throttling threshold has been reached: policy api over ratelimit,limit:1,time:1 second"
    refused(answers[-1], 429, "APIG.0308", words)
    assert answers[-1].headers["retry-after"] == "1"


async def test_apig_0308_an_address_past_its_requests_a_minute(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Gateway(facts, requests_per_minute_per_address=5) as gateway:
        answers = [await gateway.chat("nobody") for _ in range(4)]
    words = "The throttling threshold has been reached: policy ip over ratelimit,limit:5,time:1 minute"
    refused(answers[-1], 429, "APIG.0308", words)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/health",
        "/v1/embeddings",
        "/v1/chat/completions/",
        "/v1/infers/id-chat",
        "/v1/infers/id-chat/metrics",
        "/v1/infers/id-chat/v1/load_lora_adapter",
        "/v1/infers/id-chat/v1/../../metrics",
        "/v1/infers/id-chat/oauth2/token",
        "/v1/infers/id-chat/v1/maas/models",
    ],
)
async def test_apig_0101_unknown_paths(gateway: Gateway, path: str) -> None:
    headers = {"Authorization": "Bearer key-a"}
    refused(await gateway.call("POST", path, headers=headers, json={"model": "chat"}), 404, "APIG.0101")


async def test_apig_0101_unknown_service_ids(gateway: Gateway) -> None:
    headers = {"Authorization": "Bearer key-a"}
    for id_ in ("nope", "chat", "id-chat%20", "%2e%2e"):
        answer = await gateway.call("POST", f"/v1/infers/{id_}{CHAT}", headers=headers, json={"model": "chat"})
        refused(answer, 404, "APIG.0101")


async def test_405_wrong_methods(gateway: Gateway) -> None:
    for method, path, allowed in (("GET", CHAT, "POST"), ("DELETE", CHAT, "POST"), ("POST", "/v1/models", "GET"),
                                  ("GET", "/v1/infers/id-chat/v1/chat/completions", "POST")):  # fmt: skip
        answer = await gateway.call(method, path)
        assert (answer.status, answer.json) == (405, {"detail": "Method Not Allowed"})
        assert answer.headers["allow"] == allowed


async def test_apig_0203_no_instance_is_ready(gateway: Gateway) -> None:
    refused(await gateway.chat("key-a", "empty"), 503, "APIG.0203", "Backend timeout")


async def test_apig_0203_the_instance_is_gone_or_silent(engine: Backend) -> None:
    async with Backend("chat") as silent:
        silent.silence = 5
        facts = Facts(
            services=(service("chat", silent), service("gone", endpoints=(("127.0.0.1", 1),))), keys=(key("key-a"),)
        )
        async with Gateway(facts, backend_seconds=1) as gateway:
            refused(await gateway.chat("key-a", "chat"), 504, "APIG.0203", "Backend timeout")
            refused(await gateway.chat("key-a", "gone"), 503, "APIG.0203", "Backend timeout")


async def test_413_more_than_the_gateway_takes(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Gateway(facts, request_bytes=65536) as gateway:
        refused(await gateway.chat("key-a", "chat", padding="x" * 200_000), 413, "ModelArts.81001")


ENGINES_OWN: list[tuple[dict[str, Any], int, Any]] = [
    ({"model": "nope", "messages": []}, 404, wrong_model("nope", SERVED[0])),
    ({"model": "chat"}, 400, MISSING_MESSAGES),
]


@pytest.mark.parametrize(("body", "status", "said"), ENGINES_OWN)
async def test_the_engines_own_errors_pass_unchanged(gateway: Gateway, body: Any, status: int, said: Any) -> None:
    path = f"/v1/infers/id-chat{CHAT}"
    answer = await gateway.call("POST", path, headers={"Authorization": "Bearer key-a"}, json=body)
    assert (answer.status, answer.json) == (status, said)


async def test_the_engines_500_passes_unchanged(engine: Backend, gateway: Gateway) -> None:
    engine.failing = True
    try:
        answer = await gateway.chat("key-a", "chat")
    finally:
        engine.failing = False
    assert (answer.status, answer.json["error"]["type"]) == (500, "InternalServerError")


async def test_answers_at_the_same_time_have_ids_of_their_own(gateway: Gateway) -> None:
    answers = await asyncio.gather(*(gateway.chat("nobody", "chat") for _ in range(20)))
    assert len({answer.json["request_id"] for answer in answers}) == 20
