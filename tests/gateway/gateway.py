"""A real Envoy on loopback ports, with files made from facts."""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp

from maas_operator.gateway.access_log import Line
from maas_operator.gateway.envoy import render, render_start, render_tokens
from maas_operator.gateway.facts import Facts
from maas_operator.gateway.files import Files
from maas_operator.gateway.settings import GatewaySettings
from maas_operator.gateway.signing import SigningKey
from tests.processes import free_port

ENVOY = shutil.which("envoy", path=str(Path(sys.executable).parent)) or shutil.which("envoy") or ""
PATH_WITH_ENVOY = f"{Path(ENVOY).parent}:{os.environ['PATH']}"
"""Where start.sh finds it."""


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class Gateway:
    """One replica."""

    def __init__(self, facts: Facts, signing: Sequence[SigningKey] = (), **settings: Any) -> None:
        ports = {name: free_port() for name in ("port", "admin_port", "inner_port", "onward_port", "late_port")}
        self.settings = GatewaySettings.model_validate(
            {"address": "127.0.0.1", "workers": 1, "agent_port": 9, **ports, **settings}
        )
        self.facts = facts
        self.signing = tuple(signing)
        self.folder = Path(tempfile.mkdtemp(prefix="maas-gateway-"))
        self.log = self.folder / "access.log"
        self.files = Files(self.folder / "envoy")
        self.process: subprocess.Popen[bytes] | None = None
        self.client: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    async def __aenter__(self) -> Self:
        self.put(self.facts)
        self.files.put(render_tokens(self.signing))
        self.start()
        self.client = aiohttp.ClientSession(self.url, connector=aiohttp.TCPConnector(limit=0))
        await self.until(self._ready)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        if self.process:
            self.process.kill()
            self.process.wait()
        said = self.said()
        shutil.rmtree(self.folder)
        failed = [line for line in said.splitlines() if "script log" in line and "content control gave" not in line]
        assert not failed, said[-3000:]

    def start(self) -> None:
        folder = str(self.files.folder)
        self.files.put(render_start(self.settings, folder, str(self.log)))
        arguments = ["--service-node", "gateway", "--service-cluster", "gateway"]
        arguments += [
            "--concurrency",
            str(self.settings.workers),
            "--component-log-level",
            "misc:error",
            "-l",
            "warning",
        ]
        errors = (self.folder / "envoy.log").open("ab")
        self.process = subprocess.Popen(
            ["bash", f"{folder}/start.sh", *arguments],
            env=os.environ | {"PATH": PATH_WITH_ENVOY},
            stdout=errors,
            stderr=errors,
        )

    def put(self, facts: Facts) -> None:
        self.facts = facts
        self.files.put(render(facts))

    def said(self) -> str:
        """What Envoy warned of."""
        return (self.folder / "envoy.log").read_text(errors="replace")

    async def call(self, method: str, path: str, **options: Any) -> "Answer":
        async with self.client.request(method, path, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def chat(self, key: str | None = "key-a", model: Any = "tiny", **body: Any) -> "Answer":
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        messages = [{"role": "user", "content": "hi"}]
        return await self.call(
            "POST", "/v1/chat/completions", headers=headers, json={"model": model, "messages": messages, **body}
        )

    async def stat(self, name: str) -> int:
        """A figure of Envoy's."""
        url = f"http://127.0.0.1:{self.settings.admin_port}/stats?filter=^{name}$"
        async with self.client.get(url) as answer:
            return int((await answer.text()).rpartition(":")[2])

    async def lines(self, count: int) -> list[Line]:
        """The access log, once it has so many lines."""

        async def there() -> bool:
            return self.log.exists() and self.log.read_bytes().count(b"\n") >= count

        await self.until(there)
        return [Line.model_validate_json(line) for line in self.log.read_text().splitlines()]

    async def line(self, answer: "Answer") -> Line:
        """The access log's line of an answer."""
        return await self.line_of(answer.headers["x-request-id"])

    async def line_of(self, request_id: str) -> Line:
        """The access log's line of a request."""
        id_ = request_id.encode()

        async def there() -> bool:
            return self.log.exists() and id_ in self.log.read_bytes()

        await self.until(there)
        lines = [Line.model_validate_json(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return next(line for line in lines if line.request_id == request_id)

    async def until(self, true: Callable[[], Awaitable[bool]], seconds: float = 15, every: float = 0.01) -> float:
        """Seconds until it is true."""
        begun = time.monotonic()
        while not await true():
            assert time.monotonic() - begun < seconds, self.said()[-3000:]
            assert self.process is None or self.process.poll() is None, self.said()[-3000:]
            await asyncio.sleep(every)
        return time.monotonic() - begun

    async def _ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            admin = f"http://127.0.0.1:{self.settings.admin_port}/ready"
            async with self.client.get(admin) as response:
                if response.status != 200:
                    return False
            answer = await self.call("GET", "/nothing")
            return answer.code == "APIG.0101"
        return False


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"{self.status} {dict(self.headers)} {self.body[:600]!r}"

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        with contextlib.suppress(ValueError):
            body = self.json
            return body.get("error_code") if isinstance(body, dict) else None
        return None

    @property
    def chunks(self) -> list[Any]:
        """A stream's events, without [DONE]."""
        events = [event.removeprefix("data: ") for event in self.body.decode().split("\n\n") if event]
        assert events[-1] == "[DONE]"
        return [json.loads(event) for event in events[:-1]]
