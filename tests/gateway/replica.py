"""A replica of the gateway as it is installed: agent and Envoy as processes of their own beside a real API server."""

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.api.operator_process import custom
from tests.cluster import Cluster
from tests.gateway.backend import Backend
from tests.gateway.gateway import PATH_WITH_ENVOY, digest
from tests.processes import CHECKOUT, Process, free_port

ACCOUNT = "team-a"
Manifest = dict[str, Any]


@contextmanager
def gateway_cluster(number: int, folder: Path, audit: bool = False) -> Iterator[Cluster]:
    """A real etcd and API server with our CRDs, and the account's namespace."""
    made = Cluster(number, folder)
    made.down()
    try:
        made.up("api", audit=audit)
        crds = str(CHECKOUT / "crds")
        made.kubectl("apply", "--server-side", "-f", crds)
        made.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", crds)
        made.kubectl("create", "namespace", ACCOUNT)
        yield made
    finally:
        made.down()


class Replica:
    """Agent and Envoy. `folder` is its own; `kubeconfig` has the gateway's permissions; `token` is for the ledger."""

    def __init__(self, folder: Path, kubeconfig: Path, ledger: str, token: Path) -> None:
        folder.mkdir(exist_ok=True)
        ports = ("port", "adminPort", "agentPort", "innerPort", "onwardPort", "latePort")
        self.ports = {name: free_port() for name in ports}
        self.health, self.metrics = free_port(), free_port()
        self.log = folder / "logs" / "access.log"
        self.signing = folder / "keys.yaml"
        settings = {"address": "127.0.0.1", "workers": 1, **self.ports}
        (folder / "settings.yaml").write_text(json.dumps(settings))
        options = {
            "kubeconfig": kubeconfig,
            "settings": folder / "settings.yaml",
            "folder": folder / "envoy",
            "access-log": self.log,
            "ledger": ledger,
            "ledger-token": token,
            "signing-keys": self.signing,
            "pod-uid": f"pod-{folder.name}",
            "health-port": self.health,
            "metrics-port": self.metrics,
        }
        self.url = f"http://127.0.0.1:{self.ports['port']}"
        arguments = [f"--{name}={value}" for name, value in options.items()]
        self.agent = Process(folder / "agent.log", "-m", "maas_operator.main", "gateway", *arguments)
        self.envoy = Process(
            folder / "envoy.log",
            *(f"PATH={PATH_WITH_ENVOY}", "bash", f"{folder}/envoy/start.sh", "--service-node", "gateway"),
            *("--service-cluster", "gateway", "--concurrency", "1", "-l", "warning"),
            *("--component-log-level", "misc:error"),
            program="/usr/bin/env",
        )

    async def ready(self) -> bool:
        """Whether Envoy's files are there, so that it may start."""
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.request("GET", f"http://127.0.0.1:{self.health}/readyz") as answer:
                return answer.status == 200
        return False

    async def shown(self, path: str = "/metrics") -> dict[str, Metric]:
        """What Prometheus is shown, by family (a counter's name is without its _total), read by its own parser."""
        async with aiohttp.request("GET", f"http://127.0.0.1:{self.metrics}{path}") as answer:
            text = await answer.text()
            assert answer.status == 200, text
            return {each.name: each for each in text_string_to_metric_families(text)}

    async def chat(self, key: str, **parameters: Any) -> int:
        """The status of a call; 0 where nobody answers."""
        body = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], **parameters}
        url = f"{self.url}/v1/chat/completions"
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.request("POST", url, json=body, headers={"Authorization": f"Bearer {key}"}) as answer:
                await answer.read()
                return answer.status
        return 0

    def end(self) -> None:
        for process in (self.envoy, self.agent):
            process.end()


def own_address() -> str:
    """An address of this machine that is no loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


def of_account(kind: str, name: str, /, **spec: Any) -> Manifest:
    manifest = custom(kind, name, spec=spec)
    manifest["metadata"]["namespace"] = ACCOUNT
    return manifest


def assistant() -> Manifest:
    """The service that is called."""
    return of_account("ModelService", "assistant", model={"name": "tiny"}, resourcePool="pool", flavor="small")


def api_key(key: str, name: str = "ci") -> Manifest:
    return of_account("ApiKey", name, tag=name, description="of a test", sha256=digest(key))


def slice_of(engine: Backend, ready: bool = True) -> Manifest:
    """What the cluster's own controller makes of a Service and its pods. The API server refuses loopback addresses, so
    that the engine is called by the machine's own."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "assistant-1",
            "namespace": ACCOUNT,
            "labels": {"kubernetes.io/service-name": "assistant"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": engine.port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [engine.host], "conditions": {"ready": ready}}],
    }


def apply(cluster: Cluster, *manifests: Manifest) -> None:
    whole = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(whole))
