"""Scripts alone, in Envoy itself. SHA-256 (M22) by the vectors of NIST (FIPS 180-4, CAVP) and at its blocks' edges."""

import asyncio
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maas_operator.gateway.envoy.lua import GUARD, script
from tests.gateway.gateway import ENVOY
from tests.processes import free_port

NIST = {
    "": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": (
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    "abcdefghbcdefghicdefghijdefghijkefghijklfghijklm"
    "ghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu": (
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
    ),
}
EDGES = ["a" * length for length in (1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 511, 512)]
WORDS = [chr(33 + n % 90) * (n % 70) + str(n * 7919) for n in range(60)]

CONFIG = """
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: a
          route_config: {{virtual_hosts: [{{name: a, domains: ["*"], routes: []}}]}}
          http_filters:
          - name: lua
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
              default_source_code: {{filename: {script}}}
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"""
ANSWER = """
function envoy_on_request(handle)
  handle:respond({[":status"] = "200"}, sha256(handle:headers():get("text") or ""))
end
"""


FAILING = """
envoy_on_request = guarded(function(handle) error("as it happens") end)
"""


@contextmanager
def envoy_running(code: str) -> Iterator[int]:
    """An Envoy with this script alone; its port."""
    folder = Path(tempfile.mkdtemp(prefix="maas-lua-"))
    port = free_port()
    (folder / "script.lua").write_text(code)
    (folder / "config.yaml").write_text(CONFIG.format(admin=free_port(), port=port, script=folder / "script.lua"))
    envoy = subprocess.Popen(
        [ENVOY, "-c", str(folder / "config.yaml"), "--concurrency", "1", "-l", "off", "--disable-hot-restart"]
    )
    try:
        yield port
    finally:
        envoy.kill()
        envoy.wait()
        shutil.rmtree(folder)


def test_m22_sha256_in_lua_is_sha256() -> None:
    texts = [*NIST, *EDGES, *WORDS]
    with envoy_running(script("sha256.lua") + ANSWER) as port:
        answers = asyncio.run(ask(port, texts))
    assert answers == [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    assert answers[: len(NIST)] == list(NIST.values())


def test_a_script_that_fails_refuses_its_request() -> None:
    with envoy_running(script(GUARD) + FAILING) as port:
        assert asyncio.run(status(port)) == 500


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for _ in range(500):
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
    raise TimeoutError("Envoy does not listen")


async def status(port: int) -> int:
    reader, writer = await connected(port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


async def ask(port: int, texts: list[str]) -> list[str]:
    reader, writer = await connected(port)
    answers = []
    for text in texts:
        writer.write(f"GET / HTTP/1.1\r\nHost: a\r\ntext: {text}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        answers.append((await reader.readexactly(64)).decode())
    writer.close()
    return answers
