"""The agent's answers, on loopback behind Envoy: what is no hot path. Envoy has looked at the key already, and says in
headers whose it is."""

import hmac
import json
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus

import aiohttp
from aiohttp import web

from maas_operator.gateway import errors, generating, products
from maas_operator.gateway.envoy.names import (
    ARRIVED,
    AUTHORIZATION,
    CLIENT,
    HOLD_PATH,
    KEEP_ALIVE,
    LENGTH,
    SERVICE,
    SERVICE_ID,
)
from maas_operator.gateway.errors import Error
from maas_operator.gateway.facts import Facts, Key, Product, Reach
from maas_operator.gateway.holding import Holder
from maas_operator.gateway.keeping import REQUEST_ID, Keeper
from maas_operator.gateway.places import Answer
from maas_operator.gateway.products import may_call
from maas_operator.gateway.settings import GatewaySettings
from maas_operator.gateway.signing import SigningKey
from maas_operator.gateway.tokens import sign

LINES_TYPE = "application/x-ndjson"
"""An object a line. What is called application/json the gateway holds back until it is whole, to count tokens in it."""
LARGEST = 1 << 20
"""Bytes of a request that the agent reads."""


@dataclass(frozen=True)
class Agent:
    """What the answers are made from. come: told of each request that Envoy would hold, whether or not there is a place
    for it: its id, its service's id, and when it came, seconds since 1970. inner: Envoy's address for requests that the
    agent makes for a client."""

    settings: GatewaySettings
    facts: Callable[[], Facts]
    signing: Callable[[], tuple[SigningKey, ...]]
    come: Callable[[str, str, float], None]
    holder: Holder
    keeper: Keeper
    http: aiohttp.ClientSession
    inner: str

    def app(self) -> web.Application:
        """The application, to be served on loopback."""
        app = web.Application(client_max_size=LARGEST)
        app.on_shutdown.append(self._closing)
        app.add_routes(
            [
                web.get("/v1/models", self.models),
                web.get("/v1/maas/models", self.offered),
                web.post("/v1/maas/generatestream", self.generate),
                web.post("/oauth2/token", self.token),
                web.get(HOLD_PATH, self.hold),
                # as far as Envoy was told to give them to the agent
                web.post("/v1/chat/completions", self.keeper.answer),
                web.post("/v1/completions", self.keeper.answer),
            ]
        )
        return app

    async def models(self, request: web.Request) -> web.Response:
        """M18: the names under which the key may call services; on a service's own path, that service's."""
        facts = self.facts()
        account, key = _caller(request, facts)
        if id_ := request.headers.get(SERVICE_ID):
            service = next((each for each in facts.services if each.id == id_), None)
            if service is None:
                return _refused(request, errors.NO_API)
            if service.reach == Reach.FROZEN:
                return _refused(request, errors.FROZEN)
            if service.reach == Reach.STOPPED or not may_call(service, account, key):
                return _refused(request, errors.NO_ACCESS)
            return _list(service.names)
        mine = (each for each in facts.services if each.reach == Reach.OPEN and may_call(each, account, key))
        return _list(sorted({name for service in mine for name in service.names}))

    async def hold(self, request: web.Request) -> web.Response:
        """Whether a request that Envoy holds may go on: answered when that is known. No client's path leads here."""
        service, client = request.headers[SERVICE], request.headers[CLIENT]
        arrived, request_id = int(request.headers[ARRIVED]) / 1000, request.headers[REQUEST_ID]
        self.come(request_id, service, arrived)
        if KEEP_ALIVE in request.headers:
            length = int(request.headers[LENGTH])
            answer = await self.keeper.offer(service, client, arrived, request_id, length)
        else:
            answer = await self.holder.wait(service, client, arrived)
        return web.Response(text=answer, status=503 if answer == Answer.AGAIN else 200)

    async def token(self, request: web.Request) -> web.Response:
        """I1: a token for a client's id (ACCOUNT/NAME of an ApiKey of kind ClientCredentials) and secret."""
        keys = self.signing()
        if not keys:
            return _refused(request, errors.NO_API)
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        client = _client(request.headers.get("Authorization", ""), self.facts())
        if client is None:
            headers = {"WWW-Authenticate": 'Basic realm="maas"'}
            return web.json_response({"error": "invalid_client"}, status=401, headers=headers)
        seconds = self.settings.token_seconds
        token = sign(client, keys[0], time.time(), seconds)
        body = {"token_type": "Bearer", "access_token": token, "expires_in": seconds}
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    async def offered(self, _: web.Request) -> web.Response:
        """I2: all products of the catalogue, whether or not a service serves them to this key now."""
        return web.json_response({"models": [products.listed(each) for each in self.facts().products]})

    async def _closing(self, _: web.Application) -> None:
        self.holder.close()

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """I3: the engine's completions, line by line. The request goes through Envoy once more, as the client's own:
        so it is limited, routed and metered as any other."""
        facts = self.facts()
        asked = _asked(await request.read(), facts)
        if isinstance(asked, str):
            return _refused(request, Error(400, errors.BAD_REQUEST.code, asked))
        product, body = asked
        service = products.service_for(product, facts, *_caller(request, facts))
        if service is None:
            return _refused(request, errors.no_service(product.name, product.catalogue_model))
        url = f"{self.inner}/v1/infers/{service.id}/v1/completions"
        headers = {"Authorization": request.headers.get(AUTHORIZATION, "")}
        async with self.http.post(url, json={"model": service.name, **body}, headers=headers) as answer:
            if answer.status != 200:
                kept = {name: value for name, value in answer.headers.items() if name.lower() in _PASSED}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
            lines = generating.Lines(request.headers.get(REQUEST_ID, ""), body.get("seed"))
            stream = web.StreamResponse(headers={"Content-Type": LINES_TYPE})
            await stream.prepare(request)
            async for event in _events(answer.content):
                if "error" in event:
                    await stream.write(lines.failed(str(event["error"].get("message", "the engine failed"))))
                for line in lines.event(event):
                    await stream.write(line)
            for line in lines.end():
                await stream.write(line)
            return stream


_PASSED = frozenset({"content-type", "retry-after"}) | {
    f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")
}


def _caller(request: web.Request, facts: Facts) -> tuple[str, Key | None]:
    """The account whose key came with a request, and what is known of the key."""
    path = request.headers.get(CLIENT, "")
    return path.partition("/")[0], next((each for each in facts.keys if each.path == path), None)


def _asked(text: bytes, facts: Facts) -> tuple[Product, dict[str, Any]] | str:
    """The product and the engine's request, without its model; or what is wrong with the client's."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("request"), dict):
        return "the body is no JSON object with a request"
    found = products.find(facts.products, body.get("model"), body.get("productName"), body.get("productId"))
    if isinstance(found, str):
        return found
    prompt, params = body["request"].get("prompt"), body["request"].get("params") or {}
    if not isinstance(prompt, str) or not isinstance(params, dict):
        return "request.prompt must be a text, and request.params an object"
    try:
        return found, generating.completion(prompt, params)
    except ValueError as error:
        return str(error)


def _client(authorization: str, facts: Facts) -> Key | None:
    """The key of a client whose id and secret are right. RFC 6749 (2.3.1) has both percent-encoded before they are put
    together; curl does not do so, other clients do: either is taken."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        id_, _, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:  # neither base64 nor UTF-8
        return None
    if scheme.lower() != "basic":
        return None
    path = unquote_plus(id_)  # names have neither % nor +
    known = next((key for key in facts.keys if key.client_credentials and key.path == path), None)
    digest = known.sha256 if known else "0" * 64
    sent = {sha256(text.encode()).hexdigest() for text in (secret, unquote_plus(secret))}
    return known if any(hmac.compare_digest(each, digest) for each in sent) else None


async def _events(content: aiohttp.StreamReader) -> Any:
    async for line in content:
        text = line.strip()
        if text.startswith(b"data: ") and text != b"data: [DONE]":
            yield json.loads(text[6:])


def _list(names: Any) -> web.Response:
    data = [{"id": name, "object": "model", "created": 0, "owned_by": ""} for name in names]
    return web.json_response({"object": "list", "data": data})


def _refused(request: web.Request, error: Error) -> web.Response:
    return web.json_response(error.body(request.headers.get(REQUEST_ID, "")), status=error.status)
