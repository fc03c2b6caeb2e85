"""Looking up the names of receivers in threads of its own.

A name whose servers do not answer keeps its thread for many seconds. aiohttp's own resolver, and the operator's other
looks at files and names, share the few threads of asyncio.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

AT_ONCE = 32
"""Names that are looked up at a time."""
_NUMBERS = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Resolver(AbstractResolver):
    """Asks the system, as aiohttp's ThreadedResolver does."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "resolving")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError."""
        ask = partial(
            socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=int(address[1]), family=kind, proto=protocol, flags=_NUMBERS
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Look up nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
