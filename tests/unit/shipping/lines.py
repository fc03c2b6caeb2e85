"""Lines of an access log as Envoy writes them, and what they come to."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

REQUEST: Mapping[str, Any] = {
    "started": 1_769_860_800_000,  # 2026-01-31T12:00:00Z
    "duration": 1500,
    "first_byte": 20,
    "account": "team-a",
    "key": "ci",
    "service_namespace": "team-a",
    "service": "assistant",
    "model": "qwen3",
    "model_version": "8k",
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "method": "POST",
    "path": "/v1/chat/completions",
    "code": 200,
    "upstream": "10.0.0.1:8000",
}


def line(number: int, **changes: Any) -> bytes:
    """The line of request `number`; a change to None leaves the field out."""
    fields = {**REQUEST, "request_id": f"request-{number}", **changes}
    kept = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(kept, separators=(",", ":")).encode() + b"\n"


def total(rows: Iterable[Any], name: str) -> int:
    return sum(getattr(row, name) for row in rows)
