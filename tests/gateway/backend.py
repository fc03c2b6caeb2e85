"""A canned engine: answers as vLLM was seen to (shared/vllm/FACTS.md), and remembers what it was asked."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiohttp import web

PROMPT_TOKENS = 7


class Backend:
    """Serves the models it is told, on a port of its own."""

    def __init__(self, *models: str, reasoning: bool = False, host: str = "127.0.0.1") -> None:
        self.host = host
        self.models = models
        self.reasoning = reasoning
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.tokens = 0
        """Prompt and completion tokens that were sent or on their way to a client."""
        self.delay = 0.0
        """Seconds between the chunks of a stream."""
        self.silence = 0.0
        """Seconds before an answer."""
        self.failing = False
        self.said: web.StreamResponse | None = None
        """Sent in place of an answer."""
        self.raw: tuple[str, bytes] | None = None
        """Content type and body of an answer that is not as an engine's."""
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def endpoint(self) -> tuple[str, int]:
        return self.host, self.port

    async def __aenter__(self) -> "Backend":
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, max_field_size=65536)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path_qs)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        text = await request.read()
        await asyncio.sleep(self.silence)
        if self.failing:
            return web.json_response(
                {"error": {"message": "dead", "type": "InternalServerError", "code": 500}}, status=500
            )
        body = json.loads(text)
        if not well_typed(body):
            return web.json_response(MISSING_MESSAGES, status=400)
        self.asked.append(body)
        model = body.get("model") or self.models[0]
        if model not in self.models:
            return web.json_response(wrong_model(model, self.models[0]), status=404)
        if "messages" not in body and "prompt" not in body:
            return web.json_response(MISSING_MESSAGES, status=400)
        if body.get("stream"):
            return await self._stream(request, body, model)
        if self.raw:
            kind, raw = self.raw
            return web.Response(body=raw, headers={"Content-Type": kind} if kind else {})
        if self.said:
            return self.said
        words = body.get("max_tokens") or 3
        self.tokens += PROMPT_TOKENS + words
        return web.json_response(self._whole(model, words))

    def _whole(self, model: str, words: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": " ".join(["word"] * words)}
        if self.reasoning:
            message["reasoning"] = 'I "think" \\ so, "reasoning": é'
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "length"}],
            "usage": _usage(words),
        }

    async def _stream(self, request: web.Request, body: dict[str, Any], model: str) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await answer.prepare(request)
        options = body.get("stream_options") or {}
        sent = 0
        try:
            chunks = self._texts if request.path.endswith("/v1/completions") else self._chunks
            for chunk, words in chunks(model, body.get("max_tokens") or 3):
                if options.get("include_usage") and options.get("continuous_usage_stats"):
                    chunk["usage"] = _usage(words)
                await answer.write(_event(chunk))
                sent = words
                await asyncio.sleep(self.delay)
            if options.get("include_usage"):
                usage = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
                await answer.write(_event({**usage, "choices": [], "usage": _usage(sent)}))
            await answer.write(b"data: [DONE]\n\n")
        finally:
            self.tokens += PROMPT_TOKENS + sent
        return answer

    def _chunks(self, model: str, words: int) -> Iterator[tuple[dict[str, Any], int]]:
        def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
            return {**head, "choices": [choice]}

        yield chunk({"role": "assistant", "content": ""}), 0
        for number in range(1, words + 1):
            text = f'word {number} ,"usage":{{"x":1}}'
            said = {"reasoning": text} if self.reasoning and number == 1 else {"content": text}
            yield chunk(said, "length" if number == words else None), number

    def _texts(self, model: str, words: int) -> Iterator[tuple[dict[str, Any], int]]:
        """Of completions with logprobs and return_token_ids: two tokens in the first chunk, as happens."""
        head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": model}
        for first, last in ((1, 2), *((number, number) for number in range(3, words + 1))):
            numbers = range(first, min(last, words) + 1)
            tokens = [f" word{number}" for number in numbers]
            logprobs = {
                "text_offset": [0],
                "token_logprobs": [-0.5] * len(tokens),
                "tokens": tokens,
                "top_logprobs": [],
            }
            choice = {"index": 0, "text": "".join(tokens), "logprobs": logprobs, "token_ids": list(numbers)}
            done = {"finish_reason": "length" if last >= words else None, "stop_reason": None}
            yield {**head, "choices": [choice | done]}, last


def well_typed(body: Any) -> bool:
    """As pydantic has it."""
    return (
        isinstance(body, dict)
        and isinstance(body.get("model"), str | None)
        and body.get("stream") in (None, False, True, 0, 1, "true", "false", "yes", "no", "1", "0", "on", "off")
        and isinstance(body.get("stream_options"), dict | None)
        and isinstance(body.get("max_tokens"), int | None)
    )


def _usage(words: int) -> dict[str, Any]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "total_tokens": PROMPT_TOKENS + words,
        "completion_tokens": words,
        "prompt_tokens_details": None,
    }


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def wrong_model(model: str, known: str) -> dict[str, Any]:
    message = f"The model `{model}` does not exist. Valid aliases: {known}."
    return {"error": {"message": message, "type": "NotFoundError", "param": "model", "code": 404}}


MISSING_MESSAGES = {
    "error": {"message": "Field required", "type": "Bad Request", "param": "body.messages", "code": 400}
}


@contextlib.asynccontextmanager
async def backends(*engines: Backend) -> AsyncIterator[tuple[Backend, ...]]:
    async with contextlib.AsyncExitStack() as stack:
        yield tuple([await stack.enter_async_context(each) for each in engines])
