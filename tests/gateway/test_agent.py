"""What the agent answers, through Envoy: lists of models (M18), Intel's API (I1, I2, I3), tokens a minute (81103)."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

import pytest

from maas_operator.gateway.facts import Facts, Key, Limits, Product, Reach
from maas_operator.gateway.publishing import Publisher
from maas_operator.gateway.running import answering
from maas_operator.gateway.signing import SigningKey
from maas_operator.gateway.tokens import sign
from maas_operator.gateway.traffic import Requests
from tests.gateway.backend import PROMPT_TOKENS, Backend
from tests.gateway.gateway import Answer, Gateway
from tests.gateway.scene import key, service
from tests.processes import free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

PRODUCT = Product("chat-model", "97a75a6d", "maas-model-qwen", "Qwen/Qwen2.5")
NEW, OLD = (SigningKey(id=name, secret=name[0] * 32) for name in ("new", "old"))
CLIENT = Key("team-a", "app", "uid-app", key("the-secret").sha256, client_credentials=True)


class House(Gateway):
    """A gateway with its agent."""

    publisher: Publisher
    requests: Requests

    async def token(self, client: str = "team-a/app", secret: str = "the-secret", **form: str) -> Answer:
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        return await self.call(
            "POST", "/oauth2/token", headers=headers, data={"grant_type": "client_credentials", **form}
        )

    async def models(self, text: str, path: str = "/v1/models") -> Answer:
        return await self.call("GET", path, headers={"Authorization": f"Bearer {text}"})


@asynccontextmanager
async def house(facts: Facts, *signing: SigningKey) -> AsyncIterator[House]:
    async with House(facts, signing or (NEW, OLD), agent_port=free_port()) as running:
        running.requests = Requests()
        running.publisher = Publisher(running.settings, running.files.folder, running.log, running.requests)
        running.publisher.put(facts)
        running.publisher.sign_with(running.signing)
        async with answering(running.settings, running.publisher), asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(running.publisher.run())
            yield running
            publishing.cancel()


def facts_of(engine: Backend) -> Facts:
    return Facts(
        services=(
            service("chat", engine),
            service("stopped", reach=Reach.STOPPED),
            service("alien", engine, namespace="team-b"),
            service("public", engine, namespace="team-b", shared_with_all=True),
        ),
        keys=(key("key-a"), key("key-only", services=("chat",)), CLIENT),
        products=(PRODUCT,),
    )


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    assert answer.json["object"] == "list"
    for each in answer.json["data"]:
        assert each == {"id": each["id"], "object": "model", "created": 0, "owned_by": ""}
    return [each["id"] for each in answer.json["data"]]


async def test_m18_models_that_a_key_may_call(engine: Backend) -> None:
    async with house(facts_of(engine)) as gateway:
        assert names(await gateway.models("key-a")) == ["chat", "chat-model", "public", "public-model"]
        assert names(await gateway.models("key-only")) == ["chat", "chat-model"]
        assert names(await gateway.models("key-a", "/v1/infers/id-public/v1/models")) == ["public-model", "public"]
        assert (await gateway.models("key-a", "/v1/infers/id-alien/v1/models")).code == "ModelArts.81004"
        assert (await gateway.models("key-only", "/v1/infers/id-public/v1/models")).code == "ModelArts.81004"
        unknown = await gateway.models("key-a", "/v1/infers/nope/v1/models")
        assert (unknown.code, unknown.json["request_id"]) == ("APIG.0101", unknown.headers["x-request-id"])
        assert (await gateway.models("nobody")).code == "ModelArts.81003"


async def test_i1_a_token_calls_until_its_key_goes(engine: Backend) -> None:
    facts = facts_of(engine)
    async with house(facts) as gateway:
        answer = await gateway.token()
        assert answer.status == 200
        assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 3600)
        token = answer.json["access_token"]
        assert (await gateway.chat(token, "chat")).status == 200
        assert (await gateway.chat("the-secret", "chat")).code == "ModelArts.81003", "the secret itself is no key"
        gateway.publisher.put(replace(facts, keys=facts.keys[:-1]))

        async def gone() -> bool:
            return (await gateway.chat(token, "chat")).code == "ModelArts.81003"

        assert await gateway.until(gone) < 2
        assert (await gateway.token()).json == {"error": "invalid_client"}


async def test_i1_tokens_of_other_secrets_or_past_their_time_are_refused(engine: Backend) -> None:
    async with house(facts_of(engine)) as gateway:
        forged = OLD.model_copy(update={"secret": "x" * 32})
        head, claims, signature = sign(CLIENT, NEW, time.time(), 60).split(".")
        unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
        assert (await gateway.chat(sign(CLIENT, OLD, time.time(), 60), "chat")).status == 200
        for token in (
            sign(CLIENT, NEW, time.time() - 600, 60),
            sign(CLIENT, forged, time.time(), 60),
            f"{unsigned}.{claims}.{signature}",
            f"{head}.{claims}.AAAA",
        ):
            assert (await gateway.chat(token, "chat")).code == "ModelArts.81003"


async def test_i1_keys_that_sign_are_changed_while_requests_go_on(engine: Backend) -> None:
    added = SigningKey(id="added", secret="a" * 32)
    async with house(facts_of(engine), OLD) as gateway:

        async def counts(token: str) -> bool:
            answer = await gateway.chat(token, "chat")
            assert (answer.status, answer.code) in ((200, None), (401, "ModelArts.81003")), answer
            return answer.status == 200

        async def refused(token: str) -> bool:
            return not await counts(token)

        first = (await gateway.token()).json["access_token"]
        foreseen = sign(CLIENT, added, time.time(), 60)
        assert await counts(first)
        assert await refused(foreseen)
        gateway.publisher.sign_with((added, OLD))
        assert await gateway.until(lambda: counts(foreseen)) < 2
        assert await counts(first), "the old key is believed"
        second = (await gateway.token()).json["access_token"]
        gateway.publisher.sign_with((added,))
        assert await gateway.until(lambda: refused(first)) < 2
        assert await counts(second), "the first key signs"
        gateway.publisher.sign_with(())
        assert await gateway.until(lambda: refused(second)) < 2
        assert (await gateway.chat("key-a", "chat")).status == 200
        asked = await gateway.token()
        assert (asked.status, asked.code) == (404, "APIG.0101")
        gateway.publisher.sign_with((added,))
        assert await gateway.until(lambda: counts(second)) < 2


async def test_i1_a_stream_goes_on_while_the_keys_that_sign_change(engine: Backend) -> None:
    async with house(facts_of(engine)) as gateway:
        token = (await gateway.token()).json["access_token"]
        engine.delay = 0.05
        streaming = asyncio.create_task(gateway.chat(token, "chat", stream=True, max_tokens=40))
        try:

            async def begun() -> bool:
                return bool(engine.asked) and engine.asked[-1].get("max_tokens") == 40

            async def refused() -> bool:
                return (await gateway.chat(token, "chat")).code == "ModelArts.81003"

            await gateway.until(begun)
            gateway.publisher.sign_with((OLD,))
            await gateway.until(refused)
            assert not streaming.done()
            assert (await streaming).chunks[-1]["choices"][0]["finish_reason"] == "length"
        finally:
            engine.delay = 0.0


async def test_i1_a_client_may_encode_its_id_and_secret_as_rfc_6749_says(engine: Backend) -> None:
    odd = "50% of+a/secret"
    facts = facts_of(engine)
    client = Key("team-a", "odd", "uid-odd", key(odd).sha256, client_credentials=True)
    async with house(replace(facts, keys=(*facts.keys, client))) as gateway:
        for id_, secret in (("team-a/odd", odd), (quote_plus("team-a/odd"), quote_plus(odd))):
            token = (await gateway.token(id_, secret)).json["access_token"]
            assert (await gateway.chat(token, "chat")).status == 200
        assert (await gateway.token("team-a/odd", quote_plus(quote_plus(odd)))).status == 401


async def test_i1_wrong_clients_get_no_token(engine: Backend) -> None:
    async with house(facts_of(engine)) as gateway:
        for client, secret in (
            ("team-a/app", "wrong"),
            ("team-a/key-a", "key-a"),
            ("", ""),
            ("team-b/app", "the-secret"),
        ):
            answer = await gateway.token(client, secret)
            assert (answer.status, answer.json) == (401, {"error": "invalid_client"})
            assert answer.headers["www-authenticate"].startswith("Basic")
        assert (await gateway.token(grant_type="password")).json == {"error": "unsupported_grant_type"}
        for sent in ("", "Basic", "Basic é", "Basic !!", "Bearer x"):
            headers = {"Authorization": sent}
            form = {"grant_type": "client_credentials"}
            assert (await gateway.call("POST", "/oauth2/token", headers=headers, data=form)).status == 401


async def test_i2_the_catalogues_products_are_listed_for_every_key(engine: Backend) -> None:
    facts = facts_of(engine)
    listed = {"model_name": "Qwen/Qwen2.5", "product_id": "97a75a6d", "product_name": "maas-model-qwen"}
    async with house(replace(facts, services=())) as gateway:
        token = (await gateway.token()).json["access_token"]
        for text in ("key-a", "key-only", token):
            assert (await gateway.models(text, "/v1/maas/models")).json == {"models": [listed]}
        gateway.publisher.put(replace(facts, products=()))
        assert (await gateway.models("key-a", "/v1/maas/models")).json == {"models": []}
        assert (await gateway.models("nobody", "/v1/maas/models")).code == "ModelArts.81003"


def generation(**changes: Any) -> dict[str, Any]:
    body = {
        "model": PRODUCT.model,
        "request": {"prompt": "Once", "params": {"max_new_tokens": 4, "temperature": 0.5}},
        "cloudAccountId": "1",
        "productName": PRODUCT.name,
        "productId": PRODUCT.id,
    }
    return body | changes


async def generate(gateway: House, body: Any, text: str = "key-a") -> Answer:
    headers = {"Authorization": f"Bearer {text}"}
    return await gateway.call("POST", "/v1/maas/generatestream", headers=headers, json=body)


async def test_i3_generatestream_line_by_line_and_metered_once(engine: Backend) -> None:
    async with house(facts_of(engine)) as gateway:
        token = (await gateway.token()).json["access_token"]
        answer = await generate(gateway, generation(), token)
        assert answer.status == 200, answer
        *first, last = [json.loads(line)["result"]["response"] for line in answer.body.splitlines()]
        assert [each["token"]["text"] for each in (*first, last)] == [" word1", " word2", " word3", " word4"]
        assert first[0] == {
            "token": {"id": 1, "text": " word1", "logprob": -0.5, "special": False},
            "top_tokens": [],
            "requestID": answer.headers["x-request-id"],
        }
        assert last["generated_text"] == " word1 word2 word3 word4"
        assert last["details"] == {"finish_reason": "FINISH_REASON_LENGTH", "generated_tokens": 4, "seed": 0}
        asked = engine.asked[-1]
        assert (asked["model"], asked["prompt"], asked["max_tokens"], asked["temperature"]) == ("chat", "Once", 4, 0.5)
        lines = await gateway.lines(2)
        assert sum(line.total_tokens for line in lines) == PROMPT_TOKENS + 4
        assert {line.key for line in lines} == {"app"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": "nope"}, "model 'nope' is not offered"),
        ({"request": {"prompt": "a", "params": {"stop": "."}}}, "stop is '.'"),
        ({"productName": "other"}, "productName is 'other', of that model it is 'maas-model-qwen'"),
        ({"productId": None}, "productId is None, of that model it is '97a75a6d'"),
        ({"request": {}}, "request.prompt must be a text"),
        ({"request": {"prompt": "a", "params": {"max_new_tokens": 0}}}, "max_new_tokens is 0"),
        ({"request": {"prompt": "a", "params": {"temperature": "hot"}}}, "temperature is 'hot'"),
    ],
)
async def test_i3_what_does_not_match_is_said(engine: Backend, changes: Any, says: str) -> None:
    async with house(facts_of(engine)) as gateway:
        answer = await generate(gateway, generation(**changes))
        assert (answer.status, answer.code) == (400, "ModelArts.81001")
        assert says in answer.json["error_msg"]


async def test_i3_lines_come_as_the_engine_makes_them(engine: Backend) -> None:
    async with house(facts_of(engine)) as gateway:
        body = generation(request={"prompt": "Once", "params": {"max_new_tokens": 40}})
        engine.delay = 0.05
        ended = engine.tokens
        try:
            headers = {"Authorization": "Bearer key-a"}
            async with gateway.client.post("/v1/maas/generatestream", headers=headers, json=body) as answer:
                assert answer.content_type == "application/x-ndjson"
                first = json.loads(await answer.content.readline())
                assert first["result"]["response"]["token"]["text"] == " word1"
                assert engine.tokens == ended, "the engine has not come to its end"
                assert len((await answer.read()).splitlines()) == 39
        finally:
            engine.delay = 0.0


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"request": 1}', b'"\xff"', b"[" * 100_000])
async def test_i3_a_body_that_is_no_request_is_refused(engine: Backend, text: bytes) -> None:
    async with house(facts_of(engine)) as gateway:
        headers = {"Authorization": "Bearer key-a"}
        answer = await gateway.call("POST", "/v1/maas/generatestream", headers=headers, data=text)
        assert (answer.status, answer.code) == (400, "ModelArts.81001")


async def test_i3_a_product_is_answered_by_a_service_of_its_model_that_the_key_may_call(engine: Backend) -> None:
    model = PRODUCT.catalogue_model
    facts = Facts(
        services=(
            service(model, engine, model="another", names=("another", model)),  # its name is the product's Model's
            service("chat", engine),
            service("prefix", engine, model=model, names=(model, "prefix")),
        ),
        keys=(key("key-a"), key("key-prefix", services=("prefix",)), key("key-other", services=(model,))),
        products=(PRODUCT,),
    )
    async with house(facts) as gateway:
        for number, (text, name) in enumerate((("key-a", "chat"), ("key-prefix", "prefix")), 1):
            answer = await generate(gateway, generation(), text)
            assert answer.status == 200, answer
            (line,) = [each for each in await gateway.lines(2 * number) if each.total_tokens and each.key == text]
            assert (line.service, line.model, engine.asked[-1]["model"]) == (name, model, name)
        answer = await generate(gateway, generation(), "key-other")
        assert (answer.status, answer.code) == (404, "ModelArts.81009")
        assert f"no service of Model {model}" in answer.json["error_msg"]


async def test_i3_the_gateways_refusals_pass(engine: Backend) -> None:
    async with house(facts_of(engine)) as gateway:
        chat = gateway.facts.services[0]
        for changed, code in (
            ([replace(chat, reach=Reach.FROZEN)], "ModelArts.81006"),
            ([replace(chat, reach=Reach.STOPPED)], "ModelArts.81004"),
            ([replace(chat, endpoints=())], "APIG.0203"),
            ([], "ModelArts.81009"),
        ):
            gateway.publisher.put(replace(gateway.facts, services=tuple(changed)))

            async def refused(code: str = code) -> bool:
                return (await generate(gateway, generation())).code == code

            await gateway.until(refused)
        assert (await generate(gateway, generation(), "nobody")).code == "ModelArts.81003"


async def test_81103_tokens_a_minute_are_held_against_key_and_service(engine: Backend) -> None:
    facts = Facts(
        services=(service("chat", engine), service("prefix", engine, limits=Limits(None, 600))),
        keys=(key("key-a", limits=Limits(None, 1200)), key("key-b"), key("key-c")),
    )
    async with house(facts) as gateway:
        for text, model, seconds in (("key-a", "chat", 60 / 20), ("key-b", "prefix", 60 / 10)):
            begun = time.monotonic()
            answer = await gateway.chat(text, model, max_tokens=73)
            assert answer.status == 200

            async def refused(text: str = text, model: str = model) -> bool:
                return (await gateway.chat(text, model, max_tokens=1)).code == "ModelArts.81103"

            assert await gateway.until(refused, every=0.25) < 2, "the overrun is bounded: 0.5 s on a quiet machine"
            assert (await gateway.chat("key-c", "chat")).status == 200

            async def let_through(text: str = text, model: str = model) -> bool:
                return (await gateway.chat(text, model, max_tokens=1)).status == 200

            await gateway.until(let_through, 30, every=0.1)
            taken = time.monotonic() - begun
            print(f"80 tokens at {model}: refused until {taken:.1f} s had passed")
            assert seconds < taken < 3 * seconds


async def test_with_the_agent_gone_known_keys_go_on(engine: Backend) -> None:
    async with Gateway(facts_of(engine)) as gateway:
        assert (await gateway.chat("key-a", "chat")).status == 200
        answer = await gateway.call("GET", "/v1/models", headers={"Authorization": "Bearer key-a"})
        assert (answer.status, answer.code) == (503, "APIG.0203")
