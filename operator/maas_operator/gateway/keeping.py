"""Streams whose clients want comments while they are held: the agent answers them, and passes on what an instance says.

Envoy asks the agent for these too whether they may go on, and is told to give them to the agent (Answer.KEEP). They
have been through the chain by then, and their answer goes back through it: so they are limited and metered as any
other. Where there is no room for one, it is held in silence.
"""

import asyncio
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from maas_operator.gateway import counters, errors, sse
from maas_operator.gateway.envoy.names import GIVEN_TO, KEEP_ALIVE, SERVICE_ID
from maas_operator.gateway.envoy.replies import NOT_HELD
from maas_operator.gateway.errors import Error
from maas_operator.gateway.holding import Holder
from maas_operator.gateway.places import REFUSALS, Answer

REQUEST_ID = "x-request-id"
MOST_BYTES = 128 << 20
"""Of the bodies of all of them together: they lie in the agent's memory."""
GIVEN_WITHIN = 10
"""Seconds in which Envoy gives a request to the agent when it was told so; later, its client has hung up."""
_STREAM = "text/event-stream"
_OF_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "expect"})
"""Headers that say nothing of the request."""
_ADDED = ("Accept", "Accept-Encoding", "User-Agent")
"""Headers that are not to be added where the client sent none."""


@dataclass(frozen=True)
class Kept:
    """A stream that Envoy was told to give to the agent."""

    held: asyncio.Task[Answer]
    """What becomes of it."""
    bytes: int
    """Of its body."""
    lapse: asyncio.TimerHandle
    """Forgets it, unless it comes."""


class Keeper:
    """Keeps streams alive. streams: so many at a time. onward: Envoy's address for what is passed on to instances."""

    def __init__(self, holder: Holder, streams: int, http: aiohttp.ClientSession, onward: str) -> None:
        self._holder = holder
        self._streams = streams
        self._http = http
        self._onward = onward
        self._kept: dict[str, Kept] = {}
        """All that the agent answers, or is to answer, by the request's id."""

    async def offer(self, service: str, client: str, arrived: float, request_id: str, length: int) -> Answer:
        """What Envoy is told of a stream that is held: at once to give it to the agent, or, where there is no room,
        what becomes of it when that is known. length: bytes of its body."""
        if not self._has_room(length):
            return await self._holder.wait(service, client, arrived)
        held = asyncio.create_task(self._holder.wait(service, client, arrived))
        lapse = asyncio.get_running_loop().call_later(GIVEN_WITHIN, self._forget, request_id)
        self._kept[request_id] = Kept(held, length, lapse)
        self._show()
        await asyncio.sleep(0)  # what cannot be held is known now
        if not held.done():
            return Answer.KEEP
        self._forget(request_id)
        return held.result()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a stream that was given to the agent. Cancelled: its client hung up."""
        request_id = request.headers.get(REQUEST_ID, "")
        kept = self._kept.get(request_id)
        if kept is None:  # another process was to get it
            headers = {"Retry-After": NOT_HELD}
            return web.json_response(errors.BUSY.body(request_id), status=errors.BUSY.status, headers=headers)
        kept.lapse.cancel()
        try:
            return await self._stream(request, kept.held)
        finally:
            self._forget(request_id)

    async def _stream(self, request: web.Request, held: asyncio.Task[Answer]) -> web.StreamResponse:
        body = await request.content.read()  # no longer than Envoy takes; a hang-up shows only when all is read
        stream = web.StreamResponse(headers={"Content-Type": sse.STREAM_TYPE})
        await stream.prepare(request)
        comments = asyncio.create_task(_comment(stream, int(request.headers[KEEP_ALIVE])))
        try:
            answer = await held
            if answer == Answer.GO:
                failure = await self._pass_on(request, body, stream, comments)
            else:
                failure = sse.of_gateway(_refusal(answer, request), request.headers[REQUEST_ID])
            comments.cancel()
            if failure:
                await stream.write(sse.failed(failure))
        except aiohttp.ClientError:
            if request.transport:  # the instance broke off: so does this, without an end
                request.transport.close()
        finally:
            comments.cancel()
        return stream

    async def _pass_on(
        self, request: web.Request, body: bytes, stream: web.StreamResponse, comments: asyncio.Task[None]
    ) -> sse.Json | None:
        """Write an instance's stream; or what is to be said where it is none. The comments end with its first byte."""
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _OF_CONNECTION | {KEEP_ALIVE, GIVEN_TO}
        }
        url = f"{self._onward}{request.raw_path}"
        async with self._http.post(url, data=body, headers=headers, skip_auto_headers=_ADDED) as answer:
            if answer.status != 200 or answer.content_type != _STREAM:
                error = errors.TIMEOUT if answer.status == errors.TIMEOUT.status else errors.BUSY
                return sse.of_engine(await answer.read()) or sse.of_gateway(error, request.headers[REQUEST_ID])
            while chunk := await answer.content.readany():
                comments.cancel()
                await stream.write(chunk)
        return None

    def _has_room(self, length: int) -> bool:
        return (
            len(self._kept) < self._streams and sum(each.bytes for each in self._kept.values()) + length <= MOST_BYTES
        )

    def _forget(self, request_id: str) -> None:
        kept = self._kept.pop(request_id)
        kept.held.cancel()
        kept.lapse.cancel()
        self._show()

    def _show(self) -> None:
        counters.KEPT_ALIVE.set(len(self._kept))


async def _comment(stream: web.StreamResponse, every: int) -> None:
    """Write a comment every so many seconds, until cancelled or the client is gone."""
    try:
        while True:
            await stream.write(sse.COMMENT)
            await asyncio.sleep(every)
    except ConnectionError:
        return


def _refusal(answer: Answer, request: web.Request) -> Error:
    if answer == Answer.GONE and SERVICE_ID in request.headers:
        return errors.NO_API
    return REFUSALS[answer]
