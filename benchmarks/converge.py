"""`python -m benchmarks.converge [--services 500 2000]`: what it costs to converge, to idle, to change, to restart.

A real API server, controller-manager and scheduler, kwok's nodes; the operator as a process of its own. JSON out.
Seconds are wall time, CPU seconds are the operator's alone, writes are counted in the API server's audit log.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local
from typing import Any

from benchmarks.audit import Audit, Write, by_resource
from tests.api.operator_process import Operator, operator_process
from tests.cluster import Cluster
from tests.cluster.client import MERGE_PATCH, Client
from tests.cluster.progress import say
from tests.cluster.waiting import wait_until

NUMBER = int(os.environ.get("MAAS_BENCH_CLUSTER", "38"))
USER = "maas-operator-benchmark"
NAMESPACE = "--namespace=default"
CONVERGE_SECONDS = 1200
"""Limit for all services to be Running."""
IDLE_SECONDS = 60
CHANGES = 100
"""Services changed, one at a time."""
CHANGE_SECONDS = 10
SETTLED_SECONDS = 120
SERVICES_PER_NODE = 40
CREATORS = 8
FLOOR = "without-operator"
FLOOR_POLL_SECONDS = 3
FAST = ["--kube-api-qps=2000", "--kube-api-burst=4000"]
GROUP = "/apis/maas-operator.io/v1alpha1"
CRDS = Path(__file__).parent.parent / "crds"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, nargs="+", default=[500, 2000])
    results = [measure(count) for count in parser.parse_args().services]
    json.dump({"benchmark": "converge", "cores": os.cpu_count(), "results": results}, sys.stdout, indent=2)
    print()


def measure(count: int) -> dict[str, Any]:
    """All figures at so many services, on a cluster made for it."""
    cluster = Cluster(NUMBER, Path(f"/tmp/maas-benchmark-{NUMBER}"))  # noqa: S108 short, since sockets live below it
    sys.stdout, printed = sys.stderr, sys.stdout
    try:
        cluster.down()
        cluster.up(
            "kwok",
            audit=True,
            flags={"kube-controller-manager": [*FAST, "--concurrent-deployment-syncs=20"], "kube-scheduler": FAST},
        )
        prepare(cluster, count)
        return {"services": count} | Run(cluster, count).figures()
    finally:
        cluster.down()
        shutil.rmtree(cluster.directory, ignore_errors=True)
        sys.stdout = printed


def prepare(cluster: Cluster, count: int) -> None:
    """Nodes, a model, a pool, and the services, all there before the operator starts."""
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    cluster.add_kwok_nodes(max(4, count // SERVICES_PER_NODE), {"cpu": "64", "memory": "512Gi"}, {"pool": "bench"})
    cluster.kubectl("create", "namespace", "bench")
    version = {"name": "v1", "source": "oci://registry.example/model:1", "contextLength": 4096}
    create(cluster, "models", {"kind": "Model", "metadata": {"name": "model"}, "spec": {"versions": [version]}})
    flavor = {"name": "one", "cpu": "500m", "memory": "1Gi"}
    pool: dict[str, Any] = {"nodeSelector": {"pool": "bench"}, "flavors": [flavor]}
    create(cluster, "resourcepools", {"kind": "ResourcePool", "metadata": {"name": "bench"}, "spec": pool})
    spec = {"model": {"name": "model"}, "resourcePool": "bench", "flavor": "one"}
    bodies = [{"kind": "ModelService", "metadata": {"name": f"s{index:05}"}, "spec": spec} for index in range(count)]
    with ThreadPoolExecutor(CREATORS) as pool_of_threads:
        list(pool_of_threads.map(lambda body: create(cluster, "namespaces/bench/modelservices", body), bodies))


_connections = local()


def client(cluster: Cluster) -> Client:
    """A connection of this thread's own."""
    if getattr(_connections, "cluster", None) is not cluster:
        _connections.cluster, _connections.client = cluster, cluster.client()
    return _connections.client  # type: ignore[no-any-return]


def create(cluster: Cluster, path: str, body: dict[str, Any]) -> None:
    client(cluster).request("POST", f"{GROUP}/{path}", {"apiVersion": "maas-operator.io/v1alpha1"} | body)


class Run:
    """One run: converge, idle, change, restart."""

    def __init__(self, cluster: Cluster, count: int) -> None:
        self.cluster, self.count = cluster, count
        self.kubeconfig = cluster.user_kubeconfig(USER, ["system:masters"])
        self.log = Path(tempfile.mkdtemp(prefix="maas-benchmark-")) / "operator.log"
        self.audit = Audit(cluster.audit_log)

    def figures(self) -> dict[str, Any]:
        self.audit.writes()
        with operator_process(self.cluster, self.log, NAMESPACE, kubeconfig=self.kubeconfig) as operator:
            found: dict[str, Any] = {}
            for name, part in (("converge", self.converge), ("idle", self.idle), ("change", self.change)):
                found[name] = part(operator)
                say(f"{self.count} services, {name}: {json.dumps(found[name])}")
            found["peak_mib"] = round(operator.peak_mib(), 1)
            wait_until(lambda: running(operator) == self.count, SETTLED_SECONDS, "the changed services to be Running")
            settle(self.cluster, operator)
            operator.stop()
        with operator_process(self.cluster, self.log, NAMESPACE, kubeconfig=self.kubeconfig) as operator:
            found["restart"] = self.restart(operator)
            operator.stop()
        return found | {"without_operator": self.without_operator()}

    def converge(self, operator: Operator) -> dict[str, Any]:
        def tail() -> str:
            return f"{running(operator)} are; the log ends: {self.log.read_text()[-2000:]}"

        wait_until(lambda: running(operator) == self.count, CONVERGE_SECONDS, "all services to be Running", tail)
        seconds, cpu = time.monotonic() - operator.began, operator.cpu_seconds()
        settle(self.cluster, operator)
        writes = self.audit.writes(USER)
        carried_out = [write.at for write in writes if write.resource == "deployments"]
        return {
            "seconds": round(seconds, 1),
            "seconds_to_the_last_deployment": round(max(carried_out) - min(write.at for write in writes), 1),
            "cpu_seconds": round(cpu, 1),
            "writes_a_service": round(len(writes) / self.count, 2),
            "writes": by_resource(writes),
            "conflicts_or_refusals": sum(write.status >= 400 for write in writes),
            "peak_mib": round(operator.peak_mib(), 1),
        }

    def idle(self, operator: Operator) -> dict[str, Any]:
        self.audit.writes()
        cpu = operator.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        return {
            "seconds": IDLE_SECONDS,
            "cpu_seconds": round(operator.cpu_seconds() - cpu, 2),
            "writes": len(self.audit.writes(USER)),
        }

    def change(self, _: Operator) -> dict[str, Any]:
        self.audit.writes()
        _connections.cluster = None  # the idle minute outlived the connection
        chosen = random.Random(1).sample(range(self.count), min(CHANGES, self.count))
        delays = [self.change_one(f"s{index:05}") for index in chosen]
        cuts = statistics.quantiles(delays, n=100)
        return {"changes": len(delays), "p50_ms": round(cuts[49] * 1000, 1), "p99_ms": round(cuts[98] * 1000, 1)}

    def change_one(self, name: str) -> float:
        """Seconds from the PATCH of the service to that of its Deployment, both as the API server received them."""
        path = f"{GROUP}/namespaces/bench/modelservices/{name}"
        client(self.cluster).request("PATCH", path, {"spec": {"instances": 2}}, MERGE_PATCH)
        seen: list[Write] = []

        def followed() -> float | None:
            seen.extend(write for write in self.audit.writes() if write.name == name)
            began = [write.at for write in seen if write.resource == "modelservices" and write.user != USER]
            ended = [write.at for write in seen if write.resource == "deployments" and write.user == USER]
            return ended[0] - began[0] if began and ended else None

        return wait_until(followed, CHANGE_SECONDS, f"the Deployment of {name} to follow")

    def restart(self, operator: Operator) -> dict[str, Any]:
        self.audit.writes()
        wait_until(
            lambda: running(operator) == self.count and queued(operator) == 0,
            SETTLED_SECONDS,
            "the operator to be steady",
        )
        seconds, cpu = time.monotonic() - operator.began, operator.cpu_seconds()
        settle(self.cluster, operator)
        writes = self.audit.writes(USER)
        return {
            "seconds": round(seconds, 1),
            "cpu_seconds": round(cpu, 1),
            "writes": len(writes),
            "of": by_resource(writes),
            "peak_mib": round(operator.peak_mib(), 1),
        }

    def without_operator(self) -> dict[str, Any]:
        """What the cluster itself needs for the same objects: copies of them, created by a plain client."""
        self.cluster.kubectl("create", "namespace", FLOOR)
        paths = {"services": "/api/v1", "poddisruptionbudgets": "/apis/policy/v1", "deployments": "/apis/apps/v1"}
        copies = [
            (f"{path}/namespaces/{FLOOR}/{plural}", copy_of(item))
            for plural, path in paths.items()
            for item in client(self.cluster).request("GET", f"{path}/namespaces/bench/{plural}")["items"]
        ]
        began = time.monotonic()
        with ThreadPoolExecutor(CREATORS) as threads:
            list(threads.map(lambda copy: client(self.cluster).request("POST", *copy), copies))
        created = time.monotonic() - began
        wait_until(self.all_available, CONVERGE_SECONDS, "all copies to be available")
        return {"seconds": round(time.monotonic() - began, 1), "seconds_to_the_last_deployment": round(created, 1)}

    def all_available(self) -> bool:
        """Asked every few seconds alone: the answer is megabytes long."""
        time.sleep(FLOOR_POLL_SECONDS)
        path = f"/apis/apps/v1/namespaces/{FLOOR}/deployments"
        items = client(self.cluster).request("GET", path, resourceVersion="0")["items"]
        available = sum(item.get("status", {}).get("availableReplicas", 0) >= 1 for item in items)
        return bool(available == self.count)


def settle(cluster: Cluster, operator: Operator, limit: float = SETTLED_SECONDS) -> None:
    """Wait until nothing has been written, and no key has waited, for two seconds."""
    quiet = {"since": time.monotonic()}
    watcher = Audit(cluster.audit_log)

    def settled() -> bool:
        if watcher.writes(USER) or queued(operator) != 0:
            quiet["since"] = time.monotonic()
        return time.monotonic() - quiet["since"] > 2

    wait_until(settled, limit, "the operator to be quiet")


def running(operator: Operator) -> int:
    """ModelServices of phase Running, as the operator counts them."""
    return int(operator.metric('maas_operator_services{phase="Running"}'))


def queued(operator: Operator) -> int:
    """Keys that wait; -1 while it cannot tell."""
    return int(operator.metric("maas_operator_queue_depth", otherwise=-1))


def copy_of(item: dict[str, Any]) -> dict[str, Any]:
    """An object as one would create it, of one instance, owned by nobody."""
    metadata = {"name": item["metadata"]["name"], "labels": item["metadata"].get("labels", {})}
    spec = {key: value for key, value in item["spec"].items() if key not in {"clusterIP", "clusterIPs"}}
    return {"metadata": metadata, "spec": spec | ({"replicas": 1} if "replicas" in spec else {})}


if __name__ == "__main__":
    main()
