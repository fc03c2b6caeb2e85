"""The gateway as it is installed: agent, Envoy and ledger as processes of their own beside a real API server, each with
the permissions that the tables give it and no others."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from maas_operator.api.permissions import GATEWAY_PERMISSIONS, LEDGER_PERMISSIONS, Permission
from tests.api.operator_process import custom, operator_process
from tests.cluster import Cluster
from tests.gateway.backend import PROMPT_TOKENS, Backend
from tests.gateway.gateway import PATH_WITH_ENVOY, digest, free_port
from tests.ledger.processes import NAMESPACE, REPOSITORY, WRITER, LedgerProcess, Process, token

pytestmark = pytest.mark.api

NUMBER = int(os.environ.get("MAAS_TEST_CLUSTER", "26"))
KEY = "sk-of-the-test"
RBAC = "rbac.authorization.k8s.io"
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(NUMBER, tmp_path_factory.mktemp("cluster"))
    made.down()
    try:
        made.up("api")
        crds = str(REPOSITORY / "crds")
        made.kubectl("apply", "--server-side", "-f", crds)
        made.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", crds)
        made.kubectl("create", "namespace", "team-a")
        yield made
    finally:
        made.down()


class House:
    """One replica of the gateway, and the ledger."""

    def __init__(self, cluster: Cluster, folder: Path, engine: Backend) -> None:
        self.cluster = cluster
        self.engine = engine
        self.ports = {name: free_port() for name in ("port", "adminPort", "agentPort", "innerPort")}
        self.health, self.metrics = free_port(), free_port()
        self.log = folder / "logs" / "access.log"
        (folder / "token").write_text(token(cluster, NAMESPACE, WRITER))
        self.ledger_token = (folder / "token").read_text()
        ledger_rights = granted(cluster, "ledger", LEDGER_PERMISSIONS)
        url = f"sqlite:///{folder}/ledger.db"
        self.ledger = LedgerProcess(folder, cluster, url, free_port(), free_port(), kubeconfig=ledger_rights)
        settings = {"address": "127.0.0.1", "workers": 1, **self.ports}
        (folder / "settings.yaml").write_text(json.dumps(settings))
        self.envoy_folder = folder / "envoy"
        options = {
            "kubeconfig": granted(cluster, "gateway", GATEWAY_PERMISSIONS),
            "settings": folder / "settings.yaml",
            "folder": self.envoy_folder,
            "access-log": self.log,
            "ledger": self.ledger.address,
            "ledger-token": folder / "token",
            "pod-uid": "the-pod",
            "health-port": self.health,
            "metrics-port": self.metrics,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        self.agent = Process(folder / "agent.log", "-m", "maas_operator.main", "gateway", *arguments)
        self.envoy = Process(
            folder / "envoy.log",
            *("-c", "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])", "env", f"PATH={PATH_WITH_ENVOY}"),
            *("bash", f"{self.envoy_folder}/start.sh", "--service-node", "gateway", "--service-cluster", "gateway"),
            *("--concurrency", "1", "-l", "warning"),
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['port']}"

    def apply(self, *manifests: Manifest) -> None:
        whole = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(whole))

    async def chat(self) -> int:
        """The status of a call; 0 where nobody answers."""
        body = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}]}
        url = f"http://127.0.0.1:{self.ports['port']}/v1/chat/completions"
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.request("POST", url, json=body, headers={"Authorization": f"Bearer {KEY}"}) as answer:
                await answer.read()
                return answer.status
        return 0

    async def calls(self, status: int) -> bool:
        return await self.chat() == status

    async def counted(self) -> tuple[int, int]:
        """Answered requests, and prompt tokens, of the account in the ledger."""
        url = f"{self.ledger.address}/v1/usage?account=team-a&service=team-a/assistant"
        async with aiohttp.request("GET", url, headers={"X-Maas-Ledger-Token": self.ledger_token}) as answer:
            line = json.loads(await answer.read())
            return line["answered"], line["promptTokens"]

    async def ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.request("GET", f"http://127.0.0.1:{self.health}/readyz") as answer:
                return answer.status == 200
        return False

    async def until(self, true: Callable[[], Awaitable[bool]], seconds: float = 30) -> float:
        """Seconds until it is true."""
        begun = time.monotonic()
        while not await true():
            assert time.monotonic() - begun < seconds, f"{self.agent.said()[-3000:]}\n{self.ledger.said()[-1000:]}"
            await asyncio.sleep(0.02)
        return time.monotonic() - begun


def granted(cluster: Cluster, user: str, permissions: Iterable[Permission]) -> Path:
    """A kubeconfig that may do what the table says."""
    rules = [
        {"apiGroups": [each.group], "resources": [each.resource], "verbs": list(each.verbs)} for each in permissions
    ]
    metadata = {"name": user}
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": user},
        "subjects": [{"kind": "User", "name": user, "apiGroup": RBAC}],
    }
    whole = {"apiVersion": "v1", "kind": "List", "items": [role, binding]}
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(whole))
    return cluster.user_kubeconfig(user)


def own_address() -> str:
    """An address of this machine that is no loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


def team_a(kind: str, name: str, **spec: Any) -> Manifest:
    manifest = custom(kind, name, spec=spec)
    manifest["metadata"]["namespace"] = "team-a"
    return manifest


def api_key(name: str = "ci") -> Manifest:
    return team_a("ApiKey", name, tag=name, description="of a test", sha256=digest(KEY))


def slice_of(engine: Backend, ready: bool = True) -> Manifest:
    """What the cluster's own controller makes of a Service and its pods. The API server refuses loopback addresses, so
    that the engine is called by the machine's own."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "assistant-1",
            "namespace": "team-a",
            "labels": {"kubernetes.io/service-name": "assistant"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": engine.port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [engine.host], "conditions": {"ready": ready}}],
    }


@pytest.fixture
async def house(cluster: Cluster, tmp_path: Path) -> AsyncIterator[House]:
    async with Backend("assistant", "tiny", host=own_address()) as engine:
        made = House(cluster, tmp_path, engine)
        made.apply(
            team_a("ModelService", "assistant", model={"name": "tiny"}, resourcePool="pool", flavor="small"),
            api_key(),
            slice_of(engine),
        )
        try:
            await asyncio.to_thread(made.ledger.start)
            made.agent.start()
            with operator_process(cluster, tmp_path / "operator.log", "--no-leader-election"):
                await made.until(made.ready)
                made.envoy.start()
                yield made
        finally:
            for process in (made.envoy, made.agent, made.ledger):
                process.end()


async def test_what_is_applied_is_served_and_metered_and_what_is_deleted_is_refused(house: House) -> None:
    await house.until(lambda: house.calls(200))

    async def all_counted() -> bool:
        answered = len(house.engine.asked)
        return await house.counted() == (answered, answered * PROMPT_TOKENS)

    await house.until(all_counted)

    house.agent.end(signal.SIGKILL)
    for _ in range(20):
        assert await house.chat() == 200
    house.agent.start()
    await house.until(all_counted)  # what was served without the agent is metered, once
    assert await house.chat() == 200

    house.apply(slice_of(house.engine, ready=False))
    await house.until(lambda: house.calls(503))
    house.apply(slice_of(house.engine))
    await house.until(lambda: house.calls(200))

    await asyncio.to_thread(house.cluster.kubectl, "delete", "apikey", "ci", "-n", "team-a", "--wait=false")
    deleted = time.monotonic()
    while await house.chat() == 200:
        assert time.monotonic() - deleted < 1, house.agent.said()[-3000:]
    assert await house.chat() == 401
    await house.until(all_counted)
    assert house.agent.end(signal.SIGTERM) == 0, house.agent.said()[-3000:]
