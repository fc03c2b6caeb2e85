"""How many tokens each key has used in its life, as the ledger counts: for keys that have a quota."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
import structlog
from pydantic import ValidationError

from maas_operator.api.usage import LEDGER_TOKEN_HEADER, UsageLine

INTERVAL = 15.0
"""Seconds between two questions; by so much a quota may be overrun."""
_TIMEOUT = aiohttp.ClientTimeout(total=60)

log = structlog.get_logger()


class Quotas:
    """Asks the ledger. While it does not answer, what it said last holds."""

    def __init__(self, session: aiohttp.ClientSession, ledger: str, token_file: Path) -> None:
        self._session = session
        self._ledger = ledger
        self._token_file = token_file
        self.used: dict[str, int] = {}
        """Key (ACCOUNT/NAME) -> prompt and completion tokens."""

    async def run(self, needed: Callable[[], bool], changed: Callable[[], None]) -> None:
        """Ask now and then while there are quotas, until cancelled."""
        while True:
            if needed():
                await self._ask(changed)
            await asyncio.sleep(INTERVAL)

    async def _ask(self, changed: Callable[[], None]) -> None:
        try:
            used = await self._usage()
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError) as error:
            log.warning("the ledger does not say what keys have used", error=str(error) or type(error).__name__)
            return
        if used != self.used:
            self.used = used
            changed()

    async def _usage(self) -> dict[str, int]:
        headers = {LEDGER_TOKEN_HEADER: self._token_file.read_text().strip()}
        url = f"{self._ledger}/v1/usage?by=account,key"
        async with self._session.get(url, headers=headers, timeout=_TIMEOUT, raise_for_status=True) as answer:
            lines = [UsageLine.model_validate_json(line) async for line in answer.content if line.strip()]
        return {f"{line.account}/{line.key}": line.prompt_tokens + line.completion_tokens for line in lines}
