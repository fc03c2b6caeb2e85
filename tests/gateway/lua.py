"""Scripts of the gateway's, run in Envoy itself."""

import asyncio
import shutil
import subprocess
import tempfile
from pathlib import Path

import aiohttp

from tests.gateway.gateway import ENVOY
from tests.processes import free_port

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


def answers(code: str, texts: list[str]) -> list[str]:
    """What a script answers to requests with these in the header `text`."""
    return [body for _, body in asked(code, texts)]


def asked(code: str, texts: list[str]) -> list[tuple[int, str]]:
    """Status and body of the answers to requests with these in the header `text`."""
    folder = Path(tempfile.mkdtemp(prefix="maas-lua-"))
    port = free_port()
    (folder / "script.lua").write_text(code)
    (folder / "config.yaml").write_text(CONFIG.format(admin=free_port(), port=port, script=folder / "script.lua"))
    envoy = subprocess.Popen(
        [ENVOY, "-c", str(folder / "config.yaml"), "--concurrency", "1", "-l", "off", "--disable-hot-restart"]
    )
    try:
        return asyncio.run(_ask(f"http://127.0.0.1:{port}", texts))
    finally:
        envoy.kill()
        envoy.wait()
        shutil.rmtree(folder)


async def _ask(url: str, texts: list[str]) -> list[tuple[int, str]]:
    async with aiohttp.ClientSession() as session:
        for _ in range(500):
            try:
                await session.get(url)
                break
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)
        found = [await session.get(url, headers={"text": text}) for text in texts]
        return [(each.status, await each.text()) for each in found]
