"""The two requests of the shipper: to the ledger, and to Envoy's admin interface."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from pydantic import ValidationError

from maas_operator.api.usage import LEDGER_TOKEN_HEADER, Batch, Receipt

SECONDS = 30.0
_TIMEOUT = aiohttp.ClientTimeout(total=SECONDS)

Send = Callable[[Batch], Awaitable[Receipt]]
"""Raises NotAcknowledgedError: then it is not known whether the batch was counted."""
Reopen = Callable[[], Awaitable[None]]
"""Have Envoy open its log anew. Raises NotReopenedError."""


class NotAcknowledgedError(Exception):
    """The ledger did not answer with a receipt."""


class NotReopenedError(Exception):
    """Envoy did not take the order."""


def sender(session: aiohttp.ClientSession, ledger: str, token_file: Path) -> Send:
    """Send to this ledger (http://HOST:PORT). The token is read each time, since the kubelet renews it."""

    async def send(batch: Batch) -> Receipt:
        try:
            headers = {LEDGER_TOKEN_HEADER: _token(token_file), "Content-Type": "application/json"}
            body = batch.model_dump_json(by_alias=True).encode()
            async with session.post(f"{ledger}/v1/batches", data=body, headers=headers, timeout=_TIMEOUT) as answer:
                text = await answer.read()
                if answer.status != 200:
                    said = text[:500].decode(errors="replace")
                    raise NotAcknowledgedError(f"{ledger} answers {answer.status}: {said}")
                return Receipt.model_validate_json(text)
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError) as error:
            raise NotAcknowledgedError(f"{ledger}: {error or type(error).__name__}") from error

    return send


def reopener(session: aiohttp.ClientSession, admin: str) -> Reopen:
    """Tell the Envoy of this admin address (http://127.0.0.1:PORT)."""

    async def reopen() -> None:
        try:
            async with session.post(f"{admin}/reopen_logs", timeout=_TIMEOUT) as answer:
                if answer.status != 200:
                    raise NotReopenedError(f"{admin}/reopen_logs answers {answer.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotReopenedError(f"{admin}/reopen_logs: {error or type(error).__name__}") from error

    return reopen


def _token(file: Path) -> str:
    return file.read_text().strip()
