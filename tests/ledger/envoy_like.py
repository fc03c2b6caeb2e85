"""What writes an access log as Envoy does: python -m tests.ledger.envoy_like LOG PORT PER_SECOND FIRST_NUMBER.

It appends, and opens its log anew, closing the old one first, when POST /reopen_logs comes. On a full disk it writes
what fits and goes on, as Envoy does.
"""

import asyncio
import os
import sys

from aiohttp import web

from tests.unit.shipping.lines import line

TICK = 0.01


class EnvoyLike:
    """One process."""

    def __init__(self, path: str, per_second: int, number: int) -> None:
        self._path = path
        self._per_tick = max(1, int(per_second * TICK))
        self._number = number
        self._file = self._open()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    async def reopen(self, _: web.Request) -> web.Response:
        os.close(self._file)
        self._file = self._open()
        return web.Response(text="OK\n")

    async def write(self) -> None:
        while True:
            text = b""
            for _ in range(self._per_tick):
                self._number += 1
                text += line(self._number, prompt_tokens=self._number % 1000, key=f"key-{self._number % 5}")
            try:
                os.write(self._file, text)
            except OSError:
                await asyncio.sleep(TICK)
            await asyncio.sleep(TICK)


async def main(path: str, port: str, per_second: str, number: str) -> None:
    envoy = EnvoyLike(path, int(per_second), int(number))
    app = web.Application()
    app.add_routes([web.post("/reopen_logs", envoy.reopen)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(port)).start()
    await envoy.write()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
