"""The operator as a real process beside a real API server, and what tests look at."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster import Cluster, ClusterError
from tests.cluster.waiting import wait_until
from tests.processes import Process, free_port

READY_SECONDS = 30.0
STOP_SECONDS = 10.0
"""After SIGTERM the operator is gone within this time: kubelets kill no sooner than 30 s."""

Manifest = dict[str, Any]


class Operator(Process):
    """One process of `maas-operator run`."""

    def __init__(self, kubeconfig: Path, log: Path, *options: str) -> None:
        self._health, self._metrics = free_port(), free_port()
        ports = [f"--health-port={self._health}", f"--metrics-port={self._metrics}"]
        super().__init__(log, "-m", "maas_operator.main", "run", f"--kubeconfig={kubeconfig}", *ports, *options)
        self.began = time.monotonic()
        self.start()

    def wait_ready(self) -> None:
        wait_until(lambda: self.readiness() == "", READY_SECONDS, "the operator to be ready", self.tail)

    def readiness(self) -> str:
        """What it waits for; empty when it is ready."""
        return self._get(self._health, "/readyz", otherwise="it does not answer").removeprefix("ok").strip()

    def metric(self, name: str, otherwise: float = 0.0) -> float:
        """A sample's value, by its name with labels."""
        lines = self._get(self._metrics, "/metrics", otherwise="").splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + " ")), otherwise)

    def writes(self) -> float:
        """Writes since it began, the lease's apart."""
        lines = self._get(self._metrics, "/metrics", otherwise="").splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("maas_operator_writes_total{"))

    def log(self) -> list[Manifest]:
        """What it logged, one entry a line."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def tail(self) -> str:
        return "\n".join(self._log.read_text().splitlines()[-20:])

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self) -> int:
        """End it in order; returns its exit status."""
        return self.end(signal.SIGTERM, STOP_SECONDS)

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def _get(self, port: int, path: str, otherwise: str) -> str:
        assert self.running(), f"the operator has ended: {self.tail()}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as refused:
            return refused.read().decode() or otherwise
        except OSError:
            return otherwise


@contextmanager
def operator_process(cluster: Cluster, log: Path, *options: str, kubeconfig: Path | None = None) -> Iterator[Operator]:
    """An operator that is gone afterwards, whatever happens."""
    started = Operator(kubeconfig or cluster.kubeconfig, log, *options)
    try:
        yield started
    finally:
        if started.running():
            started.signal(signal.SIGCONT)
            started.kill()


class Account:
    """A namespace, with a model and a pool of its own."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        cluster.kubectl("create", "namespace", name)
        self.apply(
            custom(
                "Model", name, spec={"versions": [{"name": "1k", "source": "hf://acme/tiny", "contextLength": 1024}]}
            ),
            custom("ResourcePool", name, spec={"flavors": [{"name": "small", "cpu": "1", "memory": "1Gi"}]}),
        )

    def serve(self, name: str = "assistant", **spec: Any) -> None:
        """Apply a ModelService."""
        wanted = {"model": {"name": self.name}, "resourcePool": self.name, "flavor": "small", "instances": 1}
        manifest = custom("ModelService", name, spec=wanted | spec)
        manifest["metadata"]["namespace"] = self.name
        self.apply(manifest)

    def apply(self, *manifests: Manifest) -> None:
        self.apply_to(self.cluster, *manifests)

    @staticmethod
    def apply_to(cluster: Cluster, *manifests: Manifest) -> None:
        """Apply manifests as a user does."""
        whole = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        cluster.kubectl("apply", "--server-side", "--field-manager=user", "-f", "-", stdin=json.dumps(whole))

    def get(self, kind: str, name: str = "assistant") -> Manifest | None:
        try:
            found: Manifest = json.loads(self.cluster.kubectl("get", kind, name, f"--namespace={self.name}", "-ojson"))
        except ClusterError as error:
            if "NotFound" in str(error):
                return None
            raise
        return found

    def patch(self, kind: str, patch: Manifest, name: str = "assistant", *options: str) -> None:
        said = ("patch", kind, name, f"--namespace={self.name}", "--type=merge", "--patch", json.dumps(patch), *options)
        self.cluster.kubectl(*said)

    def delete(self, kind: str, name: str = "assistant") -> None:
        self.cluster.kubectl("delete", kind, name, f"--namespace={self.name}", "--wait=false")

    def condition(self, kind: str, name: str = "assistant") -> Manifest:
        """A service's condition of this type; empty where there is none."""
        found = self.get("msvc", name) or {}
        conditions = found.get("status", {}).get("conditions", ())
        return next((each for each in conditions if each["type"] == kind), {})

    def eventually(self, condition: Callable[[], Any], what: str, operator: Operator, limit: float = 10.0) -> Any:
        """Wait for a condition and return its value; the operator's log tells why it did not come about."""
        return wait_until(condition, limit, what, operator.tail)

    def served(self, operator: Operator, name: str = "assistant", limit: float = 15.0) -> None:
        """Wait until a service's objects are there and its status says so."""
        self.eventually(
            lambda: self.condition("Reconciled", name).get("status") == "True" and self.get("deployment", name),
            f"service {name} to be carried out",
            operator,
            limit,
        )


def custom(kind: str, name: str, **rest: Any) -> Manifest:
    return {"apiVersion": "maas-operator.io/v1alpha1", "kind": kind, "metadata": {"name": name}} | rest
