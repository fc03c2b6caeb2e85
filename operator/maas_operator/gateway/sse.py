"""What the gateway itself writes into a stream of server-sent events, as OpenAI's clients read it. Pure."""

import json
from typing import Any

from maas_operator.gateway.errors import Error

Json = dict[str, Any]

STREAM_TYPE = "text/event-stream; charset=utf-8"
COMMENT = b": keep-alive\n\n"
"""What clients pass over."""
_FIRST_OF_SERVER = 500


def failed(error: Json) -> bytes:
    """The end of a stream that fails. error: what OpenAI's clients find under that name."""
    return b"data: " + json.dumps({"error": error}, ensure_ascii=False).encode() + b"\n\ndata: [DONE]\n\n"


def of_gateway(error: Error, request_id: str) -> Json:
    """An error of the gateway's own."""
    kind = "server_error" if error.status >= _FIRST_OF_SERVER else "invalid_request_error"
    return {"message": error.message, "type": kind, "param": None, "code": error.code, "request_id": request_id}


def of_engine(body: bytes) -> Json | None:
    """The error in an engine's answer, in either of vLLM's forms: an object, or that object under `error`. None where
    there is none."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    error = said.get("error", said)
    if not isinstance(error, dict) or "message" not in error:
        return None
    return {name: value for name, value in error.items() if name != "object"}
