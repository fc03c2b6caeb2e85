"""One question to a model, over HTTP as a user's curl would put it."""

import json
import urllib.request
from typing import Any

ANSWER_SECONDS = 120


def ask(
    base: str, model: str, question: str, max_tokens: int, key: str = "", seconds: float = ANSWER_SECONDS
) -> dict[str, Any]:
    """The decoded answer of /v1/chat/completions. Raises OSError where nothing answers or the answer is an error.

    key: for the gateway; an instance itself asks for none. seconds: limit for the answer to come.
    """
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max_tokens,
        "temperature": 0,
    }
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(f"{base}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=seconds) as response:
        return dict(json.load(response))
