"""Requests that say one thing to the gateway and another to the engine: nothing comes to the engine that was not looked
at, and nothing that the client asks of Envoy itself is done."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.backend import Backend
from tests.gateway.gateway import Gateway
from tests.gateway.test_hostile import BODY, CHAT, GOOD, raw

pytestmark = pytest.mark.asyncio(loop_scope="session")

LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
HIDDEN = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nx-maas-client: team-b/x 0 0 0\r\nx-hidden: 1\r\n" + LENGTH
HIDDEN += b"\r\n" + BODY
FRAMINGS = {
    "length and chunks": LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunks and length": b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n" + CHUNKS,
    "chunks that end before the length": b"Transfer-Encoding: chunked\r\nContent-Length: 400\r\n\r\n" + CHUNKS,
    "space before the colon": b"Transfer-Encoding : chunked\r\n" + LENGTH + b"\r\n" + CHUNKS,
    "unknown encoding": b"Transfer-Encoding: xchunked\r\n" + LENGTH + b"\r\n" + BODY,
    "chunked, and then something": b"Transfer-Encoding: chunked, identity\r\n" + LENGTH + b"\r\n" + CHUNKS,
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunked on a folded line": b"Transfer-Encoding:\r\n chunked\r\n" + LENGTH + b"\r\n" + CHUNKS,
    "chunked with a control character": b"Transfer-Encoding: \x0bchunked\r\n" + LENGTH + b"\r\n" + CHUNKS,
    "length twice in one header": b"Content-Length: %d, 1\r\n\r\n" % len(BODY) + BODY,
    "length with a sign": b"Content-Length: +%d\r\n\r\n" % len(BODY) + BODY,
    "length in hexadecimal": b"Content-Length: 0x1e\r\n\r\n" + BODY,
    "length beyond 64 bits": b"Content-Length: 18446744073709551646\r\n\r\n" + BODY,
    "chunk beyond 64 bits": b"Transfer-Encoding: chunked\r\n\r\n1000000000000001e\r\n" + BODY,
    "chunk with a sign": b"Transfer-Encoding: chunked\r\n\r\n+1e\r\n" + BODY + b"\r\n0\r\n\r\n",
    "chunk longer than it says": b"Transfer-Encoding: chunked\r\n\r\n1\r\n" + BODY + b"\r\n0\r\n\r\n",
    "line feeds alone": b"X: a\nTransfer-Encoding: chunked\n\n" + CHUNKS,
    "a carriage return alone": b"X: a\rTransfer-Encoding: chunked\r\n" + LENGTH + b"\r\n" + BODY,
}


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
async def test_a_request_hidden_in_another_does_not_reach_the_engine(
    gateway: Gateway, engine: Backend, framing: bytes
) -> None:
    before = len(engine.headers)
    await raw(gateway, GOOD + framing + HIDDEN, 0.3)
    for _ in range(2):
        assert (await gateway.chat("key-a", "chat")).status == 200
    seen = engine.headers[before:]
    assert not [headers for headers in seen if "x-hidden" in headers]
    assert {headers["x-maas-client"] for headers in seen} == {"team-a/ci"}
    assert len(seen) in {2, 3}, "the clients' own two, and at most the one that the framing wrapped"


ABOUT_THE_CONNECTION = (
    "Upgrade: websocket\r\nConnection: Upgrade",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
    "Connection: x-maas-client, x-maas-account",
    "Connection: authorization",
    "Expect: 100-continue",
    "TE: trailers",
    "Trailer: x-maas-client",
)


@pytest.mark.parametrize("header", ABOUT_THE_CONNECTION)
async def test_headers_about_the_connection_open_nothing(gateway: Gateway, engine: Backend, header: str) -> None:
    trailer = b"x-maas-client: team-b/x 0 0 0\r\nx-hidden: 1\r\n"
    chunks = CHUNKS.removesuffix(b"\r\n") + trailer + b"\r\n"
    before = len(engine.headers)
    answer = await raw(
        gateway, GOOD + header.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + HIDDEN, 0.3
    )
    assert not answer.startswith(b"HTTP/1.1 101")
    for headers in engine.headers[before:]:
        assert headers["x-maas-client"] == "team-a/ci"
        assert not {"x-hidden", "upgrade", "authorization"} & headers.keys()


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "PRI", "GET", "post", "P\x00ST", "X" * 9000])
async def test_other_methods_reach_no_engine(gateway: Gateway, engine: Backend, method: str) -> None:
    before = len(engine.paths)
    answer = await raw(gateway, GOOD.replace(b"POST", method.encode(), 1) + LENGTH + b"\r\n" + BODY, 0.3)
    assert b" 200 " not in answer.split(b"\r\n")[0]
    assert len(engine.paths) == before


OF_ENVOY = {
    "x-envoy-retry-on": "5xx,retriable-4xx",
    "x-envoy-max-retries": "5",
    "x-envoy-retry-grpc-on": "internal",
    "x-envoy-hedge-on-per-try-timeout": "true",
    "x-envoy-upstream-rq-per-try-timeout-ms": "1",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-expected-rq-timeout-ms": "1",
    "x-envoy-original-path": "/metrics",
    "x-envoy-internal": "true",
}


async def test_what_clients_ask_of_envoy_is_not_done(gateway: Gateway, engine: Backend) -> None:
    """No second try of a request that an instance has seen, and no time-outs of the client's making."""
    headers = {"Authorization": "Bearer key-a", "Content-Type": "application/json", **OF_ENVOY}
    engine.silence = 0.1
    try:
        assert (await gateway.call("POST", CHAT, headers=headers, data=BODY)).status == 200
        assert not OF_ENVOY.keys() & engine.headers[-1].keys()
        engine.failing, before = True, len(engine.paths)
        assert (await gateway.call("POST", CHAT, headers=headers, data=BODY)).status == 500
        assert len(engine.paths) == before + 1
    finally:
        engine.silence, engine.failing = 0.0, False


@pytest.mark.parametrize("kind", ["text/event-stream", "application/grpc-web", "a/b", "application/grpc"])
async def test_a_refusal_is_one_for_whatever_the_body_is_said_to_be(
    gateway: Gateway, engine: Backend, kind: str
) -> None:
    before = len(engine.paths)
    headers = {"Authorization": "Bearer nobody", "Content-Type": kind, "TE": "trailers"}
    answer = await gateway.call("POST", CHAT, headers=headers, data=BODY)
    assert len(engine.paths) == before
    if kind == "application/grpc":  # Envoy itself words refusals so for who says that it speaks gRPC
        assert (answer.headers["grpc-status"], answer.body) == ("16", b""), "UNAUTHENTICATED"
        assert "ModelArts.81003" in answer.headers["grpc-message"]
    else:
        assert (answer.status, answer.code) == (401, "ModelArts.81003")


KNOWN = ("/v1/chat/completions", "/v1/completions")
PARTS = "v1 chat completions infers id-chat id-alien models metrics ? # ;a=b @ https: % "
PARTS += ".. . ..; \\ %2e%2e %2E %2f %5c %00 %c0%ae %252e v1%2fchat"
PATHS = st.lists(st.sampled_from(["", *PARTS.split()]), max_size=8).map(lambda parts: "/" + "/".join(parts))


def drawn(strategy: st.SearchStrategy[bytes], count: int) -> list[bytes]:
    """Examples, the same at each run."""
    found: list[bytes] = []

    @settings(max_examples=count, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def gather(example: bytes) -> None:
        found.append(example)

    gather()
    return found


async def test_no_path_but_the_known_reaches_an_engine(gateway: Gateway, engine: Backend) -> None:
    before = len(engine.paths)
    known = [f"/v1/infers/id-chat{path}" for path in KNOWN] + ["http://other.example/v1/chat/completions"]
    rest = b" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key-a\r\nConnection: close\r\n" + LENGTH + b"\r\n" + BODY
    tried = drawn(PATHS.map(str.encode), 300) + [path.encode() for path in known]
    answers = await asyncio.gather(*(raw(gateway, b"POST " + path + rest, 5) for path in tried))
    for path, answer in zip(tried, answers, strict=True):
        status = answer.split(b" ")[1] if answer else b""
        assert status in {b"200", b"400", b"401", b"404", b"405", b""}, (path, answer)
    assert [answer.split(b" ")[1] for answer in answers[-3:]] == [b"200"] * 3
    seen = {path.partition("?")[0] for path in engine.paths[before:]}
    assert seen == {"/v1/chat/completions", "/v1/completions"}
    assert {headers["x-maas-service"] for headers in engine.headers[before:]} == {"id-chat"}


REQUEST = GOOD + LENGTH + b"\r\n" + BODY


def mutated(cuts: list[tuple[int, int, bytes]]) -> bytes:
    text = REQUEST
    for at, length, instead in cuts:
        place = at % len(text)
        text = text[:place] + instead + text[place + length :]
    return text


INSTEAD = st.sampled_from([b"", b"\r\n", b"\0", b" ", b"\n", b":"]) | st.binary(max_size=8)
CUTS = st.tuples(st.integers(0, len(REQUEST)), st.integers(0, 12), INSTEAD)
MUTATIONS = st.lists(CUTS, min_size=1, max_size=4)


async def test_broken_requests_of_every_kind_hurt_nobody(gateway: Gateway, engine: Backend) -> None:
    before = len(engine.headers)
    for batch in batches(drawn(MUTATIONS.map(mutated), 400), 100):
        answers = await asyncio.gather(*(raw(gateway, text, 0.3) for text in batch))
        assert (await gateway.chat("key-a", "chat")).status == 200
        for text, answer in zip(batch, answers, strict=True):
            assert answer == b"" or answer.startswith(b"HTTP/1.1 "), (text, answer)
    for headers in engine.headers[before:]:
        assert headers["x-maas-client"] == "team-a/ci"


def batches(items: list[bytes], size: int) -> Iterator[list[bytes]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
