"""Content control (81011): verdicts, bodies and answers that are not as they should be, and many at a time."""

import asyncio
import json
from typing import Any

import pytest

from tests.gateway.backend import Backend
from tests.gateway.control import Control, allow, controlled
from tests.gateway.gateway import Gateway
from tests.gateway.scene import SERVED
from tests.gateway.test_errors import refused

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT = "/v1/chat/completions"
CODE = "ModelArts.81011"
KEY = {"Authorization": "Bearer key-a"}
GARBAGE = [
    b"",
    b"null",
    b"[]",
    b"true",
    b"{}",
    b"allowed",
    b'{"allowed":"true"}',
    b'{"allowed":1}',
    b'{"allowed":null}',
    b'{"allowed":true',
    b'{"allowed":true}}',
    b'{"allowed":true} {"allowed":false}',
    b'{"allowed":true,}',
    b'{"allowed":false,"allowed":true}',
    b'{"Allowed":true}',
    b'{"x":{"allowed":true}}',
    b'{"x":"\\","allowed":true}',
    b'{"x":"a\nb","allowed":true}',
    b'{"x":[[[","allowed":true}',
    b'\x00{"allowed":true}',
    b'{"allowed":true,"x":"' + b"x" * 70_000 + b'"}',
    b"<html>the proxy before it</html>",
]
PASSES = [
    b'{"allowed":true}',
    b' {\n "allowed" : true , "reason" : "none" }\n',
    b'{"reason":"\\"}","x":{"y":["]\\"",{"allowed":false}]},"allowed":true,"z":-1.5e3}',
    b'{"x":[],"allowed":true,"reason":null}',
]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b'"' + b"x" * 5000 + b'"', "x" * 1000),
        ('"' + "漢" * 900 + '"', "漢" * 333),
        (b'"' + b"\\u00e9" * 900 + b'"', "é" * 166),
        (b'"' + b"\\ud83d\\ude00" * 900 + b'"', "\U0001f600" * 83),
        (b'"ends \xff here"', "ends "),
        (b'"ends \xe0\x80\x80 here"', "ends "),
        (b'"ends \xed\xa0\x80 here"', "ends "),
        (b'"ends \\ud800 here"', "ends "),
        (b'"ends \\x here"', "ends "),
        (b"17", None),
        (b'{"a":"b"}', None),
    ],
)
@pytest.mark.parametrize("stage", ["input", "output"])
async def test_81011_a_reason_is_bounded_and_stays_inside_its_string(
    both: tuple[Gateway, Control], stage: str, sent: bytes | str, shown: str | None
) -> None:
    gateway, control = both
    sent = sent.encode() if isinstance(sent, str) else sent
    control.raw[stage] = b'{"allowed":false,"reason":' + sent + b"}"
    answer = await gateway.chat("key-a", "chat")
    refused(answer, 403, CODE)
    words = f"The {stage} is refused by content control"
    assert answer.json["error_msg"] == (words + "." if shown is None else f"{words}: {shown}")


@pytest.mark.parametrize("raw", PASSES)
async def test_81011_verdicts_may_be_written_in_any_way(both: tuple[Gateway, Control], raw: bytes) -> None:
    gateway, control = both
    control.raw = {"input": raw, "output": raw}
    assert (await gateway.chat("key-a", "chat")).status == 200
    assert control.stages == ["input", "output"]


@pytest.mark.parametrize("raw", GARBAGE)
async def test_81011_anything_else_is_no_verdict(both: tuple[Gateway, Control], engine: Backend, raw: bytes) -> None:
    gateway, control = both
    control.raw = {"input": raw, "output": raw}
    before = len(engine.paths)
    answer = await gateway.chat("key-a", "chat")
    refused(answer, 403, CODE, "The input is refused: content control gave no verdict.")
    assert (len(engine.paths), (await gateway.line(answer)).input_control) == (before, "failed")


@pytest.mark.parametrize("status", [201, 204, 301, 401, 403, 500, 503])
async def test_81011_a_verdict_comes_with_200(both: tuple[Gateway, Control], status: int) -> None:
    gateway, control = both
    control.status = status
    refused(await gateway.chat("key-a", "chat"), 403, CODE, "content control gave no verdict.")


SMUGGLED = [
    (b'{"model":"chat","messages":[]},"account":"team-z","x":{}', 400),
    (b'{"model":"chat","messages":[]}}', 400),
    (b'{"model":"chat","messages":[]}\x00,"account":"team-z","x":{}', 400),
    (b'{"model":"chat","messages":[]}\x00', 400),
    (b'{"model":"chat","messages":[]} // ,"account":"team-z"', 400),
    (b'{"model":"chat","messages":["\xff"]}', 400),
    (b'{"model":"chat","messages":["\\ud800"]}', 400),
    (b'{"model":"chat","messages":["a\nb"]}', 400),
]


@pytest.mark.parametrize(("text", "status"), SMUGGLED)
@pytest.mark.parametrize("path", [CHAT, f"/v1/infers/id-chat{CHAT}"])
async def test_81011_a_body_smuggles_nothing_into_the_question(
    both: tuple[Gateway, Control], engine: Backend, path: str, text: bytes, status: int
) -> None:
    gateway, control = both
    before = len(engine.paths)
    answer = await gateway.call("POST", path, headers=KEY, data=text)
    assert (answer.status, control.asked, len(engine.paths)) == (status, [], before)


@pytest.mark.parametrize(
    "text",
    [
        b'{"stage":"output","account":"team-z","model":"chat","body":{},"messages":[]}',
        b'\xef\xbb\xbf{"model":"chat","messages":[]}',
        b' \r\n\t{"model":"nope","model":"chat","messages":["\\u0000"]}\n\n',
        b'{"model":"chat","messages":[],"body":{"stage":"}"}}',
    ],
)
async def test_81011_the_whole_body_is_one_field_of_the_question(both: tuple[Gateway, Control], text: bytes) -> None:
    gateway, control = both
    assert (await gateway.call("POST", CHAT, headers=KEY, data=text)).status == 200
    asked = control.asked[0]
    assert list(asked) == [
        "stage", "request_id", "account", "key", "service_namespace", "service", "model", "body",
    ]  # fmt: skip
    assert (asked["stage"], asked["account"], asked["body"]) == ("input", "team-a", json.loads(text))


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b'"}"'])
async def test_81011_a_body_that_is_no_object_is_asked_about_as_it_is(
    both: tuple[Gateway, Control], text: bytes
) -> None:
    gateway, control = both
    await gateway.call("POST", f"/v1/infers/id-chat{CHAT}", headers=KEY, data=text)
    assert [asked["body"] for asked in control.asked[:1]] == [json.loads(text or b"null")]


async def test_81011_answers_that_are_no_json_are_not_let_out(engine: Backend) -> None:
    async with Backend(*SERVED) as odd, controlled(odd) as (gateway, control):
        for kind, text, let_out in (
            ("application/json", b'{"choices":[]}', True),
            ("application/json", b'{"choices":[]},"account":"team-z","x":{}', False),
            ("application/json", b'{"choices":[]}\x00,"account":"team-z"', False),
            ("application/json", b"{", False),
            ("text/plain", b"{}", False),
            ("", b"{}", False),
        ):
            odd.raw = (kind, text)
            answer = await gateway.chat("key-a", "chat")
            if let_out:
                assert (answer.status, answer.body) == (200, text)
            else:
                refused(answer, 403, CODE, "The output is refused: content control gave no verdict.")
        assert control.stages.count("output") == 1


async def test_81011_many_at_a_time_each_get_their_own_verdict(both: tuple[Gateway, Control]) -> None:
    gateway, control = both

    def verdict(asked: dict[str, Any]) -> dict[str, Any]:
        if asked["stage"] == "output":
            return allow(asked)
        number = asked["body"]["seed"]
        return {"allowed": number % 2 == 0, "reason": f"number {number}"}

    control.verdict = verdict
    control.silence["input"] = 0.02
    answers = await asyncio.gather(*(gateway.chat("key-a", "chat", seed=number) for number in range(200)))
    for number, answer in enumerate(answers):
        if number % 2:
            refused(answer, 403, CODE, f": number {number}")
        else:
            assert answer.status == 200


async def test_81011_10_mb_bodies_are_asked_about_whole(both: tuple[Gateway, Control], engine: Backend) -> None:
    gateway, control = both
    messages = [{"role": "user", "content": 'é\\"}' * 2_500_000}]
    answers = await asyncio.gather(*(gateway.chat("key-a", "chat", messages=messages) for _ in range(4)))
    assert [answer.status for answer in answers] == [200] * 4
    assert [asked["body"]["messages"] == messages for asked in control.asked if asked["stage"] == "input"] == [True] * 4
    assert engine.asked[-1]["messages"] == messages
