"""M22: the operator makes a key and delivers it once, through a Secret that it removes after a short time."""

import asyncio
import base64
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from maas_operator.act.connection import connect
from maas_operator.act.http import JSON, NO_QUERY, Body, Http
from maas_operator.api.settings import Settings
from maas_operator.keymaking import digest_of
from maas_operator.replica import Options, Replica
from tests.api.grants import Grants
from tests.api.operator_process import Account, Manifest, Operator, custom, operator_process
from tests.api.test_operator_crash import run_until_quiet_or_killed
from tests.cluster import Cluster
from tests.processes import free_port

pytestmark = pytest.mark.api

DELIVERY_SECONDS = 10
"""The least that may be set."""
LIMIT_SECONDS = 30.0
GRANTED_SECONDS = 40.0
PAST = "2020-01-01T00:00:00Z"
NewAccount = Callable[[Cluster], Account]


def ask(account: Account, name: str = "ci") -> None:
    """Apply a key that the operator is to make."""
    manifest = custom("ApiKey", name, spec={"tag": name, "description": "of a test", "delivery": "Secret"})
    manifest["metadata"]["namespace"] = account.name
    account.apply(manifest)


def status(account: Account, name: str = "ci") -> Manifest:
    return dict((account.get("apikey", name) or {}).get("status", {}))


def told(account: Account, kind: str, name: str = "ci") -> Manifest:
    """A condition; empty where it is not there."""
    return next((each for each in status(account, name).get("conditions", ()) if each["type"] == kind), {})


def secrets(account: Account) -> dict[str, Manifest]:
    listed = json.loads(account.cluster.kubectl("get", "secrets", f"--namespace={account.name}", "-ojson"))
    return {each["metadata"]["name"]: each for each in listed["items"]}


def key_in(secret: Manifest) -> str:
    return base64.b64decode(secret["data"]["key"]).decode()


def make_due(account: Account, name: str = "ci") -> None:
    """As if the time of the Secret had come while no operator ran."""
    account.patch("apikey", {"status": {"delivery": {"removeAt": PAST}}}, name, "--subresource=status")


def check_delivered(account: Account) -> str:
    """One Secret, and it holds the key that counts. Returns its name."""
    now = status(account)
    ((name, secret),) = secrets(account).items()
    assert now["delivery"]["secretName"] == name
    assert now["delivery"]["secretUID"] == secret["metadata"]["uid"]
    assert now["sha256"] == digest_of(key_in(secret))
    assert told(account, "Ready")["status"] == told(account, "Delivered")["status"] == "True"
    return name


@pytest.fixture
def brief(tmp_path: Path) -> str:
    """The option by which a Secret goes soon."""
    file = tmp_path / "settings.yaml"
    file.write_text(f"keyDeliverySeconds: {DELIVERY_SECONDS}\n")
    return f"--settings={file}"


def test_m22_a_key_is_delivered_once_and_its_secret_goes(
    cluster: Cluster, account: Account, tmp_path: Path, brief: str
) -> None:
    grants = Grants(cluster, "maas-operator")
    grants.all_but()
    log = tmp_path / "log"
    with operator_process(cluster, log, "--no-leader-election", brief, kubeconfig=grants.kubeconfig) as operator:
        operator.wait_ready()
        ask(account)
        account.eventually(lambda: status(account).get("sha256"), "the key", operator)
        name = check_delivered(account)
        secret, key = secrets(account)[name], key_in(secrets(account)[name])
        assert (secret["type"], secret["immutable"]) == ("maas-operator.io/api-key", True)
        (owner,) = secret["metadata"]["ownerReferences"]
        owned_by = (account.get("apikey", "ci") or {})["metadata"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("ApiKey", "ci", owned_by["uid"])
        assert secret["metadata"]["annotations"]["maas-operator.io/remove-at"] in told(account, "Delivered")["message"]
        assert f"kubectl get secret {name} -n {account.name} " in told(account, "Delivered")["message"]
        shown = account.cluster.kubectl("get", "apikey", "ci", f"--namespace={account.name}")
        assert "Delivered" in shown
        assert name in shown
        account.eventually(lambda: not secrets(account), "the Secret to go", operator, DELIVERY_SECONDS * 2)
        account.eventually(lambda: told(account, "Delivered")["reason"] == "SecretRemoved", "its word", operator)
        now = status(account)
        assert now["sha256"] == digest_of(key)
        assert now["delivery"].keys() == {"removedAt"}
    events = account.cluster.kubectl("get", "events", f"--namespace={account.name}", "-ojson")
    for text in (log.read_text(), json.dumps(account.get("apikey", "ci")), events):
        assert key not in text
        assert base64.b64encode(key.encode()).decode() not in text


@pytest.mark.parametrize("sent", [False, True], ids=["before-the-write", "after-the-write"])
async def test_m22_killed_at_any_write_a_key_is_delivered_once(
    cluster: Cluster, new_account: NewAccount, sent: bool
) -> None:
    for at in itertools.count(1):
        account = new_account(cluster)
        ask(account)
        _, killed = await run_until_quiet_or_killed(cluster, at, sent)
        before = status(account).get("sha256")
        if killed:
            await run_until_quiet_or_killed(cluster)
        check_delivered(account)
        assert before in {None, status(account)["sha256"]}
        if not killed:
            break
    assert at >= 3, "a key takes two writes"


@pytest.mark.parametrize("sent", [False, True], ids=["before-the-write", "after-the-write"])
async def test_m22_killed_at_any_write_the_secret_goes_all_the_same(
    cluster: Cluster, new_account: NewAccount, sent: bool
) -> None:
    account = new_account(cluster)
    for at in itertools.count(1):
        name = f"ci-{at}"
        ask(account, name)
        await run_until_quiet_or_killed(cluster)
        digest = status(account, name)["sha256"]
        make_due(account, name)
        _, killed = await run_until_quiet_or_killed(cluster, at, sent)
        if killed:
            await run_until_quiet_or_killed(cluster)
        assert secrets(account) == {}
        assert (status(account, name)["sha256"], told(account, "Delivered", name)["reason"]) == (
            digest,
            "SecretRemoved",
        )
        if not killed:
            break
    assert at >= 3, "its removal and the status"


class FrozenHttp(Http):
    """Holds the write that makes a key count until it may go on."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.frozen, self.goes_on = asyncio.Event(), asyncio.Event()

    async def write(
        self,
        method: str,
        path: str,
        body: Body,
        content_type: str = JSON,
        query: Mapping[str, str] = NO_QUERY,
    ) -> dict[str, Any]:
        if isinstance(body, list) and "sha256" in str(body) and not self.goes_on.is_set():
            self.frozen.set()
            await self.goes_on.wait()
        return await super().write(method, path, body, content_type, query)


async def test_m22_a_leader_that_was_frozen_delivers_no_second_key(cluster: Cluster, account: Account) -> None:
    ask(account)
    connection = await connect(cluster.kubeconfig)
    http = FrozenHttp(connection)
    options = Options(None, "default", "none", False, free_port(), free_port(), Settings())
    work = asyncio.create_task(Replica(options).lead(connection, http))
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            await http.frozen.wait()
            (abandoned,) = secrets(account)
            await run_until_quiet_or_killed(cluster)
            name = check_delivered(account)
            assert name != abandoned
            before = status(account)
            http.goes_on.set()
            await run_until_quiet_or_killed(cluster)
        assert check_delivered(account) == name
        assert status(account) == before
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await http.close()


async def test_m22_strangers_secrets_are_left_alone(cluster: Cluster, account: Account) -> None:
    """One of the ApiKey's name; and one that somebody made under the Secret's own name, when they had taken the key."""
    within = f"--namespace={account.name}"
    cluster.kubectl("create", "secret", "generic", "ci", within)
    ask(account)
    await run_until_quiet_or_killed(cluster)
    name = status(account)["delivery"]["secretName"]
    assert sorted(secrets(account)) == sorted(["ci", name])
    cluster.kubectl("delete", "secret", name, within)
    cluster.kubectl("create", "secret", "generic", name, within)
    make_due(account)
    await run_until_quiet_or_killed(cluster)
    assert told(account, "Delivered")["reason"] == "SecretRemoved"
    assert sorted(secrets(account)) == sorted(["ci", name])


def test_m22_each_permission_on_secrets_is_needed_and_named(
    cluster: Cluster, account: Account, tmp_path: Path, brief: str
) -> None:
    grants = Grants(cluster, "touches-no-secrets")
    grants.all_but("secrets", "create")

    def says(operator: Operator, verb: str) -> None:
        words = (
            f"may not {verb} secrets in namespace {account.name} (needed for delivering keys that the operator makes)"
        )
        account.eventually(lambda: words in told(account, "Ready").get("message", ""), words, operator, GRANTED_SECONDS)
        assert told(account, "Stalled")["reason"] == "Forbidden"

    log = tmp_path / "log"
    with operator_process(cluster, log, "--no-leader-election", brief, kubeconfig=grants.kubeconfig) as operator:
        operator.wait_ready()
        ask(account)
        says(operator, "create")
        assert "sha256" not in status(account)
        grants.all_but("secrets", "delete")
        account.eventually(lambda: status(account).get("sha256"), "the key", operator, GRANTED_SECONDS)
        says(operator, "delete")
        assert secrets(account)
        grants.all_but()
        account.eventually(lambda: not secrets(account), "the Secret to go", operator, GRANTED_SECONDS)
        account.eventually(lambda: told(account, "Ready")["status"] == "True", "it to be well", operator)
