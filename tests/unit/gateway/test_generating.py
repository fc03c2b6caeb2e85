"""I3: an engine's stream, line by line."""

import json
from typing import Any

import pytest

from maas_operator.gateway.generating import Lines, completion


def chunk(text: str, tokens: list[str], finish: str | None = None, stop: Any = None) -> dict[str, Any]:
    logprobs = {"tokens": tokens, "token_logprobs": [-1.0] * len(tokens)}
    choice = {"text": text, "logprobs": logprobs, "token_ids": list(range(len(tokens)))}
    return {"choices": [choice | {"finish_reason": finish, "stop_reason": stop}]}


def told(*events: dict[str, Any]) -> list[Any]:
    lines = Lines("r", 7)
    made = [line for event in events for line in lines.event(event)]
    return [json.loads(line)["result"]["response"] for line in (*made, *lines.end())]


@pytest.mark.parametrize(
    ("finish", "stop", "word"),
    [
        ("length", None, "LENGTH"),
        ("stop", None, "EOS_TOKEN"),
        ("stop", "\n", "STOP_SEQUENCE"),
        ("stop", 128009, "EOS_TOKEN"),
    ],
)
def test_i3_how_it_ended(finish: str, stop: Any, word: str) -> None:
    *_, last = told(chunk("a", ["a"]), chunk("b", ["b"], finish, stop))
    assert last["details"] == {"finish_reason": f"FINISH_REASON_{word}", "generated_tokens": 2, "seed": 7}
    assert last["generated_text"] == "ab"


def test_i3_only_the_last_line_has_the_text() -> None:
    first, last = told(chunk("a", ["a"]), chunk("", ["</s>"], "stop"))
    assert set(first) == {"token", "top_tokens", "requestID"}
    assert (first["token"]["special"], last["token"]["special"]) == (False, True)


def test_i3_usage_and_empty_chunks_make_no_line() -> None:
    assert len(told({"choices": [], "usage": {}}, chunk("", []), chunk("a", ["a"], "length"))) == 1


def test_i3_an_answer_that_broke_off_has_no_last_line() -> None:
    assert told(chunk("a", ["a"]), chunk("b", ["b"])) == told(chunk("a", ["a"]), chunk("b", ["b"]))
    assert all("details" not in line for line in told(chunk("a", ["a"]), chunk("b", ["b"])))


def test_i3_both_names_of_the_bound() -> None:
    assert completion("p", {"max_new_tokens": 5})["max_tokens"] == 5
    asked = completion("p", {"maxNewTokens": 6, "seed": 3, "stop": ["."]})
    assert (asked["max_tokens"], asked["seed"], asked["stop"]) == (6, 3, ["."])


@pytest.mark.parametrize(
    "params",
    [
        {"max_new_tokens": True},
        {"maxNewTokens": "5"},
        {"temperature": -0.1},
        {"seed": 1.5},
        {"stop": "text"},
        {"stop": []},
        {"stop": [""]},
        {"stop": ["a"] * 17},
    ],
)
def test_i3_a_wrong_parameter_is_named(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"request\.params\.(max_new_tokens|temperature|seed|stop) is .+ needed"):
        completion("p", params)


def test_i3_text_that_is_held_back_is_no_special_token() -> None:
    """The engine holds text back that may yet become a stop sequence, or is half a character."""
    first, second, last = told(chunk("", [" wo"]), chunk(" word", ["rd"]), chunk("", ["<|im_end|>"], "stop", None))
    assert [each["token"]["special"] for each in (first, second, last)] == [False, False, True]
    assert last["generated_text"] == " word"
