"""M9, M11: the operator tells a real receiver what happens, also one that is unwell, and also when killed itself."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from maas_operator.api.permissions import NOTIFICATION_PERMISSIONS, PERMISSIONS
from maas_operator.api.settings import NotificationSettings, Settings
from maas_operator.ledger.database import open_database
from maas_operator.ledger.identity import Identity
from maas_operator.ledger.meters import Meters
from maas_operator.ledger.service import Access, Ledger
from maas_operator.replica import Options, Replica
from maas_operator.serve import served
from tests.api.grants import granted
from tests.api.operator_process import Account, Manifest, operator_process
from tests.api.test_operator_crash import MortalHttp, mortal
from tests.cluster import Cluster
from tests.keys import maas
from tests.processes import free_port
from tests.receiver import Outside, Receiver, hook

pytestmark = pytest.mark.api

LIMIT_SECONDS = 30.0
SENDING = Settings(notifications=NotificationSettings(enabled=True, allow_private=True))


def topic(account: Account, receiver: Receiver, *channels: Manifest) -> None:
    """A topic `ops` with the channel `hook`, and further ones."""
    account.apply(*hook(account.name, receiver, *channels))


def events(account: Account, name: str = "assistant") -> list[Manifest]:
    return list((account.get("msvc", name) or {}).get("status", {}).get("events", ()))


def settled(account: Account) -> bool:
    found = events(account)
    return bool(found) and not any("pending" in each for each in found)


def subscribe(account: Account, *names: str) -> None:
    account.serve(notifications={"topic": "ops", "events": list(names)}, state="Stopped")


@pytest.fixture
def settings_file(tmp_path: Path) -> str:
    file = tmp_path / "settings.yaml"
    file.write_text("notifications: {enabled: true, allowPrivate: true}\n")
    return f"--settings={file}"


def test_m9_a_receiver_that_fails_and_recovers_is_told_and_told_of_the_end(
    cluster: Cluster, account: Account, tmp_path: Path, settings_file: str
) -> None:
    kubeconfig = granted(cluster, "maas-operator-telling", (*PERMISSIONS, *NOTIFICATION_PERMISSIONS))
    log = tmp_path / "log"
    with (
        Outside(answers=[(503, {"Retry-After": "1"})]).running() as receiver,
        operator_process(cluster, log, "--no-leader-election", settings_file, kubeconfig=kubeconfig) as operator,
    ):
        operator.wait_ready()
        subscribe(account, "Terminated")
        account.eventually(lambda: account.condition("Notified").get("reason") == "TopicNotFound", "no topic", operator)
        assert account.condition("Ready")["reason"] == "Stopped", "serving goes on without a topic"
        topic(account, receiver)
        account.eventually(lambda: account.condition("Notified").get("status") == "True", "the topic", operator)
        account.patch("msvc", {"spec": {"state": "Running"}})
        account.eventually(lambda: "Starting" in str(events(account)), "it to start", operator)
        account.patch("msvc", {"spec": {"state": "Stopped"}})
        account.eventually(lambda: receiver.events, "the receiver to be told", operator, LIMIT_SECONDS)
        (told,) = receiver.events
        assert told["type"] == "io.maas-operator.modelservice.stopped"
        assert told["id"] == next(each["id"] for each in reversed(events(account)) if each["reason"] == "Stopped")
        account.eventually(lambda: settled(account), "the status to say so", operator)

        def counted() -> Manifest:
            ((channel,),) = ((account.get("mtopic", "ops") or {})["status"].get("channelStatuses", [{}]),)
            return dict(channel)

        account.eventually(lambda: counted().get("deliveries") == 1, "the topic to say so", operator)
        assert counted()["failures"] == 1
        assert "lastError" not in counted()
        account.delete("msvc")
        account.eventually(lambda: len(receiver.events) == 2, "its end to be told", operator)
        assert receiver.events[1]["type"] == "io.maas-operator.modelservice.deleted"
        assert receiver.url not in log.read_text()
        assert receiver.key not in log.read_text()


def test_m9_topic_test_says_what_became_of_each_channel(
    cluster: Cluster, account: Account, tmp_path: Path, settings_file: str
) -> None:
    kubeconfig = granted(cluster, "maas-operator-telling", (*PERMISSIONS, *NOTIFICATION_PERMISSIONS))
    arguments = "--no-leader-election", settings_file
    with (
        Outside().running() as receiver,
        operator_process(cluster, tmp_path / "log", *arguments, kubeconfig=kubeconfig) as operator,
    ):
        operator.wait_ready()
        topic(account, receiver)
        assert maas(cluster, account.name, "topic", "test", "ops") == "hook: delivered\n"
        assert receiver.events[0]["type"] == "io.maas-operator.notificationtopic.test"
        topic(account, receiver, {"name": "chat", "apprise": {"urlFrom": {"name": "chat", "key": "url"}}})
        with pytest.raises(Exception, match="no message went through chat"):
            maas(cluster, account.name, "topic", "test", "ops")
        listed = json.loads(maas(cluster, account.name, "topic", "list", "-o", "json"))
        assert {each["channel"]: (each["deliveries"], each["failures"]) for each in listed} == {
            "hook": (2, 0), "chat": (0, 1),
        }  # fmt: skip
        said = next(each["lastError"] for each in listed if each["channel"] == "chat")
        assert said == f"there is no Secret chat in namespace {account.name}: make it, with the key url"
        # events, without a ledger in this cluster: those of the status, and a note
        subscribe(account, "Running")
        account.eventually(lambda: events(account), "an event", operator)
        shown = json.loads(maas(cluster, account.name, "events", "assistant", "-o", "json"))
        assert [each["id"] for each in shown] == [each["id"] for each in events(account)]


def test_m2_a_missing_permission_to_read_secrets_is_said_where_it_is_missed(
    cluster: Cluster, account: Account, tmp_path: Path, settings_file: str
) -> None:
    kubeconfig = granted(cluster, "maas-operator-telling", PERMISSIONS)
    arguments = "--no-leader-election", settings_file
    with operator_process(cluster, tmp_path / "log", *arguments, kubeconfig=kubeconfig) as operator:
        operator.wait_ready()
        topic(account, Receiver())
        with pytest.raises(Exception, match="topic ops: no message went through hook"):
            maas(cluster, account.name, "topic", "test", "ops")
        (channel,) = (account.get("mtopic", "ops") or {})["status"]["channelStatuses"]
        assert channel["lastError"].startswith(f"the operator may not read Secret hook of namespace {account.name}")
        missing = [each for each in operator.log() if each["event"] == "a permission is missing"]
        assert [(each["resource"], each["verb"]) for each in missing] == [("secrets", "get")]


@asynccontextmanager
async def leading(
    cluster: Cluster, settings: Settings, at: int | None = None
) -> AsyncIterator[tuple[MortalHttp, "asyncio.Task[None]"]]:
    """The operator's work in this process; it may die at one of its writes."""
    options = Options(None, "default", "none", False, free_port(), free_port(), settings)
    async with mortal(cluster.kubeconfig, at, False) as (connection, http):
        work = asyncio.create_task(Replica(options).lead(connection, http))
        try:
            yield http, work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def until(true: Callable[[], Any], work: "asyncio.Task[None] | None" = None) -> None:
    """Wait until it is true, or the operator has been killed."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not await asyncio.to_thread(true):
            if work and work.done():
                return
            await asyncio.sleep(0.1)


async def test_m9_killed_before_any_write_everybody_is_told_and_by_the_same_id(
    cluster: Cluster, new_account: Callable[[Cluster], Account]
) -> None:
    """Between a delivery and its status, too: the message then comes twice, and its id says so."""
    for at in itertools.count(1):
        account = new_account(cluster)
        async with Receiver().open() as receiver:
            topic(account, receiver)
            subscribe(account, "Terminated")
            async with leading(cluster, SENDING, at) as (http, work):
                await until(lambda account=account: settled(account), work)  # type: ignore[misc]
                killed, writes = work.done(), http.count
            async with leading(cluster, SENDING):
                await until(lambda account=account: settled(account))  # type: ignore[misc]
        stopped = [each["id"] for each in events(account) if each["reason"] == "Stopped"]
        assert set(receiver.ids) == set(stopped), f"killed at write {at}"
        assert len(stopped) == 1
        assert len(receiver.ids) <= 2
        account.delete("msvc")
        if not killed:
            break
    assert writes >= 4


async def test_m11_what_happens_is_in_the_ledger_also_while_it_was_away(
    cluster: Cluster, account: Account, tmp_path: Path
) -> None:
    async def review(token: str) -> Identity | None:
        return Identity("maas-system", "operator") if token == "operator" else None

    port, token, engine = free_port(), tmp_path / "token", open_database(f"sqlite:///{tmp_path}/ledger.db")
    token.write_text("operator")
    settings = SENDING.model_copy(update={"ledger": f"http://127.0.0.1:{port}", "ledger_token": token})
    ledger = Ledger(engine, review, Access("maas-system", "gateway", "operator"), Meters()).application()

    def kept(column: str, table: str) -> list[str]:
        with engine.connect() as connection:
            wanted = text(f"SELECT {column} FROM {table} WHERE account = :account ORDER BY time, id")  # noqa: S608
            return list(connection.execute(wanted, {"account": account.name}).scalars())

    async with Receiver().open() as receiver:
        topic(account, receiver)
        subscribe(account, "Terminated")
        async with leading(cluster, settings):
            await until(lambda: receiver.events)
            assert not settled(account), "what is not counted is not settled"
        assert kept("id", "event") == []
        async with served((ledger, port), host="127.0.0.1"), leading(cluster, settings):
            await until(lambda: settled(account))
            await until(lambda: kept("id", "event"))
        assert kept("id", "event") == [each["id"] for each in events(account)]
        assert kept("id", "notification") == [f"{receiver.ids[0]}/ops/hook"]
    engine.dispose()
