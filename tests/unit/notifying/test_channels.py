"""M9: one message on one channel: a real receiver that verifies signatures, and everything that may be wrong."""

import asyncio
import base64
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from aiohttp import web

from maas_operator.act.answers import ApiError
from maas_operator.act.notifying.channels import Channels
from maas_operator.act.notifying.chat import OF_ACCOUNT, Chat
from maas_operator.act.notifying.failure import NoLongerWanted, Undeliverable
from maas_operator.act.notifying.message import Message, of_event
from maas_operator.act.notifying.webhook import Webhooks
from maas_operator.api.seen import Manifest
from maas_operator.api.settings import NotificationSettings
from tests.processes import free_port
from tests.receiver import Receiver, new_signing_key
from tests.unit.act.fakes import FakeHttp

PRIVATE = NotificationSettings(enabled=True, allow_private=True)
PUBLIC = NotificationSettings(enabled=True)
SECRET = "/api/v1/namespaces/team-a/secrets/hook"
SERVICE = {"metadata": {"name": "assistant", "namespace": "team-a", "uid": "u"}}
EVENT = {
    "id": "0123456789abcdef",
    "time": "2026-01-31T12:00:00Z",
    "type": "Normal",
    "reason": "Running",
    "message": "é",
}
MESSAGE = of_event(SERVICE, EVENT)
HOOK = {"webhook": {"urlFrom": {"name": "hook", "key": "url"}, "signingKeyFrom": {"name": "hook", "key": "key"}}}
CHAT = {"apprise": {"urlFrom": {"name": "hook", "key": "url"}}}


def secret(**data: str) -> Manifest:
    return {"data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}}


@asynccontextmanager
async def channels(
    settings: NotificationSettings, channel: Manifest, answer: Manifest | Exception | None
) -> AsyncIterator[Callable[[Message], Any]]:
    """Sends on the only channel of a topic, with this in its Secret."""
    http: Any = FakeHttp({("GET", SECRET): (lambda _: None) if answer is None else answer})
    topic = {"spec": {"channels": [{"name": "only"} | channel]}}
    made = Channels(http, lambda _, name: topic if name == "ops" else None, settings)
    try:
        yield lambda message: made.attempt("team-a", "ops", "only", message)
    finally:
        await made.close()


async def failure(
    settings: NotificationSettings, channel: Manifest, answer: Manifest | Exception | None
) -> Undeliverable:
    async with channels(settings, channel, answer) as send:
        with pytest.raises(Undeliverable) as caught:
            await send(MESSAGE)
    assert caught.value.__cause__ is None
    return caught.value


async def test_m9_a_webhook_is_a_signed_cloudevent() -> None:
    async with (
        Receiver().open() as receiver,
        channels(PRIVATE, HOOK, secret(url=receiver.url, key=receiver.key)) as send,
    ):
        await send(MESSAGE)
    (event,) = receiver.events
    assert event == {
        "specversion": "1.0",
        "id": "0123456789abcdef",
        "source": "/apis/maas-operator.io/v1alpha1/namespaces/team-a/modelservices/assistant",
        "type": "io.maas-operator.modelservice.running",
        "subject": "team-a/assistant",
        "time": "2026-01-31T12:00:00Z",
        "datacontenttype": "application/json",
        "data": {
            "account": "team-a",
            "name": "assistant",
            "reason": "Running",
            "message": "é",
            "severity": "Normal",
        },
    }


@pytest.mark.parametrize(
    ("status", "headers", "words", "retry_after", "final"),
    [
        (500, {}, "it answers 500", None, False),
        (429, {"Retry-After": "90"}, "it answers 429", 90.0, False),
        (503, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, "it answers 503", 0.0, False),
        (503, {"Retry-After": "soon"}, "it answers 503", None, False),
        (410, {}, "it answers 410: it wants no more messages", None, True),
        (307, {"Location": "/hook/with-a-secret-path"}, "it answers 307: redirects are not followed", None, False),
    ],
)
async def test_m9_what_is_no_success(
    status: int, headers: dict[str, str], words: str, retry_after: float | None, final: bool
) -> None:
    async with Receiver(answers=[(status, headers)]).open() as receiver:
        error = await failure(PRIVATE, HOOK, secret(url=receiver.url, key=receiver.key))
    assert error.words.startswith(words)
    assert (error.retry_after, error.final) == (retry_after, final)
    assert receiver.attempts == 1


async def test_m9_a_private_address_is_refused_however_it_is_written_and_however_it_is_found() -> None:
    async with Receiver().open() as receiver:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            url = receiver.url.replace("127.0.0.1", host)
            error = await failure(PUBLIC, HOOK, secret(url=url, key=receiver.key))
            assert "its address is not public" in error.words, (host, error.words)
            assert "notifications.allowPrivate=true" in error.words
        for host in ("2130706433", "127.1"):
            url = receiver.url.replace("127.0.0.1", host)
            assert "no URL" in (await failure(PUBLIC, HOOK, secret(url=url, key=receiver.key))).words
    assert receiver.attempts == 0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "there is no Secret hook in namespace team-a: make it, with the key url"),
        (secret(key="k"), "Secret hook has no key url"),
        (secret(url="ftp://secret.example", key="k"), "what the Secret holds is no URL: write https://HOST/PATH"),
        (secret(url="secret", key="k"), "what the Secret holds is no URL"),
        (secret(url="http://[secret", key="k"), "what the Secret holds is no URL"),
        (secret(url="https://secret.example", key="secret"), "what the Secret holds is no signing key: write whsec_"),
        (secret(url="https://secret.example", key="whsec_c2VjcmV0"), "24 to 64 random bytes in base64"),
        (secret(url="https://secret.invalid", key=new_signing_key()), "the URL's host name cannot be resolved"),
        (ApiError(403, {"message": "no"}), "the operator may not read Secret hook of namespace team-a: notifications."),
        (ApiError(500, {"message": "no"}), "Secret hook could not be read: HTTP status 500"),
        (TimeoutError(), "Secret hook could not be read: the API server does not answer"),
    ],
)
async def test_m9_what_is_wrong_with_a_secret_is_said_and_nothing_that_is_in_it(
    answer: Manifest | Exception | None, words: str
) -> None:
    error = await failure(PUBLIC, HOOK, answer)
    assert words in error.words
    assert "secret.example" not in error.words


async def test_m9_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}/secret"
    error = await failure(PRIVATE, HOOK, secret(url=url, key=new_signing_key()))
    assert error.words.startswith("no connection: ")
    assert "secret" not in error.words


async def test_m9_names_whose_servers_do_not_answer_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, asked, look_up = threading.Event(), [], socket.getaddrinfo
    shared = min(32, (os.cpu_count() or 1) + 4)  # threads that asyncio has

    def slow(host: str, *others: Any, **named: Any) -> Any:
        if host.endswith(".slow.example"):
            asked.append(host)
            answered.wait(10)
            raise socket.gaierror
        return look_up(host, *others, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    webhooks, key = Webhooks(allow_private=False), new_signing_key()
    sending = [
        asyncio.create_task(webhooks.send(f"https://{number}.slow.example", key, MESSAGE)) for number in range(40)
    ]
    try:
        async with asyncio.timeout(5):
            while len(asked) < shared:  # noqa: ASYNC110 what is waited for happens in threads
                await asyncio.sleep(0.01)
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    finally:
        answered.set()
        ended = await asyncio.gather(*sending, return_exceptions=True)
        await webhooks.close()
    assert {str(each) for each in ended} == {"the URL's host name cannot be resolved"}


async def test_m9_who_answers_nonsense_is_no_success() -> None:
    async def nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"secret\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/secret"
        error = await failure(PRIVATE, HOOK, secret(url=url, key=new_signing_key()))
    assert error.words.startswith("the request failed (")
    assert "secret" not in error.words


async def test_m9_a_certificate_that_nobody_knows_is_refused() -> None:
    async with Receiver().open() as receiver:
        error = await failure(PRIVATE, HOOK, secret(url=receiver.url.replace("http", "https", 1), key=receiver.key))
    assert receiver.attempts == 0
    assert "127.0.0.1" not in error.words


async def test_m9_a_channel_that_was_taken_out_has_nobody_to_be_told() -> None:
    http: Any = FakeHttp()
    made = Channels(http, lambda *_: {"spec": {"channels": [{"name": "another"} | HOOK]}}, PUBLIC)
    with pytest.raises(NoLongerWanted):
        await made.attempt("team-a", "ops", "only", MESSAGE)
    await made.close()


async def test_m9_with_notifications_off_no_secret_is_read() -> None:
    error = await failure(NotificationSettings(), HOOK, ValueError("it was asked"))
    assert "notifications.enabled=true in its chart" in error.words


HUNG: list[asyncio.Event] = []
"""Requests to /hung: answered when these are set."""


@asynccontextmanager
async def chat_server() -> AsyncIterator[tuple[int, list[dict[str, Any]]]]:
    """What apprise's json:// speaks to."""
    app = web.Application()
    got: list[dict[str, Any]] = []

    async def posted(request: web.Request) -> web.Response:
        got.append(await request.json())
        return web.Response()

    async def hung(_: web.Request) -> web.Response:
        HUNG.append(asyncio.Event())
        await HUNG[-1].wait()
        return web.Response()

    async def fetched(_: web.Request) -> web.Response:
        got.append({"fetched": True})
        return web.json_response({"type": "message", "attachments": [{"contentType": "text"}]})

    HUNG.clear()
    app.router.add_post("/secret-room", posted)
    app.router.add_post("/hung", hung)
    app.router.add_get("/secret-room", fetched)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], got
    for each in HUNG:
        each.set()
    await runner.cleanup()


async def test_m9_apprise_tells_people() -> None:
    async with chat_server() as (port, got):
        made = channels(PRIVATE, CHAT, secret(url=f"json://127.0.0.1:{port}/secret-room"))
        async with made as send:
            await send(MESSAGE)
    assert [(each["title"], each["message"], each["type"]) for each in got] == [
        ("team-a/assistant: Running", "é", "info")
    ]


async def test_m9_apprise_goes_to_no_private_address(capfd: pytest.CaptureFixture[str]) -> None:
    async with chat_server() as (port, got):
        with structlog.testing.capture_logs() as told:
            error = await failure(PUBLIC, CHAT, secret(url=f"json://localhost:{port}/secret-room"))
    assert "its address is not public" in error.words
    assert got == []
    assert "secret-room" not in json.dumps(told) + "".join(capfd.readouterr())


async def test_m9_what_apprise_cannot_deliver_is_said_without_its_url(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with chat_server() as (port, _):
        error = await failure(PRIVATE, CHAT, secret(url=f"json://127.0.0.1:{port}/secret-and-wrong"))
    assert error.words == "the service did not take it, or did not answer"
    unknown = await failure(PRIVATE, CHAT, secret(url="secret://nobody"))
    assert "no URL that apprise knows" in unknown.words
    assert "secret" not in "".join(capfd.readouterr()) + caplog.text


@pytest.mark.parametrize("named", ["{file}", "file://{file}", "http://127.0.0.1:{port}/secret-room"])
async def test_m9_an_apprise_url_has_the_operator_read_no_file_and_fetch_nothing(named: str, tmp_path: Path) -> None:
    file = tmp_path / "of-the-operator.json"
    file.write_text('{"type": "message", "attachments": [{"contentType": "secret"}]}')
    async with chat_server() as (port, got):
        template = quote(named.format(file=file, port=port), safe="")
        room = f"workflows://127.0.0.1:{port}/{'a' * 32}/{'b' * 43}?verify=no&template={template}"
        error = await failure(PRIVATE, CHAT, secret(url=room))
    assert "or it names a file" in error.words
    assert got == []


async def until_hung(count: int) -> None:
    async with asyncio.timeout(10):
        while len(HUNG) < count:  # noqa: ASYNC110 what is waited for happens in threads
            await asyncio.sleep(0.01)


async def test_m9_an_account_whose_services_hang_holds_up_no_other_account_by_apprise() -> None:
    chat = Chat(allow_private=True)
    async with chat_server() as (port, got):
        hung = [
            asyncio.create_task(chat.send("team-a", f"json://127.0.0.1:{port}/hung?rto=60", MESSAGE)) for _ in range(50)
        ]
        await until_hung(OF_ACCOUNT)
        async with asyncio.timeout(5):
            await chat.send("team-b", f"json://127.0.0.1:{port}/secret-room", MESSAGE)
        assert (len(HUNG), len(got)) == (OF_ACCOUNT, 1)
        for each in hung:
            each.cancel()
        await asyncio.gather(*hung, return_exceptions=True)
    chat.close()


async def test_m9_what_hangs_ends_in_time_whatever_its_url_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maas_operator.act.notifying.chat.SECONDS", 1.0)
    chat = Chat(allow_private=True)
    async with chat_server() as (port, got):
        hung = [chat.send("team-a", f"json://127.0.0.1:{port}/hung?rto=60", MESSAGE) for _ in range(OF_ACCOUNT)]
        assert {type(each) for each in await asyncio.gather(*hung, return_exceptions=True)} == {Undeliverable}
        async with asyncio.timeout(5):
            await chat.send("team-a", f"json://127.0.0.1:{port}/secret-room", MESSAGE)
        assert len(got) == 1
    chat.close()
