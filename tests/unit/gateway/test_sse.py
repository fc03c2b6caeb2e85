"""What the gateway itself writes into streams: OpenAI's form, whatever an engine said."""

import json
from typing import Any

import pytest

from maas_operator.gateway import errors, sse

ERROR = {"message": 'no\n\n"é"', "type": "NotFoundError", "param": None, "code": 404}


def test_an_error_is_one_event_and_the_end() -> None:
    event, done, rest = sse.failed(ERROR).decode().split("\n\n")
    assert json.loads(event.removeprefix("data: ")) == {"error": ERROR}
    assert (done, rest) == ("data: [DONE]", "")


@pytest.mark.parametrize("said", [{"error": ERROR}, {"object": "error", **ERROR}], ids=["new", "old"])
def test_both_of_vllms_forms_are_understood(said: Any) -> None:
    assert sse.of_engine(json.dumps(said).encode()) == ERROR


@pytest.mark.parametrize(
    "body", [b"", b"no healthy upstream", b"[]", b'"error"', b'{"error":"x"}', b'{"error":{}}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_engines_error_is_none(body: bytes) -> None:
    assert sse.of_engine(body) is None


@pytest.mark.parametrize(
    ("error", "kind"), [(errors.BUSY, "server_error"), (errors.FROZEN, "invalid_request_error")], ids=["503", "401"]
)
def test_an_error_of_the_gateways_has_its_code_and_the_requests_id(error: errors.Error, kind: str) -> None:
    assert sse.of_gateway(error, "id") == {
        "message": error.message,
        "type": kind,
        "param": None,
        "code": error.code,
        "request_id": "id",
    }
