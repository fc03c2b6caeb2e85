"""Requests that go on while something is changed, counted by how they end."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

PROMPT = {"model": "tiny", "messages": [{"role": "user", "content": "count"}], "max_tokens": 24, "stream": True}
REQUEST_SECONDS = 120


class Traffic:
    """Streams, one after another, from a few threads; each on a connection of its own."""

    def __init__(self, base: str, threads: int) -> None:
        self._address = urlsplit(base)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        self.ends: Counter[str] = Counter()
        self.done = 0

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(REQUEST_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            end = self._one()
            self.ends[end] += 1
            self.done += 1

    def _one(self) -> str:
        """`whole` for a stream that ends with a finish reason and [DONE]; else what was wrong."""
        connection = http.client.HTTPConnection(
            self._address.hostname or "", self._address.port, timeout=REQUEST_SECONDS
        )
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(PROMPT), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()
        if response.status != http.client.OK:
            return f"{response.status} {text[:80]}"
        whole = text.rstrip().endswith("[DONE]") and '"finish_reason":"' in text.replace(" ", "")
        return "whole" if whole else f"cut: {text[-80:]}"


@contextmanager
def traffic(base: str, threads: int = 2) -> Iterator[Traffic]:
    """Keep streams running while the block runs."""
    running = Traffic(base, threads)
    running.start()
    try:
        yield running
    finally:
        running.stop()
