"""Clients that mean harm, or do not know better: no crash, no way past a check, nobody else hurt."""

import asyncio
import json
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maas_operator.gateway.envoy import lua
from maas_operator.gateway.envoy.lua import script
from maas_operator.gateway.facts import Facts
from tests.gateway.backend import Backend
from tests.gateway.gateway import Gateway
from tests.gateway.scene import key, service

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT = "/v1/chat/completions"
CONNECTIONS = 4000
BODY = b'{"model":"chat","messages":[]}'
GOOD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key-a\r\n"


async def raw(gateway: Gateway, sent: bytes, seconds: float = 1) -> bytes:
    """What comes back for bytes as they are."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.settings.port)
    try:
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(seconds):
            return await reader.read(65536)
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        GOOD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        GOOD + b"Content-Length: 30\r\nContent-Length: 31\r\n\r\n" + BODY,
        GOOD + b"Content-Length: -1\r\n\r\n" + BODY,
        GOOD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + BODY,
        GOOD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY,
        GOOD + b"x maas client: team-b/key\r\nContent-Length: 30\r\n\r\n" + BODY,
        GOOD + b"x_maas_client: team-b/key\r\nContent-Length: 30\r\n\r\n" + BODY,
        GOOD + b"X: \x00\r\nContent-Length: 30\r\n\r\n" + BODY,
        GOOD + b"X: " + b"a" * 100_000 + b"\r\nContent-Length: 30\r\n\r\n" + BODY,
        GOOD + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"Content-Length: 30\r\n\r\n" + BODY,
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
        b"POST http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/infers/%2e%2e%2fmetrics/v1/models HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_malformed_http_is_refused_and_nobody_else_hurt(gateway: Gateway, engine: Backend, sent: bytes) -> None:
    before = len(engine.paths)
    answer = await raw(gateway, sent)
    assert b" 200 " not in answer.split(b"\r\n")[0]
    assert len(engine.paths) == before, "nothing of it reached the engine"
    assert (await gateway.chat("key-a", "chat")).status == 200


@pytest.mark.parametrize("header", ["Authorization: Bearer key-b", "authorization: Bearer nobody"])
async def test_two_authorization_headers_are_none(gateway: Gateway, header: str) -> None:
    answer = await raw(gateway, GOOD + header.encode() + b"\r\nContent-Length: 30\r\n\r\n" + BODY)
    assert b"ModelArts.81002" in answer


@pytest.mark.parametrize(
    "key_", [b"\xff\xfe", b"key-a\x0b", b"k\xc3\xa9y", b"key-a,", b"' or 1=1", b"%00key-a", b"key-a;", b"\tkey-a x"]
)
async def test_m22_keys_with_odd_bytes_are_unknown(gateway: Gateway, key_: bytes) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + key_
    answer = await raw(gateway, head + b"\r\nContent-Length: 30\r\n\r\n" + BODY)
    assert answer.split(b" ")[1] in {b"400", b"401"}


async def test_m22_a_remembered_digest_lets_nobody_else_in(engine: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the digests of the last few headers are remembered, and never whether a key counts."""

    def small(name: str) -> str:
        text = script(name)
        return text.replace("local REMEMBERED = 16384", "local REMEMBERED = 2")

    assert small("entry.lua") != script("entry.lua")
    monkeypatch.setattr(lua, "script", small)
    known = [f"key-{letter}" for letter in "abcde"]
    facts = Facts(services=(service("chat", engine),), keys=tuple(key(text) for text in known))
    async with Gateway(facts) as gateway:

        async def statuses(*authorizations: str) -> list[int]:
            return [
                (await gateway.call("POST", CHAT, headers={"Authorization": each}, data=BODY)).status
                for each in authorizations
            ]

        for _ in range(3):
            for text in known:
                good, bad = (f"Bearer {text}", f"bearer   {text} "), (f"Bearer {text}x", f"Bearer {text.upper()}", text)
                assert await statuses(*good, *bad) == [200, 200, 401, 401, 400]
        gateway.put(replace(facts, keys=facts.keys[1:]))

        async def gone() -> bool:
            return await statuses("Bearer key-a") == [401]

        await gateway.until(gone)
        gateway.put(facts)

        async def back() -> bool:
            return await statuses("Bearer key-a") == [200]

        await gateway.until(back)


DOUBLED = [
    '{"model":"chat","messages":[],"stream":false,"stream":true}',
    '{"model":"chat","messages":[],"stream":true,"stream":false}',
    '{"model":"chat","messages":[],"stream":true,"stream_options":{"include_usage":true},"stream_options":null}',
    '{"model":"chat","messages":[],"str\\u0065am":true}',
    '{"stream":true,"model":"chat","messages":[],"stream_options":{"include_usage":false}} \n\t',
    '{"model":"nope","model":"chat","messages":[],"stream":true}',
    '{"model":"chat","messages":[{"role":"user","content":"\\"stream\\":true}"}]}',
]


@pytest.mark.parametrize("text", DOUBLED)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data", None])
async def test_no_way_of_writing_a_body_goes_unmetered(
    gateway: Gateway, engine: Backend, text: str, kind: str | None
) -> None:
    headers = {"Authorization": "Bearer key-a", "Content-Type": kind or ""}
    before = engine.tokens
    answer = await gateway.call("POST", CHAT, headers=headers, data=text.encode())
    line = await gateway.line(answer)
    assert answer.status == 200
    assert line.total_tokens == engine.tokens - before > 0


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.sampled_from(["chat", True, False, {"include_usage": True}])
        for name in ("model", "stream", "stream_options", "messages", "max_tokens")
    },
)


async def test_fuzzed_bodies_are_answered_and_metered(gateway: Gateway, engine: Backend) -> None:
    texts: list[bytes] = []

    @settings(max_examples=150, database=None, suppress_health_check=list(HealthCheck))
    @given(FIELDS.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=200))
    def gather(text: bytes) -> None:
        texts.append(text)

    gather()
    headers = {"Authorization": "Bearer key-a", "Content-Type": "application/json"}
    for text in texts:
        answer = await gateway.call("POST", CHAT, headers=headers, data=text)
        assert answer.status in {200, 400, 404}, (text, answer)
        seen = engine.asked[-1] if engine.asked else {}
        if answer.status == 200 and seen.get("stream"):
            assert seen["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


async def test_10_mb_bodies_pass_whole(gateway: Gateway, engine: Backend) -> None:
    text = 'é\\"}' * 2_500_000
    begun = time.monotonic()
    for stream in (False, True):
        messages = [{"role": "user", "content": text}]
        answer = await gateway.chat("key-a", "chat", messages=messages, stream=stream)
        assert answer.status == 200
        assert engine.asked[-1]["messages"] == messages
    print(f"two bodies of 10 MB in {time.monotonic() - begun:.2f} s")


async def test_slow_clients_are_dropped(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Gateway(facts, head_seconds=1, body_seconds=1) as gateway:
        begun = time.monotonic()
        head, body = await asyncio.gather(raw(gateway, GOOD, 8), raw(gateway, GOOD + b"Content-Length: 30\r\n\r\n{", 8))
        assert time.monotonic() - begun < 5
        for answer in (head, body):
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"ModelArts.81001" in answer


async def test_thousands_of_connections_without_a_request_hurt_nobody(gateway: Gateway, engine: Backend) -> None:
    """Idle ones, ones that begin a request and do not go on, ones that do not read their answer."""
    beginnings = [b"", GOOD, GOOD + b"Content-Length: 30\r\n\r\n{"]
    before = len(engine.paths)
    writers = []
    try:
        for number in range(CONNECTIONS):
            writers.append((await asyncio.open_connection("127.0.0.1", gateway.settings.port))[1])
            writers[-1].write(beginnings[number % len(beginnings)])
        begun = time.monotonic()
        assert [(await gateway.chat("key-a", "chat")).status for _ in range(50)] == [200] * 50
        taken = (time.monotonic() - begun) / 50
        print(f"beside {CONNECTIONS} idle connections a request takes {taken * 1000:.1f} ms")
        assert taken < 0.5
        assert len(engine.paths) == before + 50
    finally:
        for writer in writers:
            writer.close()


async def test_answers_that_nobody_reads_hurt_nobody(gateway: Gateway) -> None:
    body = b'{"model":"chat","messages":[],"stream":true,"max_tokens":2000}'
    writers = [(await asyncio.open_connection("127.0.0.1", gateway.settings.port))[1] for _ in range(50)]
    try:
        for writer in writers:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(GOOD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert [(await gateway.chat("key-a", "chat")).status for _ in range(20)] == [200] * 20
    finally:
        for writer in writers:
            writer.close()


async def test_connections_beyond_the_bound_are_refused(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Gateway(facts, connections=5) as gateway:
        assert (await gateway.chat("key-a", "chat")).status == 200
        writers = [(await asyncio.open_connection("127.0.0.1", gateway.settings.port))[1] for _ in range(20)]
        assert await raw(gateway, GOOD + b"Content-Length: 30\r\n\r\n" + BODY) == b""
        for writer in writers:
            writer.close()
        await asyncio.sleep(0.2)
        assert (await gateway.chat("key-a", "chat")).status == 200


async def test_x_request_id_is_the_gateways_own(gateway: Gateway) -> None:
    headers = {"Authorization": "Bearer nobody", "x-request-id": "forged"}
    answer = await gateway.call("POST", CHAT, headers=headers, data=BODY)
    assert answer.json["request_id"] != "forged"
