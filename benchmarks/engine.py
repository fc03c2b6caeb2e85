"""`python -m benchmarks.engine --port 8000`: a canned engine that costs little, so that a proxy's cost can be seen.

It answers any POST with the same completion, and one that asks for a stream with --chunks events, one in each
--chunk-ms; with usage on each of them where continuous_usage_stats asks for it, as vLLM does. Everything else is 200.
"""

import argparse
import asyncio
import json
import re

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": *true')
_EVERY = re.compile(rb'"continuous_usage_stats": *true')
MODEL = "model"
PROMPT_TOKENS = 12
_HEAD = {"id": "chatcmpl-1", "created": 1, "model": MODEL}
_TEXT = "The capital of France is Paris. " * 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--chunks", type=int, default=500)
    parser.add_argument("--chunk-ms", type=float, default=20)
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.port, chosen.chunks, chosen.chunk_ms / 1000))


async def serve(port: int, chunks: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(loop, chunks, seconds), "127.0.0.1", port, backlog=8192)
    await server.serve_forever()


def _usage(words: int) -> dict[str, int]:
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": words, "total_tokens": PROMPT_TOKENS + words}


def _whole() -> bytes:
    message: dict[str, object] = {"role": "assistant", "content": _TEXT, "reasoning": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _usage(64)}
    return _json(body)


def _json(body: object) -> bytes:
    text = json.dumps(body, separators=(",", ":")).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(text) + text


def _event(text: str, usage: dict[str, int] | None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    chunk = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]} | ({"usage": usage} if usage else {})
    return _http_chunk(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


WHOLE, NOTHING = _whole(), _json({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT, EVENT_WITH_USAGE = _event(" word", None), _event(" word", _usage(100))
END = _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection: a request at a time, each with a Content-Length or without a body."""

    def __init__(self, loop: asyncio.AbstractEventLoop, chunks: int, seconds: float) -> None:
        self._loop, self._chunks, self._seconds = loop, chunks, seconds
        self._read = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, _: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        length = _LENGTH.search(self._read, 0, end)
        whole = end + (int(length[1]) if length else 0)
        if len(self._read) < whole:
            return
        head, body, self._read = self._read[:end], self._read[end:whole], self._read[whole:]
        if not head.startswith(b"POST"):
            self._transport.write(NOTHING)
        elif _STREAM.search(body):
            self._transport.write(STREAM)
            self._send(self._chunks, EVENT_WITH_USAGE if _EVERY.search(body) else EVENT, self._loop.time())
        else:
            self._transport.write(WHOLE)

    def _send(self, left: int, event: bytes, due: float) -> None:
        if not left:
            self._transport.write(END)
            return
        self._transport.write(event)
        due += self._seconds
        self._timer = self._loop.call_at(due, self._send, left - 1, event, due)


if __name__ == "__main__":
    main()
