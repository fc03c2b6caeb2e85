"""The ledger as a process of its own."""

import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.cluster import Cluster
from tests.processes import Process

SECONDS = 30.0
NAMESPACE = "maas-system"
WRITER = "maas-gateway"
OPERATOR = "maas-operator"
AUDIENCE = "maas-ledger"


class LedgerProcess(Process):
    """`maas-operator ledger` on loopback."""

    def __init__(
        self,
        folder: Path,
        cluster: Cluster,
        url: str,
        port: int,
        metrics_port: int,
        host: str = "127.0.0.1",
        kubeconfig: Path | None = None,
    ) -> None:
        database = folder / "url"
        database.write_text(url)
        self.address = f"http://{host}:{port}"
        self.metrics = f"http://{host}:{metrics_port}/metrics"
        options = {
            "database-file": database,
            "kubeconfig": kubeconfig or cluster.kubeconfig,
            "host": host,
            "port": port,
            "metrics-port": metrics_port,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        super().__init__(folder / "ledger.log", "-m", "maas_operator.main", "ledger", *arguments)

    def start(self) -> Self:
        super().start()
        wait_until(lambda: self.running() and answers(f"{self.address}/readyz"), "the ledger to be ready", self.said)
        return self


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_until(
    condition: Callable[[], object], what: str, said: Callable[[], str] = str, seconds: float = SECONDS
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}, in vain. {said()[-2000:]}"
        time.sleep(0.05)


def token(cluster: Cluster, namespace: str, account: str, audience: str = AUDIENCE) -> str:
    """A token of this service account, which is made where it is missing."""
    if namespace not in cluster.kubectl("get", "namespaces", "-o", "name"):
        cluster.kubectl("create", "namespace", namespace)
    if account not in cluster.kubectl("get", "serviceaccounts", "-n", namespace, "-o", "name"):
        cluster.kubectl("create", "serviceaccount", account, "-n", namespace)
    return cluster.kubectl("create", "token", account, "-n", namespace, f"--audience={audience}").strip()
