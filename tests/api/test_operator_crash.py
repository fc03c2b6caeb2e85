"""The operator killed before or after any of its writes, and started again, comes to the same end."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from maas_operator.act.connection import Connection, connect
from maas_operator.act.http import JSON, NO_QUERY, Body, Http
from maas_operator.api.settings import Settings
from maas_operator.replica import Options, Replica
from tests.api.operator_process import Account
from tests.cluster import Cluster
from tests.processes import free_port

pytestmark = pytest.mark.api

MOST_WRITES = 20
"""A service takes far fewer; more would be an endless loop."""
QUIET_SECONDS = 1.5
"""Without a write for so long, and longer than any interval of the queue, everything is done."""
LIMIT_SECONDS = 30.0
CHILDREN = ("deployment", "service", "poddisruptionbudget", "configmap")
TEMPLATED = {"name": "1k", "source": "hf://acme/tiny", "contextLength": 1024, "chatTemplate": "{{ messages }}"}


class Killed(BaseException):
    """What SIGKILL is to a process: nothing of ours catches it."""


class MortalHttp(Http):
    """Dies at the write of this number: before it is sent, or when it has been carried out and nobody heard of it."""

    def __init__(self, connection: Connection, at: int | None = None, sent: bool = False) -> None:
        super().__init__(connection)
        self.count = 0
        self._at = at
        self._sent = sent

    async def write(
        self,
        method: str,
        path: str,
        body: Body,
        content_type: str = JSON,
        query: Mapping[str, str] = NO_QUERY,
    ) -> dict[str, Any]:
        self.count += 1
        dies = self.count == self._at
        if dies and not self._sent:
            raise Killed
        answer = await super().write(method, path, body, content_type, query)
        if dies:
            raise Killed
        return answer


async def run_until_quiet_or_killed(cluster: Cluster, at: int | None = None, sent: bool = False) -> tuple[int, bool]:
    """Run the operator's work in this process. Returns its writes, and whether it was killed."""
    options = Options(None, "default", "none", False, free_port(), free_port(), Settings())
    async with mortal(cluster.kubeconfig, at, sent) as (connection, http):
        replica = Replica(options)
        work = asyncio.create_task(replica.lead(connection, http))
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await quiet(replica, http, work)
        finally:
            work.cancel()
            (ended,) = await asyncio.gather(work, return_exceptions=True)
        return http.count, not isinstance(ended, asyncio.CancelledError)


@asynccontextmanager
async def mortal(kubeconfig: Path, at: int | None, sent: bool) -> AsyncIterator[tuple[Connection, MortalHttp]]:
    connection = await connect(kubeconfig)
    http = MortalHttp(connection, at, sent)
    yield connection, http
    await http.close()


async def quiet(replica: Replica, http: MortalHttp, work: asyncio.Task[None]) -> None:
    """Wait until all has been seen and nothing was written for a while; or until the work has ended."""
    before = -1
    while not work.done():
        await asyncio.wait({work}, timeout=QUIET_SECONDS)
        if http.count == before:
            return
        before = -1 if replica.waiting_for() else http.count


def state(account: Account) -> dict[str, Any]:
    """The service's objects and its status, without what differs from one run to the next."""
    found = {kind: account.cluster.kubectl("get", kind, f"--namespace={account.name}", "-oname") for kind in CHILDREN}
    deployment = account.get("deployment") or {}
    status = (account.get("msvc") or {}).get("status", {})
    conditions = [{**each, "lastTransitionTime": ""} for each in status.get("conditions", ())]
    newest = [each["reason"] for each in status.get("events", ())][-1:]
    queue = {"queue": status["queue"] | {"since": ""}} if "queue" in status else {}
    return {
        "names": {kind: sorted(names.split()) for kind, names in found.items()},
        "spec": deployment.get("spec"),
        "labels": deployment.get("metadata", {}).get("labels"),
        "status": status | {"conditions": conditions, "events": newest, "serviceId": ""} | queue,
    }


def renamed(value: Any, name: str) -> str:
    """Comparable between accounts and contents: names and the digests of what has them in it apart."""
    return re.sub("[0-9a-f]{16}|(?<=assistant-)[0-9a-f]{8}", "DIGEST", repr(value).replace(name, "ACCOUNT"))


def define(cluster: Cluster) -> None:
    """Our kinds."""
    cluster.kubectl("apply", "--server-side", "-f", str(Path(__file__).parents[2] / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")


def templated(account: Account) -> None:
    """A service with all the objects that one can have."""
    model = {"apiVersion": "maas-operator.io/v1alpha1", "kind": "Model", "metadata": {"name": account.name}}
    account.apply(model | {"spec": {"versions": [TEMPLATED]}})
    account.serve()


@pytest.mark.parametrize("sent", [False, True], ids=["before-the-write", "after-the-write"])
async def test_killed_at_any_write_it_comes_to_the_same_end(
    breakable_cluster: Cluster, new_account: Callable[[Cluster], Account], sent: bool
) -> None:
    cluster = breakable_cluster
    define(cluster)
    undisturbed = new_account(cluster)
    templated(undisturbed)
    writes, killed = await run_until_quiet_or_killed(cluster)
    assert not killed
    assert writes < MOST_WRITES
    expected = renamed(state(undisturbed), undisturbed.name)
    for at in itertools.count(1):
        account = new_account(cluster)
        templated(account)
        _, killed = await run_until_quiet_or_killed(cluster, at, sent)
        if not killed:
            break
        await run_until_quiet_or_killed(cluster)
        assert renamed(state(account), account.name) == expected, f"killed at write {at}"
    assert at >= 5, "a service alone has as many writes"


async def test_killed_at_any_write_of_a_roll_out_it_comes_to_the_same_end(
    breakable_cluster: Cluster, new_account: Callable[[Cluster], Account]
) -> None:
    """After the write: what stands there then is what stands there before the next. The instances are replaced by hand:
    there is no Deployment controller here."""
    cluster = breakable_cluster
    define(cluster)
    account = new_account(cluster)
    templated(account)
    await run_until_quiet_or_killed(cluster)
    replace_instance(account, 0)
    ends: list[list[str]] = []
    for at in itertools.count(1):
        change(account, at)
        killed = await killed_and_started_again(cluster, at)
        rolling = state(account)
        assert (rolling["status"]["phase"], len(rolling["names"]["configmap"])) == ("Updating", 2)
        replace_instance(account, at)
        await killed_and_started_again(cluster, at)
        rolled = state(account)
        assert (rolled["status"]["phase"], len(rolled["names"]["configmap"])) == ("Running", 1)
        ends.append([renamed(each, f"content {at}") for each in (rolling, rolled)])
        if not killed:
            break
    assert at > 3, "the ConfigMap, the Deployment and the status are written at the least"
    assert [killed_at + 1 for killed_at, end in enumerate(ends) if end != ends[-1]] == [], "the last was never killed"


async def killed_and_started_again(cluster: Cluster, at: int) -> bool:
    """Run the operator's work, and again where it was killed after the write of this number. Returns whether it was."""
    _, killed = await run_until_quiet_or_killed(cluster, at, sent=True)
    if killed:
        await run_until_quiet_or_killed(cluster)
    return killed


def change(account: Account, number: int) -> None:
    """Other content of the version that the service runs: another template, another ConfigMap."""
    version = TEMPLATED | {"chatTemplate": f"{{{{ messages }}}} {number}"}
    account.patch("maasmodel", {"spec": {"versions": [version]}}, account.name)


def replace_instance(account: Account, number: int) -> None:
    """An instance of the template that stands there, ready, instead of the one of before."""
    account.cluster.kubectl("delete", "pods", "--all", f"--namespace={account.name}", "--force", "--grace-period=0")
    template = (account.get("deployment") or {})["spec"]["template"]
    labels = template["metadata"]["labels"] | {"pod-template-hash": f"hash-{number}"}
    metadata = {"name": f"instance-{number}", "namespace": account.name, "labels": labels}
    account.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] | {"nodeName": "n"}}
    )
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    account.patch("pod", {"status": status}, metadata["name"], "--subresource=status")
