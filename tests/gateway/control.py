"""A content control endpoint: says what it is told to say, and remembers what it was asked."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from maas_operator.gateway.facts import Facts
from tests.gateway.backend import Backend
from tests.gateway.gateway import Gateway
from tests.gateway.scene import key, service

Verdict = Callable[[dict[str, Any]], dict[str, Any]]


def allow(_: dict[str, Any]) -> dict[str, Any]:
    return {"allowed": True}


def refuse(stage: str, reason: str | None = None) -> Verdict:
    """Refuses what comes at that stage."""

    def verdict(asked: dict[str, Any]) -> dict[str, Any]:
        said: dict[str, Any] = {"allowed": asked["stage"] != stage}
        return said if reason is None else said | {"reason": reason}

    return verdict


@dataclass
class Control:
    verdict: Verdict = allow
    raw: dict[str, bytes] = field(default_factory=dict)
    """By stage: sent as it is, in the place of a verdict."""
    resets: bool = False
    """Closes the connection in the place of an answer."""
    status: int = 200
    silence: dict[str, float] = field(default_factory=dict)
    """By stage: seconds before an answer."""
    tls: ssl.SSLContext | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def stages(self) -> list[str]:
        return [asked["stage"] for asked in self.asked]

    def forget(self) -> None:
        """Be as new, on the same port."""
        self.__dict__.update(Control(port=self.port, tls=self.tls, _runner=self._runner).__dict__)

    def settings(self, **more: Any) -> dict[str, Any]:
        """The gateway's settings that lead here."""
        return {"content_control": {"url": f"http://127.0.0.1:{self.port}/check?by=maas", **more}}

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        text = await request.read()
        self.texts.append(text)
        self.paths.append(f"{request.method} {request.path_qs}")
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        asked = json.loads(text)
        self.asked.append(asked)
        await asyncio.sleep(self.silence.get(asked["stage"], 0))
        if self.resets and request.transport:
            request.transport.close()
        body = self.raw.get(asked["stage"], json.dumps(self.verdict(asked)).encode())
        return web.Response(status=self.status, body=body, content_type="application/json")


def facts_of(engine: Backend) -> Facts:
    return Facts(
        services=(
            service("chat", engine),
            service("public", engine, namespace="team-b", shared_with_all=True),
            service("qps", engine, qps=1),
        ),
        keys=(key("key-a", "ci"),),
    )


@contextlib.asynccontextmanager
async def controlled(engine: Backend, **settings: Any) -> AsyncIterator[tuple[Gateway, Control]]:
    """A gateway that asks, and whom it asks."""
    async with Control() as control, Gateway(facts_of(engine), **control.settings(**settings)) as gateway:
        yield gateway, control
