"""Intel's generatestream (I3) over the engine's completions: token by token, one JSON object a line. Pure."""

import json
import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

_FINISHED = {"length": "FINISH_REASON_LENGTH"}
END_OF_TEXT = "FINISH_REASON_EOS_TOKEN"
STOP_SEQUENCE = "FINISH_REASON_STOP_SEQUENCE"
MAX_STOPS = 16
"""Texts in params.stop."""
_LIKE_SPECIAL = re.compile(r"^(<[^<>\s]+>|\[[A-Z_]+\])$")
"""How tokenizers write the tokens that are no text: <|im_end|>, </s>, [INST]."""


def completion(prompt: str, params: Json) -> Json:
    """The engine's request, without its model. Raises ValueError where a parameter is not what it should be."""
    most = params.get("max_new_tokens", params.get("maxNewTokens", 20))
    temperature = params.get("temperature", 1.0)
    seed = params.get("seed")
    stop = params.get("stop")
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise ValueError(f"request.params.max_new_tokens is {most!r}: a whole number from 1 is needed")
    if not isinstance(temperature, int | float) or isinstance(temperature, bool) or temperature < 0:
        raise ValueError(f"request.params.temperature is {temperature!r}: a number from 0 is needed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise ValueError(f"request.params.seed is {seed!r}: a whole number is needed")
    if stop is not None and not _texts(stop):
        raise ValueError(f"request.params.stop is {stop!r}: a list of 1 to {MAX_STOPS} texts is needed")
    body = {"prompt": prompt, "max_tokens": most, "temperature": temperature}
    said = {name: value for name, value in (("seed", seed), ("stop", stop)) if value is not None}
    return body | {"stream": True, "logprobs": 1, "return_token_ids": True} | said


def _texts(value: Any) -> bool:
    right = isinstance(value, list) and 1 <= len(value) <= MAX_STOPS
    return right and all(isinstance(each, str) and each for each in value)


class Lines:
    """Makes lines of a stream's events. The last token is held back, since its line tells how it ended."""

    def __init__(self, request_id: str, seed: int | None) -> None:
        self._request_id = request_id
        self._seed = seed or 0
        self._held: Json | None = None
        self._text = ""
        self._tokens = 0
        self._finish: str | None = None

    def event(self, event: Json) -> Iterator[bytes]:
        """The lines that an event completes."""
        for choice in event.get("choices", ()):
            for token in _tokens(choice):
                if self._held is not None:
                    yield self._line(self._held)
                self._held = token
                self._tokens += 1
            self._text += choice.get("text") or ""
            if reason := choice.get("finish_reason"):
                # the engine names the text that stopped it; a number is one of the model's own end tokens
                sequence = STOP_SEQUENCE if isinstance(choice.get("stop_reason"), str) else END_OF_TEXT
                self._finish = _FINISHED.get(reason, sequence)

    def end(self) -> Iterator[bytes]:
        """The last line; none where the engine broke off."""
        if self._finish is None:
            return
        details = {"finish_reason": self._finish, "generated_tokens": self._tokens, "seed": self._seed}
        token = self._held or {"id": 0, "text": "", "logprob": 0.0, "special": True}
        yield self._line(token, generated_text=self._text, details=details)

    def failed(self, message: str) -> bytes:
        """The line of an answer that broke off."""
        return _json({"error": {"message": message, "requestID": self._request_id}})

    def _line(self, token: Json, **last: Any) -> bytes:
        response = {"token": token, "top_tokens": [], "requestID": self._request_id, **last}
        return _json({"result": {"response": response}})


def _tokens(choice: Json) -> Iterator[Json]:
    logprobs = choice.get("logprobs") or {}
    ids = choice.get("token_ids") or ()
    left = choice.get("text") or ""
    for index, text in enumerate(logprobs.get("tokens") or ()):
        at = left.find(text)
        left = left[at + len(text) :] if at >= 0 else left
        yield {
            "id": ids[index] if index < len(ids) else 0,
            "text": text,
            "logprob": logprobs["token_logprobs"][index],
            # text may come later than its token: half a character, or what may yet become a stop sequence
            "special": at < 0 and bool(_LIKE_SPECIAL.match(text)),
        }


def _json(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
