"""HTTP/2 as no client means it, by hand on the wire: no crash, no way past a check, nobody else hurt."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from hyperframe.frame import ContinuationFrame, HeadersFrame, PingFrame, SettingsFrame

from tests.gateway.backend import Backend
from tests.gateway.gateway import Gateway
from tests.gateway.test_hostile import BODY, CHAT

pytestmark = pytest.mark.asyncio(loop_scope="session")

Headers = list[tuple[str, str]]


class Wire:
    """A connection, on which headers go out as they are given."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        config = H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False,
            split_outbound_cookies=False, header_encoding="utf-8",
        )  # fmt: skip
        self.h2 = H2Connection(config=config)
        self._reader, self._writer = reader, writer
        self.h2.initiate_connection()

    async def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())
        await self._writer.drain()

    async def send(self, frames: bytes) -> None:
        self._writer.write(frames)
        await self._writer.drain()

    def ask(self, headers: Headers, body: bytes | None = BODY, trailers: Headers | None = None) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, headers, end_stream=body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=trailers is None)
        if trailers is not None:
            self.h2.send_headers(stream, trailers, end_stream=True)
        return stream

    async def answer(self, stream: int, seconds: float = 5) -> tuple[int, bytes]:
        """Status and body; (0, b"") where the stream or the connection was ended."""
        await self.flush()
        status, body = 0, b""
        async for event in self.events(seconds):
            if getattr(event, "stream_id", None) != stream:
                continue
            match event:
                case ResponseReceived():
                    status = next(int(value) for name, value in event.headers or [] if name in {":status", b":status"})
                case DataReceived():
                    body += event.data or b""
                case StreamReset():
                    return 0, b""
                case StreamEnded():
                    break
        return status, body

    async def events(self, seconds: float) -> AsyncIterator[Event]:
        """Until the connection ends, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                while data := await self._reader.read(65536):
                    for event in self.h2.receive_data(data):
                        yield event
                    await self.flush()
        except (TimeoutError, ConnectionError):
            return


@asynccontextmanager
async def wire(gateway: Gateway) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.settings.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def head(*more: tuple[str, str], path: str = CHAT, key: str = "key-a") -> Headers:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", path),
        ("authorization", f"Bearer {key}"),
        *more,
    ]


async def nobody_is_hurt(gateway: Gateway) -> None:
    assert (await gateway.chat("key-a", "chat")).status == 200
    async with wire(gateway) as other:
        assert (await other.answer(other.ask(head())))[0] == 200


async def test_http_2_is_served(gateway: Gateway, engine: Backend) -> None:
    async with wire(gateway) as client:
        status, body = await client.answer(client.ask(head(), trailers=[("x-maas-client", "team-b/x 0 0 0")]))
        assert (status, b"chatcmpl" in body) == (200, True)
        assert engine.headers[-1]["x-maas-client"] == "team-a/ci"
        status, body = await client.answer(client.ask(head(key="nobody")))
        assert (status, b"ModelArts.81003" in body) == (401, True)
        status, body = await client.answer(client.ask(head(("authorization", "Bearer key-b"))))
        assert (status, b"ModelArts.81002" in body) == (400, True)


HEADS = {
    "a header in capitals": head(("X-Maas-Client", "team-b/x 0 0 0")),
    "a line break in a header": head(("x-a", "b\r\nx-maas-client: team-b/x 0 0 0")),
    "a line break in the path": head(path=f"{CHAT} HTTP/1.1\r\nx-maas-client: team-b/x\r\n\r\n"),
    "a space in the path": head(path=f"{CHAT} HTTP/1.1"),
    "a zero byte": head(("x-a", "b\0c")),
    "the path twice": [*head()[:4], (":path", "/v1/models"), *head()[4:]],
    "a pseudo header at the end": head((":path", "/metrics")),
    "an unknown pseudo header": [(":status", "200"), *head()],
    "no path": [each for each in head() if each[0] != ":path"],
    "an empty path": head(path=""),
    "no method": head()[1:],
    "chunks": head(("transfer-encoding", "chunked")),
    "a header about the connection": head(("connection", "x-maas-client"), ("keep-alive", "1")),
    "a length too short": head(("content-length", "3")),
    "a length too long": head(("content-length", "3000")),
    "two lengths": head(("content-length", "30"), ("content-length", "31")),
    "an underscore": head(("x_maas_client", "team-b/x 0 0 0")),
    "a name that is a colon": head(("x-a:", "b")),
    "an empty name": head(("", "b")),
    "too many headers": head(*((f"x-{number}", "a") for number in range(200))),
    "too large a head": head(*((f"x-{number}", "a" * 8000) for number in range(20))),
}


@pytest.mark.parametrize("headers", HEADS.values(), ids=HEADS)
async def test_malformed_heads_reach_no_engine(gateway: Gateway, engine: Backend, headers: Headers) -> None:
    before = len(engine.headers)
    async with wire(gateway) as client:
        status, _ = await client.answer(client.ask(headers), 0.5)
    assert status in {0, 400, 404, 431}
    assert len(engine.headers) == before
    await nobody_is_hurt(gateway)


async def test_requests_taken_back_at_once_are_bounded(gateway: Gateway, engine: Backend) -> None:
    before = len(engine.headers)
    async with wire(gateway) as client:
        with suppress(ConnectionError):
            for _ in range(2000):
                client.h2.reset_stream(client.ask(head(), None))
                await client.flush()
        events = [event async for event in client.events(5)]
    assert any(isinstance(event, ConnectionTerminated) for event in events), "the gateway ends the connection"
    assert len(engine.headers) - before < 1000
    await nobody_is_hurt(gateway)


@pytest.mark.parametrize("kind", ["pings", "settings", "continuations", "windows"])
async def test_floods_hurt_nobody(gateway: Gateway, engine: Backend, kind: str) -> None:
    before = len(engine.headers)
    async with wire(gateway) as client:
        await client.flush()
        started = HeadersFrame(1, data=b"\x82").serialize()
        flood = {
            "pings": PingFrame(0, opaque_data=b"12345678").serialize() * 20_000,
            "settings": SettingsFrame(0, settings={3: 100}).serialize() * 20_000,
            "continuations": started + ContinuationFrame(1, data=b"\x00\x01a\x01b").serialize() * 20_000,
            "windows": b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff" * 2,
        }[kind]
        with suppress(ConnectionError):
            await client.send(flood)
        await nobody_is_hurt(gateway)
    assert len(engine.headers) == before + 2


async def test_streams_that_nobody_reads_hurt_nobody(gateway: Gateway) -> None:
    """A window of nothing: the answers wait, and only theirs."""
    async with wire(gateway) as client:
        client.h2.update_settings({4: 0})  # SETTINGS_INITIAL_WINDOW_SIZE
        body = b'{"model":"chat","messages":[],"stream":true,"max_tokens":2000}'
        for _ in range(50):
            client.ask(head(), body)
        await client.flush()
        await nobody_is_hurt(gateway)
