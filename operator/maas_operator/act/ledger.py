"""Requests to the ledger, by whoever has something for it, and patience while it is away."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import structlog
from prometheus_client import Counter
from pydantic import BaseModel

from maas_operator.api.usage import LEDGER_TOKEN_HEADER

SECONDS = 30.0
"""For one request."""
GATHER_SECONDS = 0.5
"""From the first news to its batch: others join it."""
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0

Item = TypeVar("Item")

_TIMEOUT = aiohttp.ClientTimeout(total=SECONDS)

log = structlog.get_logger()


class NotTakenError(Exception):
    """The ledger does not answer, or refuses; the text says why."""


class UnfitError(NotTakenError):
    """The ledger cannot read what it was sent (HTTP status 400): the same again will not be taken either."""


class LedgerClient:
    """The ledger at this URL (http://HOST:PORT), with the token in this file, renewed by the kubelet. To be entered."""

    def __init__(self, url: str, token: Path) -> None:
        self._url = url
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._session:
            await self._session.close()
        self._session = None

    async def post(self, path: str, batch: BaseModel) -> None:
        """Post a batch. Raises NotTakenError, and UnfitError of them."""
        await self._ask("POST", path, batch.model_dump_json(by_alias=True).encode())

    async def lines(self, path: str) -> list[str]:
        """Get JSON lines. Raises NotTakenError."""
        return (await self._ask("GET", path)).splitlines()

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> str:
        if self._session is None:
            raise RuntimeError("the ledger's client was not entered")
        try:
            token = await asyncio.to_thread(self._token.read_text)
            headers = {LEDGER_TOKEN_HEADER: token.strip(), "Content-Type": "application/json"}
            async with self._session.request(method, f"{self._url}/{path}", data=body, headers=headers) as answer:
                text = await answer.text()
                if answer.status == HTTPStatus.OK:
                    return text
                kind = UnfitError if answer.status == HTTPStatus.BAD_REQUEST else NotTakenError
                raise kind(f"HTTP status {answer.status}: {text[:500]}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotTakenError(str(error) or type(error).__name__) from error


async def in_parts(
    items: Sequence[Item],
    post: Callable[[Sequence[Item]], Awaitable[None]],
    unfit: Callable[[Item, UnfitError], None],
) -> None:
    """Post items, in their order. Of what the ledger cannot read, ever smaller parts are posted, until it is found
    which of them it is: that one is given to `unfit`, and stops no other. Raises NotTakenError."""
    try:
        await post(items)
    except UnfitError as error:
        if len(items) == 1:
            unfit(items[0], error)
            return
        half = len(items) // 2
        await in_parts(items[:half], post, unfit)
        await in_parts(items[half:], post, unfit)


class Patience:
    """Waits ever longer while the ledger does not take something; the log says so once, and once when it does again."""

    def __init__(self, what: str, failures: Counter) -> None:
        self._what = what
        self._failures = failures
        self._seconds: float | None = None

    async def wait(self, error: NotTakenError) -> None:
        """It was not taken: wait before the next try."""
        self._failures.inc()
        if self._seconds is None:
            log.warning(f"the ledger does not take {self._what}; they are kept and sent again", error=str(error))
        seconds = FIRST_RETRY_SECONDS if self._seconds is None else self._seconds
        self._seconds = min(LONGEST_RETRY_SECONDS, 2 * seconds)
        await asyncio.sleep(seconds)

    def taken(self) -> None:
        """It was taken."""
        if self._seconds is not None:
            log.info(f"the ledger takes {self._what} again")
        self._seconds = None
