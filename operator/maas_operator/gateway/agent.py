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

import aiohttp
from aiohttp import web

from maas_operator.gateway import errors, generating, products
from maas_operator.gateway.envoy.names import AUTHORIZATION, CLIENT, SERVICE_ID
from maas_operator.gateway.errors import Error
from maas_operator.gateway.facts import Facts, Key, Reach, Service
from maas_operator.gateway.products import Product
from maas_operator.gateway.settings import GatewaySettings
from maas_operator.gateway.tokens import sign

REQUEST_ID = "x-request-id"
LARGEST = 1 << 20
"""Bytes of a request that the agent reads."""


@dataclass(frozen=True)
class Agent:
    """What the answers are made from. inner: Envoy's address for requests that the agent makes for a client."""

    settings: GatewaySettings
    facts: Callable[[], Facts]
    products: tuple[Product, ...]
    http: aiohttp.ClientSession
    inner: str

    def app(self) -> web.Application:
        """The application, to be served on loopback."""
        app = web.Application(client_max_size=LARGEST)
        app.add_routes(
            [
                web.get("/v1/models", self.models),
                web.get("/v1/maas/models", self.offered),
                web.post("/v1/maas/generatestream", self.generate),
                web.post("/oauth2/token", self.token),
            ]
        )
        return app

    async def models(self, request: web.Request) -> web.Response:
        """M18: the names under which the key may call services; on a service's own path, that service's."""
        facts, account = self.facts(), request.headers.get(CLIENT, "").partition("/")[0]
        key = next((each for each in facts.keys if each.path == request.headers.get(CLIENT)), None)
        if id_ := request.headers.get(SERVICE_ID):
            service = next((each for each in facts.services if each.id == id_), None)
            if service is None:
                return _refused(request, errors.NO_API)
            if service.reach == Reach.FROZEN:
                return _refused(request, errors.FROZEN)
            if service.reach == Reach.STOPPED or not _may_call(service, account, key):
                return _refused(request, errors.NO_ACCESS)
            return _list(service.names)
        mine = (each for each in facts.services if each.reach == Reach.OPEN and _may_call(each, account, key))
        return _list(sorted({name for service in mine for name in service.names}))

    async def token(self, request: web.Request) -> web.Response:
        """I1: a token for a client's id (ACCOUNT/NAME of an ApiKey of kind ClientCredentials) and secret."""
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        client = _client(request.headers.get("Authorization", ""), self.facts())
        if client is None or not self.settings.signing_keys:
            headers = {"WWW-Authenticate": 'Basic realm="maas"'}
            return web.json_response({"error": "invalid_client"}, status=401, headers=headers)
        seconds = self.settings.token_seconds
        token = sign(client, self.settings.signing_keys[0], time.time(), seconds)
        body = {"token_type": "Bearer", "access_token": token, "expires_in": seconds}
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    async def offered(self, _: web.Request) -> web.Response:
        """I2: the products."""
        return web.json_response({"models": [each.listed() for each in self.products]})

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """I3: the engine's completions, line by line. The request goes through Envoy once more, as the client's own:
        so it is limited, routed and metered as any other."""
        asked = self._asked(await request.read())
        if isinstance(asked, str):
            return _refused(request, Error(400, errors.BAD_REQUEST.code, asked))
        headers = {"Authorization": request.headers.get(AUTHORIZATION, "")}
        async with self.http.post(f"{self.inner}/v1/completions", json=asked, headers=headers) as answer:
            if answer.status != 200:
                kept = {name: value for name, value in answer.headers.items() if name.lower() in _PASSED}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
            lines = generating.Lines(request.headers.get(REQUEST_ID, ""), asked.get("seed"))
            stream = web.StreamResponse(headers={"Content-Type": "application/json"})
            await stream.prepare(request)
            async for event in _events(answer.content):
                if "error" in event:
                    await stream.write(lines.failed(str(event["error"].get("message", "the engine failed"))))
                for line in lines.event(event):
                    await stream.write(line)
            for line in lines.end():
                await stream.write(line)
            return stream

    def _asked(self, text: bytes) -> dict[str, Any] | str:
        """The engine's request, or what is wrong with the client's."""
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("request"), dict):
            return "the body is no JSON object with a request"
        found = products.find(self.products, body.get("model"), body.get("productName"), body.get("productId"))
        if isinstance(found, str):
            return found
        prompt, params = body["request"].get("prompt"), body["request"].get("params") or {}
        if not isinstance(prompt, str) or not isinstance(params, dict):
            return "request.prompt must be a text, and request.params an object"
        try:
            return generating.completion(found.service, prompt, params)
        except ValueError as error:
            return str(error)


_PASSED = frozenset({"content-type", "retry-after"}) | {
    f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")
}


def _may_call(service: Service, account: str, key: Key | None) -> bool:
    if not service.callable_by(account):
        return False
    return key is None or not key.services or (service.namespace == account and service.name in key.services)


def _client(authorization: str, facts: Facts) -> Key | None:
    """The key of a client whose id and secret are right."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        id_, _, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:  # neither base64 nor UTF-8
        return None
    if scheme.lower() != "basic":
        return None
    known = next((key for key in facts.keys if key.client_credentials and key.path == id_), None)
    digest = sha256(secret.encode()).hexdigest()
    return known if hmac.compare_digest(digest, known.sha256 if known else "0" * 64) else None


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
