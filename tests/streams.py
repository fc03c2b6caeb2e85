"""Clients with streams all the time, who count what they got: some read to the end, some hang up."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

MOST_SECONDS = 180
REFUSED_SECONDS = 0.1
"""Until a client that was refused tries again."""


@dataclass
class Stream:
    """One stream, as its client saw it. `end` is whole (with a finish reason), hung up, or what was wrong."""

    end: str = "under way"
    tokens: list[tuple[float, int]] = field(default_factory=list)
    """When a chunk came, and the prompt and completion tokens that it told of."""
    began_at: float = field(default_factory=time.monotonic)
    ended_at: float = 0.0

    def told(self, until: float = float("inf")) -> int:
        """Tokens that the client knew of at that time."""
        return max((tokens for at, tokens in self.tokens if at <= until), default=0)


class Clients:
    """Clients of one model at one address, with one key. hang_up_after: chunks; None: they read to the end. pause:
    seconds between a client's streams, which leave the machine to others."""

    def __init__(
        self,
        url: str,
        key: str,
        model: str = "assistant",
        *,
        hang_up_after: int | None = None,
        max_tokens: int = 40,
        pause: float = 0.0,
    ) -> None:
        self.key = key
        self.streams: list[Stream] = []
        self._ends = 0
        self._ended = asyncio.Condition()
        self._url = f"{url}/v1/chat/completions"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._hang_up_after = hang_up_after
        self._pause = pause
        self._body = {
            "model": model,
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": max_tokens,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }

    @property
    def ends(self) -> set[str]:
        """How streams ended."""
        return {each.end for each in self.streams}

    def told(self) -> int:
        """Tokens that they were told of."""
        return sum(each.told() for each in self.streams)

    @property
    def under_way(self) -> list[Stream]:
        """The streams that run now and have told of tokens."""
        return [each for each in self.streams if each.end == "under way" and each.tokens]

    @asynccontextmanager
    async def running(self, number: int) -> AsyncIterator[None]:
        """So many clients, each with one stream after the other; at the end those under way are waited for."""
        stop = asyncio.Event()
        clients = [asyncio.create_task(self._client(stop)) for _ in range(number)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*clients)

    async def more(self, number: int = 4) -> None:
        """Wait until so many streams more have ended as they should."""
        goal = self._ends + number
        async with asyncio.timeout(MOST_SECONDS), self._ended:
            await self._ended.wait_for(lambda: self._ends >= goal)

    async def _client(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            stream = Stream()
            self.streams.append(stream)
            try:
                stream.end = await self._one(stream)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                stream.end = type(error).__name__
            stream.ended_at = time.monotonic()
            well = stream.end in {"whole", "hung up"}
            async with self._ended:
                self._ends += well
                self._ended.notify_all()
            await asyncio.sleep(self._pause if well else REFUSED_SECONDS)

    async def _one(self, stream: Stream) -> str:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=MOST_SECONDS)) as session,
            session.post(self._url, json=self._body, headers=self._headers) as answer,
        ):
            if answer.status != 200:
                again = answer.headers.get("retry-after", "nothing")
                return f"{answer.status} {(await answer.text())[:80]}, Retry-After {again}"
            finished = False
            async for line in answer.content:
                text = line.strip().removeprefix(b"data: ")
                if text == b"[DONE]":
                    return "whole" if finished and stream.tokens else "empty"
                if not text:
                    continue
                chunk = json.loads(text)
                finished = finished or any(choice.get("finish_reason") for choice in chunk.get("choices", ()))
                usage = chunk.get("usage")
                if not usage:
                    return f"without usage: {text.decode()[:80]}"
                stream.tokens.append((time.monotonic(), usage["total_tokens"]))
                if len(stream.tokens) == self._hang_up_after:
                    return "hung up"
        return "cut"
