"""Waiting for what happens in another task."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

LIMIT = 5.0


@dataclass
class Changing:
    """Something that says when it has changed."""

    changed: asyncio.Event = field(default_factory=asyncio.Event, kw_only=True)

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT):
            while not true():
                self.changed.clear()
                await self.changed.wait()
