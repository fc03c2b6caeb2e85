"""Streams of real vLLM at all times, and each part of the platform killed with -9 in turn: only streams of a killed
Envoy break, and the ledger has what the clients counted, hang-ups included. A rollout breaks none."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import Account
from tests.e2e.replicas import Pod, address, gateway_pods, halted, kill_agent, kill_all, operator_pods, ready
from tests.installation import NAMESPACE, install
from tests.keys import gateway_address, new_key, used
from tests.streams import Clients, Stream

pytestmark = pytest.mark.e2e
TEAM = "team-a"
SERVICE = "steady"
APISERVER = "kube-apiserver"
SETTLE_SECONDS = 60
"""Limit for a key to be known, for a process to be back, and for usage to reach the ledger."""
LEFT_SECONDS = 90
"""Limit for a replica that leaves: the drain, on a busy machine."""
SILENT_SECONDS = 4.0
"""After which Envoy has written all that a stream has used, each second, and all that ended is shipped, each second;
the rest is for a busy machine."""
ON_THE_WAY = 5
"""Tokens of a stream that Envoy had and its client had not yet."""


@dataclass
class Scene:
    """The gateway in front of one service."""

    cluster: Cluster
    account: Account
    url: str

    def engine(self) -> Pod:
        """The service's instance."""
        (pod,) = self.account.pods(SERVICE)
        return pod

    def clients(self, tag: str, url: str = "", hang_up_after: int | None = None, max_tokens: int = 60) -> Clients:
        """Clients with a key of their own, which every replica knows."""
        key = new_key(self.cluster, TEAM, tag, "for a test")
        for pod in gateway_pods(self.cluster):
            wait_until(partial(lists_models, address(pod), key), SETTLE_SECONDS, f"key {tag} to count")
        return Clients(url or self.url, key, SERVICE, hang_up_after=hang_up_after, max_tokens=max_tokens)

    def counted(self, tag: str) -> int:
        """Tokens of a key in the ledger."""
        sums = used(self.cluster, TEAM, tag)
        return int(sums.get("promptTokens", 0) + sums.get("completionTokens", 0))

    def wait_counted(self, tag: str, least: int, most: int) -> None:
        wait_until(
            lambda: least <= self.counted(tag) <= most,
            SETTLE_SECONDS,
            f"the ledger to have {least} to {most} tokens of {tag}",
            lambda: f"It has {self.counted(tag)}",
        )

    def wait_heartbeat(self) -> None:
        """Until the node has told the API server that it lives, and the service is as asked: after an outage a node may
        have been taken for dead."""

        def told() -> str:
            return self.cluster.kubectl("get", "lease", "-n", "kube-node-lease", "-o", "jsonpath={..renewTime}")

        last = told()
        wait_until(lambda: told() != last, SETTLE_SECONDS, "the node's heartbeat")
        self.account.wait_ready(SERVICE)

    def wait_two_ready(self) -> None:
        wait_until(lambda: sum(map(ready, gateway_pods(self.cluster))) == 2, SETTLE_SECONDS, "two replicas to be ready")


def lists_models(url: str, key: str) -> bool:
    """Whether the agent of that replica answers."""
    request = urllib.request.Request(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(json.loads(answer.read())["data"])
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def scene(cluster: Cluster, account: Account) -> Iterator[Scene]:
    account.apply(SERVICE)
    account.wait_ready(SERVICE)
    made = Scene(cluster, account, gateway_address(cluster))
    made.wait_two_ready()
    yield made
    account.delete(SERVICE)


async def test_streams_notice_no_kill_of_agent_operator_or_api_server_and_every_token_is_counted(scene: Scene) -> None:
    patient, hasty = scene.clients("patient"), scene.clients("hasty", hang_up_after=7)
    one, other = gateway_pods(scene.cluster)
    key = patient.key
    async with patient.running(3), hasty.running(1):
        await patient.more()
        kill_agent(one)
        await patient.more()
        for pod in operator_pods(scene.cluster):
            kill_all(pod)
        await patient.more()
        await asyncio.to_thread(scene.cluster.stop_process, APISERVER, kill=True)
        try:
            kill_agent(other)
            gone, back = (lambda: not lists_models(address(other), key)), partial(lists_models, address(other), key)
            await asyncio.to_thread(wait_until, gone, SETTLE_SECONDS, "the agent to be gone")
            await asyncio.to_thread(wait_until, back, SETTLE_SECONDS, "the agent to go by what was last known")
            await patient.more()
        finally:
            await asyncio.to_thread(scene.cluster.start_process, APISERVER)
        await patient.more()
        await asyncio.to_thread(scene.wait_heartbeat)
    assert patient.ends == {"whole"}
    assert_hung_up(hasty)
    scene.wait_counted("patient", patient.told(), patient.told())
    scene.wait_counted("hasty", hasty.told(), hasty.told() + ON_THE_WAY * len(hasty.streams))


def assert_hung_up(clients: Clients) -> None:
    """Some of them in the middle; on a busy machine an engine sends many tokens in one chunk, and fewer chunks."""
    assert "hung up" in clients.ends
    assert clients.ends <= {"hung up", "whole"}


async def test_of_a_killed_replica_only_its_own_streams_break(scene: Scene) -> None:
    one, other = gateway_pods(scene.cluster)
    safe = scene.clients("safe", address(other))
    async with safe.running(2):
        await lose(scene, "killed", one, partial(kill_all, one), files_too=False)
        await asyncio.to_thread(scene.wait_two_ready)
        (again,) = (pod for pod in gateway_pods(scene.cluster) if pod["metadata"]["name"] == one["metadata"]["name"])
        forced = ("delete", "pod", "-n", NAMESPACE, again["metadata"]["name"], "--force", "--grace-period=0")
        await lose(scene, "forced", again, partial(scene.cluster.kubectl, *forced), files_too=True)
        await safe.more()
    assert safe.ends == {"whole"}
    scene.wait_counted("safe", safe.told(), safe.told())
    await asyncio.to_thread(scene.wait_two_ready)


async def lose(scene: Scene, tag: str, pod: Pod, kill: Callable[[], object], files_too: bool) -> None:
    """Kill the replica in the middle of its streams. They break; what ended before is counted, and what those under way
    had used, unless the replica's files are lost too."""
    clients = await asyncio.to_thread(scene.clients, tag, address(pod), max_tokens=200)

    engine = scene.engine()

    def silent() -> bool:
        chunks = [each.tokens[-1][0] for each in clients.under_way]
        return bool(chunks) and time.monotonic() - max(chunks) > SILENT_SECONDS

    def killed() -> list[Stream]:
        """What broke; nothing, where the engine was halted between two streams."""
        wait_until(lambda: clients.under_way, SETTLE_SECONDS, "a stream to be under way")
        with halted(engine):
            wait_until(lambda: silent() or not clients.under_way, SETTLE_SECONDS, "its streams to be silent")
            if broken := clients.under_way:
                kill()
                wait_until(lambda: not clients.under_way, SETTLE_SECONDS, "its streams to break")
            return broken

    async with clients.running(2):
        await clients.more(2)
        broken = await asyncio.to_thread(wait_until, killed, SETTLE_SECONDS, "the engine to be halted in a stream")
    assert "whole" not in {each.end for each in broken}
    lost = sum(each.told() for each in broken) if files_too else 0
    most = clients.told() + ON_THE_WAY * len(broken)
    await asyncio.to_thread(scene.wait_counted, tag, clients.told() - lost, most)


async def test_a_rollout_of_other_settings_cuts_no_stream_and_refuses_no_request(scene: Scene) -> None:
    patient, hasty = scene.clients("stays"), scene.clients("leaves", hang_up_after=7)
    before = {pod["metadata"]["uid"] for pod in gateway_pods(scene.cluster)}

    def all_left() -> bool:
        pods = json.loads(scene.cluster.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json"))["items"]
        return before.isdisjoint(pod["metadata"]["uid"] for pod in pods)

    async with patient.running(3), hasty.running(1):
        await patient.more()
        await asyncio.to_thread(install, scene.cluster, "gateway.settings.idleSeconds=301")
        await asyncio.to_thread(wait_until, all_left, LEFT_SECONDS, "the replicas of before to have left")
        await patient.more()
    assert patient.ends == {"whole"}
    assert_hung_up(hasty)
    scene.wait_counted("stays", patient.told(), patient.told())
    scene.wait_counted("leaves", hasty.told(), hasty.told() + ON_THE_WAY * len(hasty.streams))
