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
from maas_operator.gateway.access_log import FLUSH_MILLISECONDS
from tests.api.operator_process import custom, operator_process
from tests.cluster import Cluster
from tests.gateway.backend import PROMPT_TOKENS, Backend
from tests.gateway.gateway import ENVOY, digest, free_port
from tests.ledger.processes import NAMESPACE, REPOSITORY, WRITER, LedgerProcess, Process, token

pytestmark = pytest.mark.api

NUMBER = int(os.environ.get("MAAS_TEST_CLUSTER", "26"))
KEY = "sk-of-the-test"
SECRET = "sk-of-the-client"
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
        yield made
    finally:
        made.down()


class House:
    """One replica of the gateway, and the ledger."""

    def __init__(self, cluster: Cluster, folder: Path, engine: Backend) -> None:
        self.cluster = cluster
        self.engine = engine
        self.ports = {name: free_port() for name in ("port", "adminPort", "agentPort", "innerPort")}
        self.health = free_port()
        (folder / "token").write_text(token(cluster, NAMESPACE, WRITER))
        self.ledger_token = (folder / "token").read_text()
        ledger_rights = granted(cluster, "ledger", LEDGER_PERMISSIONS)
        url = f"sqlite:///{folder}/ledger.db"
        self.ledger = LedgerProcess(folder, cluster, url, free_port(), free_port(), kubeconfig=ledger_rights)
        settings = {"address": "127.0.0.1", "workers": 1, **self.ports}
        (folder / "settings.yaml").write_text(json.dumps(settings))
        self.envoy_folder = folder / "envoy"
        self.signing = folder / "keys.yaml"
        options = {
            "kubeconfig": granted(cluster, "gateway", GATEWAY_PERMISSIONS),
            "settings": folder / "settings.yaml",
            "folder": self.envoy_folder,
            "access-log": folder / "logs" / "access.log",
            "ledger": self.ledger.address,
            "ledger-token": folder / "token",
            "signing-keys": folder / "keys.yaml",
            "pod-uid": "the-pod",
            "health-port": self.health,
            "metrics-port": free_port(),
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        self.agent = Process(folder / "agent.log", "-m", "maas_operator.main", "gateway", *arguments)
        self.envoy = Process(
            folder / "envoy.log",
            "-c",
            "import os, sys; os.execv(sys.argv[1], sys.argv[1:])",
            *(ENVOY, "-c", f"{self.envoy_folder}/bootstrap.json", "--service-node", "gateway"),
            *("--service-cluster", "gateway", "--concurrency", "1", "-l", "warning", "--disable-hot-restart"),
            *("--file-flush-interval-msec", str(FLUSH_MILLISECONDS)),
        )

    def apply(self, *manifests: Manifest) -> None:
        whole = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(whole))

    async def chat(self, key: str = KEY) -> int:
        """The status of a call; 0 where nobody answers."""
        body = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}]}
        url = f"http://127.0.0.1:{self.ports['port']}/v1/chat/completions"
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.request("POST", url, json=body, headers={"Authorization": f"Bearer {key}"}) as answer:
                await answer.read()
                return answer.status
        return 0

    async def calls(self, status: int) -> bool:
        return await self.chat() == status

    async def products(self) -> list[str]:
        """The models' names in Intel's API."""
        url = f"http://127.0.0.1:{self.ports['port']}/v1/maas/models"
        async with aiohttp.request("GET", url, headers={"Authorization": f"Bearer {KEY}"}) as answer:
            return [each["model_name"] for each in json.loads(await answer.read())["models"]]

    async def token(self) -> str:
        """One of client team-a/app; empty where there is no such path."""
        url = f"http://127.0.0.1:{self.ports['port']}/oauth2/token"
        form, basic = {"grant_type": "client_credentials"}, aiohttp.encode_basic_auth("team-a/app", SECRET)
        async with aiohttp.request("POST", url, data=form, headers={"Authorization": basic}) as answer:
            body = json.loads(await answer.read())
            assert answer.status == 200 or (answer.status, body["error_code"]) == (404, "APIG.0101"), body
            return str(body.get("access_token", ""))

    def accepted(self, model: str) -> str:
        """The reason of a Model's condition; empty while the operator has not told."""
        found = json.loads(self.cluster.kubectl("get", "model", model, "-o", "json"))
        conditions = found.get("status", {}).get("conditions", ())
        return next((str(each["reason"]) for each in conditions if each["type"] == "Accepted"), "")

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


def team_a(kind: str, name: str, /, **spec: Any) -> Manifest:
    manifest = custom(kind, name, spec=spec)
    manifest["metadata"]["namespace"] = "team-a"
    return manifest


def api_key(name: str = "ci") -> Manifest:
    return team_a("ApiKey", name, tag=name, description="of a test", sha256=digest(KEY))


def model(name: str, product_id: str) -> Manifest:
    versions = [{"name": "1k", "source": "hf://acme/tiny", "contextLength": 1024}]
    product = {"id": product_id, "name": f"maas-model-{name}", "modelName": f"acme/{name}"}
    return custom("Model", name, spec={"versions": versions, "product": product})


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
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}},
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


async def test_i1_i2_products_and_signing_keys_come_and_go_while_the_gateway_runs(house: House) -> None:
    await house.until(lambda: house.calls(200))
    client = team_a("ApiKey", "app", tag="app", description="d", sha256=digest(SECRET), kind="ClientCredentials")
    house.apply(model("a-old", "1"), model("b-young", "1"), model("other", "2"), client)

    async def offered(*names: str) -> bool:
        return await house.products() == [f"acme/{name}" for name in names]

    async def told(name: str, reason: str) -> bool:
        return await asyncio.to_thread(house.accepted, name) == reason

    await house.until(lambda: offered("a-old", "other"))
    await house.until(lambda: told("b-young", "ProductIdTaken"))
    await house.until(lambda: told("a-old", "Accepted"))
    await asyncio.to_thread(house.cluster.kubectl, "delete", "model", "a-old")
    await house.until(lambda: offered("b-young", "other"))
    await house.until(lambda: told("b-young", "Accepted"))

    assert await house.token() == ""
    house.signing.write_text(f"- {{id: a, secret: {'a' * 32}}}")

    async def given() -> bool:
        return await house.token() != ""

    await house.until(given)
    token = await house.token()

    async def refused() -> bool:
        return await house.chat(token) == 401

    async def answered() -> bool:
        return await house.chat(token) == 200

    await house.until(answered)
    house.signing.unlink()
    await house.until(refused)
    assert await house.chat() == 200, "keys of kind Bearer count all the same"
    assert "a" * 32 not in house.agent.said()
