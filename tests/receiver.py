"""A receiver of webhooks, as users run one: it verifies signatures with the library, and may be unwell."""

import asyncio
import base64
import json
import secrets
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

START_SECONDS = 30.0
PATH = "/hook/with-a-secret-path"


def new_signing_key() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass
class Receiver:
    """What came, verified; `answers` are the next statuses, 204 when there are none left."""

    key: str = field(default_factory=new_signing_key)
    events: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    attempts: int = 0
    host: str = "127.0.0.1"
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}{PATH}"

    @property
    def ids(self) -> list[str]:
        return [each["id"] for each in self.events]

    async def take(self, request: web.Request) -> web.Response:
        self.attempts += 1
        body = await request.read()
        Webhook(self.key).verify(body, dict(request.headers))
        event = json.loads(body)
        assert request.headers["webhook-id"] == event["id"]
        assert request.content_type == "application/cloudevents+json"
        if self.answers:
            status, headers = self.answers.pop(0)
            if status >= 300:
                return web.Response(status=status, headers=headers)
        self.events.append(event)
        return web.Response(status=204)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Receiver"]:
        """Listen."""
        app = web.Application()
        app.router.add_post(PATH, self.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, self.host, 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()


class Outside(Receiver):
    """A receiver in a thread of its own, so that tests may wait in theirs."""

    @contextmanager
    def running(self) -> Iterator["Outside"]:
        ready, done, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

        async def serve() -> None:
            async with self.open():
                ready.set()
                await done.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        assert ready.wait(START_SECONDS)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(done.set)
            thread.join()
            loop.close()


def hook(namespace: str, receiver: Receiver, *channels: dict[str, Any]) -> list[dict[str, Any]]:
    """A Secret, and a topic `ops` whose channel `hook` leads to the receiver, with further channels."""
    reference = {"urlFrom": {"name": "hook", "key": "url"}, "signingKeyFrom": {"name": "hook", "key": "signing-key"}}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "hook", "namespace": namespace},
            "stringData": {"url": receiver.url, "signing-key": receiver.key},
        },
        {
            "apiVersion": "maas-operator.io/v1alpha1",
            "kind": "NotificationTopic",
            "metadata": {"name": "ops", "namespace": namespace},
            "spec": {"channels": [{"name": "hook", "webhook": reference}, *channels]},
        },
    ]
