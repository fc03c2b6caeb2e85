"""`python -m benchmarks.capacity [--nodes 1000] [--services 5000]`: the pools' figures while nodes come and go.

A real API server, and the operator as a process of its own. Nodes and pods are objects in the API alone, made here,
with neither scheduler nor controllers: what is measured is the operator's counting. JSON out. CPU seconds are the
operator's alone, writes are counted in the API server's audit log.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.audit import Audit, Write, by_resource
from benchmarks.converge import CRDS, CREATORS, GROUP, IDLE_SECONDS, NUMBER, USER, client, settle
from tests.api.operator_process import Operator, operator_process
from tests.cluster import Cluster
from tests.cluster.client import MERGE_PATCH
from tests.cluster.progress import say
from tests.cluster.waiting import wait_until

POOLS, ACCOUNTS = 10, 50
"""Nodes and services are spread evenly over so many."""
NPUS, NPUS_A_NODE = "huawei.com/Ascend910", 8
FLAVORS = (1, 2, 4, NPUS_A_NODE)
NOT_READY = {"key": "node.kubernetes.io/not-ready", "operator": "Exists"}
"""The API server gives it to each new node, and there is no controller here to take it away."""
CHANGES = 50
"""Nodes that are cordoned one after another, and nodes that go and come all at once."""
LINE = 200
"""Services that stand in line while room comes and goes."""
CONVERGE_SECONDS = 1800
SETTLED_SECONDS = 300
FOLLOW_SECONDS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--services", type=int, default=5000)
    asked = parser.parse_args()
    sizes = {"nodes": asked.nodes, "services": asked.services, "pools": POOLS, "flavors": len(FLAVORS)}
    cluster = Cluster(NUMBER, Path(f"/tmp/maas-benchmark-{NUMBER}"))  # noqa: S108 short, since sockets live below it
    sys.stdout, printed = sys.stderr, sys.stdout
    try:
        cluster.down()
        cluster.up("api", audit=True)
        figures = Run(cluster, asked.nodes, asked.services).figures()
    finally:
        cluster.down()
        shutil.rmtree(cluster.directory, ignore_errors=True)
        sys.stdout = printed
    json.dump({"benchmark": "capacity", "cores": os.cpu_count(), **sizes} | figures, sys.stdout, indent=2)
    print()


class Run:
    """One run: count all, idle, nodes one by one, nodes all at once, a line."""

    def __init__(self, cluster: Cluster, nodes: int, services: int) -> None:
        self.cluster = cluster
        self.nodes, self.services = nodes, services
        self.kubeconfig = cluster.user_kubeconfig(USER, ["system:masters"])
        self.log = Path(tempfile.mkdtemp(prefix="maas-benchmark-")) / "operator.log"

    def figures(self) -> dict[str, Any]:
        began = time.monotonic()
        self.prepare()
        say(f"{self.nodes} nodes and {self.services} services after {time.monotonic() - began:.0f} s")
        self.audit = Audit(self.cluster.audit_log)
        found: dict[str, Any] = {}
        with operator_process(self.cluster, self.log, "--no-leader-election", kubeconfig=self.kubeconfig) as operator:
            parts = (self.count, self.idle, self.one_by_one, self.all_at_once, self.line)
            for part in parts:
                self.audit.writes()
                cpu = operator.cpu_seconds()
                told = part(operator)
                writes = self.audit.writes(USER)
                figures = {"cpu_seconds": round(operator.cpu_seconds() - cpu, 2), "writes": by_resource(writes)}
                found[part.__name__] = told | figures
                say(f"{part.__name__}: {json.dumps(found[part.__name__])}")
            found["peak_mib"] = round(operator.peak_mib(), 1)
            operator.stop()
        return found

    def prepare(self) -> None:
        """Everything is there before the operator starts; of each service one instance runs."""
        self.cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        self.cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        version = {"name": "v1", "source": "oci://registry.example/model:1", "contextLength": 4096}
        self.post(GROUP, "models", [kind("Model", "model", {"versions": [version]})])
        flavors = [
            {"name": f"x{count}", "cpu": "1", "memory": "1Gi", "accelerator": {"type": "ascend-910b", "count": count}}
            for count in FLAVORS
        ]
        pools = [
            kind(
                "ResourcePool",
                f"p{number}",
                {
                    "nodeSelector": {"pool": f"p{number}"},
                    "tolerations": [NOT_READY],
                    "flavors": flavors,
                    "quotas": [{"name": "everybody", "instances": self.services}],
                },
            )
            for number in range(POOLS)
        ]
        self.post(GROUP, "resourcepools", pools)
        accounts = [{"metadata": {"name": f"a{number}"}} for number in range(ACCOUNTS)]
        self.post("/api/v1", "namespaces", accounts)
        self.post("/api/v1", "nodes", [node(number) for number in range(self.nodes)])
        everyone = range(self.services)
        self.post(GROUP, "modelservices", [service(number) for number in everyone])
        pods = [pod(number, f"n{number % self.nodes}") for number in everyone]
        self.post("/api/v1", "pods", pods)
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        self.patch([(f"/api/v1/namespaces/{path(each)}/status", {"status": ready}) for each in pods])

    def count(self, operator: Operator) -> dict[str, Any]:
        """From the operator's start until every figure is right and it rests."""
        wait_until(lambda: self.used(operator) == self.services, CONVERGE_SECONDS, "all to be counted", operator.tail)
        seconds = time.monotonic() - operator.began
        settle(self.cluster, operator, CONVERGE_SECONDS)
        return {"seconds": round(seconds, 1), "peak_mib": round(operator.peak_mib(), 1)}

    def idle(self, _: Operator) -> dict[str, Any]:
        time.sleep(IDLE_SECONDS)
        return {"seconds": IDLE_SECONDS}

    def one_by_one(self, _: Operator) -> dict[str, Any]:
        """Nodes are cordoned and taken back, each once the pool's status says so."""
        delays = []
        for number in range(CHANGES):
            for closed in (True, False):
                delays.append(self.followed(number, closed))
        cuts = statistics.quantiles(delays, n=20)
        return {"changes": len(delays), "p50_ms": round(cuts[9] * 1000), "p95_ms": round(cuts[18] * 1000)}

    def all_at_once(self, operator: Operator) -> dict[str, Any]:
        """So many nodes of every pool are deleted as fast as the API server can, and made anew."""
        before, gone = self.capacity(operator), [node(number) for number in range(CHANGES * 2)]
        began = time.monotonic()
        self.each(lambda each: self.request("DELETE", f"/api/v1/nodes/{each['metadata']['name']}"), gone)
        lost = before - len(gone) * NPUS_A_NODE
        wait_until(lambda: self.capacity(operator) == lost, FOLLOW_SECONDS, "the nodes to be missed", operator.tail)
        self.post("/api/v1", "nodes", gone)
        wait_until(lambda: self.capacity(operator) == before, FOLLOW_SECONDS, "the nodes to be seen", operator.tail)
        seconds = time.monotonic() - began
        settle(self.cluster, operator, CONVERGE_SECONDS)
        return {"nodes": len(gone), "seconds": round(seconds, 1)}

    def line(self, operator: Operator) -> dict[str, Any]:
        """Services wait for a whole node, of which the pool has none; then nodes are cordoned and taken back."""
        first = service(self.services) | {"spec": service(0)["spec"] | {"flavor": f"x{NPUS_A_NODE}"}}
        waits = pod(self.services, None)
        self.post(GROUP, "modelservices", [first])
        self.post("/api/v1", "pods", [waits])
        said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
        self.patch([(f"/api/v1/namespaces/{path(waits)}/status", {"status": {"conditions": [said]}})])
        wait_until(lambda: self.place(first) == 1, FOLLOW_SECONDS, "the first to stand in line", operator.tail)
        others = [service(POOLS * number) for number in range(self.services // POOLS, self.services // POOLS + LINE)]
        for each in others:
            each["metadata"]["name"] += "-waits"
        began = time.monotonic()
        self.post(GROUP, "modelservices", others)
        wait_until(lambda: self.place(others[-1]) is not None, SETTLED_SECONDS, "all to stand in line", operator.tail)
        settle(self.cluster, operator, CONVERGE_SECONDS)
        joined, cpu = time.monotonic() - began, operator.cpu_seconds()
        for number in range(CHANGES):
            for closed in (True, False):
                self.followed(number, closed)
        settle(self.cluster, operator, CONVERGE_SECONDS)
        churn = operator.cpu_seconds() - cpu
        return {"services": LINE + 1, "seconds_to_join": round(joined, 1), "cpu_seconds_of_nodes": round(churn, 2)}

    def followed(self, number: int, closed: bool) -> float:
        """Seconds from a node's being cordoned or taken back to the status of its pool that says so, both as the API
        server received them."""
        name, pool = f"n{number}", f"p{number % POOLS}"
        watcher = Audit(self.cluster.audit_log)
        self.request("PATCH", f"/api/v1/nodes/{name}", {"spec": {"unschedulable": closed}}, MERGE_PATCH)
        seen: list[Write] = []

        def there() -> float | None:
            seen.extend(watcher.writes())
            began = [write.at for write in seen if write.resource == "nodes" and write.name == name]
            ended = [write.at for write in seen if write.resource == "resourcepools/status" and write.name == pool]
            return ended[-1] - began[0] if began and ended else None

        return wait_until(there, FOLLOW_SECONDS, f"pool {pool} to follow")

    def used(self, operator: Operator) -> float:
        return sum(operator.metric(sample(f"p{number}", "x1", "used")) for number in range(POOLS))

    def capacity(self, operator: Operator) -> float:
        return sum(operator.metric(sample(f"p{number}", "x1", "capacity")) for number in range(POOLS))

    def place(self, of: dict[str, Any]) -> Any:
        found = self.request("GET", f"{GROUP}/namespaces/{path(of)}")
        return found.get("status", {}).get("queue", {}).get("place")

    def request(self, *said: Any) -> dict[str, Any]:
        return client(self.cluster).request(*said)

    def post(self, group: str, plural: str, bodies: Iterable[dict[str, Any]]) -> None:
        def one(body: dict[str, Any]) -> None:
            namespace = body["metadata"].get("namespace")
            self.request("POST", f"{group}/{f'namespaces/{namespace}/' if namespace else ''}{plural}", body)

        self.each(one, bodies)

    def patch(self, said: Iterable[tuple[str, dict[str, Any]]]) -> None:
        self.each(lambda each: self.request("PATCH", each[0], each[1], MERGE_PATCH), said)

    def each(self, do: Callable[[Any], Any], bodies: Iterable[Any]) -> None:
        with ThreadPoolExecutor(CREATORS) as threads:
            list(threads.map(do, bodies))


def kind(name: str, called: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    metadata = {"name": called, **metadata}
    return {"apiVersion": "maas-operator.io/v1alpha1", "kind": name, "metadata": metadata, "spec": spec}


def service(number: int) -> dict[str, Any]:
    spec = {"model": {"name": "model"}, "resourcePool": f"p{number % POOLS}", "flavor": "x1", "instances": 1}
    return kind("ModelService", f"s{number:05}", spec, namespace=f"a{number % ACCOUNTS}")


def node(number: int) -> dict[str, Any]:
    capacity = {"cpu": "64", "memory": "512Gi", "pods": "110", NPUS: str(NPUS_A_NODE)}
    return {
        "metadata": {"name": f"n{number}", "labels": {"pool": f"p{number % POOLS}"}},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(number: int, on: str | None) -> dict[str, Any]:
    """An instance of a service, as its Deployment's controller and the scheduler would have made it."""
    of = service(number)
    labels = {
        "app.kubernetes.io/managed-by": "maas-operator",
        "maas-operator.io/service": of["metadata"]["name"],
        "maas-operator.io/pool": of["spec"]["resourcePool"],
        "maas-operator.io/flavor": "x1" if on else f"x{NPUS_A_NODE}",
    }
    limits = {"cpu": "1", "memory": "1Gi", NPUS: "1" if on else str(NPUS_A_NODE)}
    container = {"name": "engine", "image": "x", "resources": {"requests": limits, "limits": limits}}
    return {
        "metadata": {"name": of["metadata"]["name"], "namespace": of["metadata"]["namespace"], "labels": labels},
        "spec": {"containers": [container]} | ({"nodeName": on} if on else {}),
    }


def path(of: dict[str, Any]) -> str:
    plural = "modelservices" if of.get("kind") == "ModelService" else "pods"
    return f"{of['metadata']['namespace']}/{plural}/{of['metadata']['name']}"


def sample(pool: str, flavor: str, state: str) -> str:
    return f'maas_pool_instances{{flavor="{flavor}",pool="{pool}",state="{state}"}}'


if __name__ == "__main__":
    main()
