"""`python -m benchmarks.asleep [--services 100] [--minutes 1]`: what services that sleep cost while nobody calls them.

A real API server, the operator, and a replica of the gateway, agent and Envoy, as processes of their own. Everything
rests for so many minutes without a ModelService; then with so many that sleep; then with those, our processes begun
anew, so that their memory is that of what is and not of what was. The services fell asleep by the operator's own
decision: each had an instance that answered, and no request for SLEEP_AFTER. There are neither nodes nor controllers,
so that nobody else asks the API server anything: instances are objects, made and taken away here, with the address of
one canned engine. At the end one service is called, so that it is known that they slept and were not dead. JSON out,
all figures for a minute. CPU seconds are each process's own, writes are counted in the API server's audit log, requests
by the API server itself.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import fmean
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.audit import Audit, by_resource
from benchmarks.converge import IDLE_SECONDS, NAMESPACE, NUMBER, SETTLED_SECONDS, USER, settle
from maas_operator.api.names import FIELD_MANAGER, LABEL_MANAGED_BY, LABEL_SERVICE, PORT
from maas_operator.api.permissions import GATEWAY_PERMISSIONS
from maas_operator.watch.measuring import AT_ONCE
from tests.api.grants import granted
from tests.api.operator_process import Operator, custom, operator_process
from tests.cluster import Cluster
from tests.cluster.client import MERGE_PATCH
from tests.cluster.progress import say
from tests.cluster.waiting import wait_until
from tests.gateway.replica import ACCOUNT, Manifest, Replica, api_key, apply, gateway_cluster, of_account
from tests.gateway.revocation import until
from tests.processes import cpu_seconds, resident_mib
from tests.unit.watch import vllm

ENGINE = "127.38.0.1"
"""Where the one engine is that all instances have: no test has this address."""
OURS = ("operator", "agent", "envoy")
KEY = "sk-of-the-benchmark"
SLEEP_AFTER = "10s"
BEGIN_SECONDS = 60
"""Limit for the gateway to begin, and for all services to be carried out."""
ASLEEP_SECONDS = 300
WOKEN_SECONDS = 10
SERVICES = f"/apis/maas-operator.io/v1alpha1/namespaces/{ACCOUNT}/modelservices"
PODS = f"/api/v1/namespaces/{ACCOUNT}/pods"
READY = {
    "phase": "Running",
    "podIP": ENGINE,
    "podIPs": [{"ip": ENGINE}],
    "conditions": [{"type": "Ready", "status": "True"}],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--minutes", type=int, default=1)
    asked = parser.parse_args()
    sys.stdout, printed = sys.stderr, sys.stdout
    results = measure(asked.services, asked.minutes)
    sys.stdout = printed
    sizes = {"services": asked.services, "minutes": asked.minutes}
    json.dump({"benchmark": "asleep", "cores": os.cpu_count(), **sizes} | results, sys.stdout, indent=2)
    print()


def measure(count: int, minutes: int) -> dict[str, Any]:
    """All figures, on a cluster made for it."""
    folder = Path(tempfile.mkdtemp(prefix="maas-asleep-"))
    names = [f"s{number:03}" for number in range(count)]
    try:
        with gateway_cluster(NUMBER, folder / "cluster", audit=True) as cluster, engine():
            prepare(cluster)
            with installed(cluster, folder / "first") as there:
                without = there.rests(minutes)
                say(f"no service: {json.dumps(without)}")
                begun = time.monotonic()
                there.put_to_sleep(names)
                say(f"{count} services are asleep after {time.monotonic() - begun:.0f} s")
                asleep = there.rests(minutes)
                say(f"{count} services asleep: {json.dumps(asleep)}")
            with installed(cluster, folder / "second") as there:
                anew = there.rests(minutes)
                say(f"begun anew: {json.dumps(anew)}")
                woken = asyncio.run(there.wakes(names[0]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "without": without,
        "asleep": asleep,
        "asleep_begun_anew": anew,
        "added": added(without, asleep),
        "added_begun_anew": added(without, anew),
        "woken_seconds": round(woken, 2),
    }


def added(before: dict[str, Any], now: dict[str, Any]) -> dict[str, float]:
    """How much more it is, figure by figure."""
    return {name: round(value - before[name], 2) for name, value in now.items() if isinstance(value, int | float)}


def prepare(cluster: Cluster) -> None:
    """All but services."""
    version = {"name": "v1", "source": "hf://acme/tiny", "contextLength": 1024}
    model = custom("Model", "tiny", spec={"versions": [version]})
    flavors = [{"name": "small", "cpu": "1", "memory": "1Gi"}]
    apply(cluster, model, custom("ResourcePool", "pool", spec={"flavors": flavors}), api_key(KEY))


@contextmanager
def installed(cluster: Cluster, folder: Path) -> Iterator["House"]:
    """The operator and a replica of the gateway, which see each other, and have seen the cluster."""
    folder.mkdir()
    (folder / "token").write_text("none")
    rights = granted(cluster, "gateway", GATEWAY_PERMISSIONS)
    replica = Replica(folder / "replica", rights, "http://127.0.0.1:9", folder / "token")
    (folder / "settings.yaml").write_text(json.dumps({"gateways": [f"127.0.0.1:{replica.metrics}"]}))
    options = NAMESPACE, f"--settings={folder}/settings.yaml"
    kubeconfig = cluster.user_kubeconfig(USER, ["system:masters"])
    try:
        with operator_process(cluster, folder / "operator.log", *options, kubeconfig=kubeconfig) as operator:
            wait_until(lambda: operator.metric("maas_operator_is_leader") == 1, BEGIN_SECONDS, "the operator to lead")
            operator.wait_ready()
            asyncio.run(begun(replica))
            yield House(cluster, operator, replica)
            operator.stop()
    finally:
        replica.end()


async def begun(replica: Replica) -> None:
    """The gateway begins, and knows the key: no service has that name."""
    replica.agent.start()
    await until(replica.ready, BEGIN_SECONDS)
    replica.envoy.start()

    async def knows_the_key() -> bool:
        return await replica.chat(KEY) == 404

    await until(knows_the_key, BEGIN_SECONDS)


@contextmanager
def engine() -> Iterator[None]:
    """It has no requests, and says so."""
    body = vllm.metrics()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = AT_ONCE

    server = Server((ENGINE, PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class House:
    """The cluster and our processes."""

    def __init__(self, cluster: Cluster, operator: Operator, replica: Replica) -> None:
        self.cluster, self.operator, self.replica = cluster, operator, replica
        self.processes = {
            **dict(zip(OURS, (operator.pid, replica.agent.pid, replica.envoy.pid), strict=True)),
            "kube_apiserver": cluster.pid("kube-apiserver"),
            "etcd": cluster.pid("etcd"),
        }

    def rests(self, minutes: int) -> dict[str, Any]:
        """What a minute costs once everything is quiet."""
        self.settle()
        audit, served, decided = Audit(self.cluster.audit_log), self.served(), self.decisions()
        spent = [self.spends(IDLE_SECONDS) for _ in range(minutes)]
        requests, writes = self.served() - served, audit.writes()
        with closing(self.cluster.client()) as client:
            pods = len(client.request("GET", PODS)["items"])
        return {
            **{f"{name}_cpu_seconds": round(fmean(each[name] for each in spent), 3) for name in self.processes},
            **{f"{name}_mib": round(resident_mib(self.processes[name]), 1) for name in OURS},
            "requests": round(requests.total() / minutes, 1),
            "writes": round(len(writes) / minutes, 1),
            "decisions": round((self.decisions() - decided) / minutes, 1),
            "asleep": len(self.resting()),
            "pods": pods,
            "requests_of": dict(sorted(requests.items())),
            "writes_of": by_resource(writes),
            "cpu_seconds_of_each_minute": {name: [round(each[name], 2) for each in spent] for name in OURS},
        }

    def settle(self) -> None:
        """Wait until nothing is written, and the operator has asked the gateway twice since: its first look after the
        last instance went brings a decision on each service."""
        settle(self.cluster, self.operator)
        looks: set[float] = set()

        def looked_twice() -> bool:
            looks.add(self.operator.metric("maas_operator_measured_timestamp_seconds"))
            return len(looks) > 2

        self.wait(looked_twice, SETTLED_SECONDS, "the operator to ask the gateway")

    def spends(self, seconds: int) -> dict[str, float]:
        """CPU seconds of each process in so many seconds."""
        before = {name: cpu_seconds(pid) for name, pid in self.processes.items()}
        time.sleep(seconds)
        return {name: cpu_seconds(pid) - before[name] for name, pid in self.processes.items()}

    def served(self) -> Counter[str]:
        """Requests that the API server has served, by verb and resource; but for those that ask for this."""
        text = self.cluster.kubectl("get", "--raw", "/metrics")
        lines = "\n".join(line for line in text.splitlines() if line.startswith("apiserver_request_total{"))
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(lines):
            for sample in family.samples:
                what = sample.labels["resource"] or sample.labels["subresource"]
                found[f"{sample.labels['verb']} {what}"] += int(sample.value)
        del found["GET /metrics"]
        return found

    def decisions(self) -> int:
        """How often the operator has decided on a ModelService."""
        return int(self.operator.metric('maas_operator_reconcile_seconds_count{kind="ModelService"}'))

    def put_to_sleep(self, names: list[str]) -> None:
        """The services are made, run, and fall asleep."""
        scaling = {"minInstances": 0, "maxInstances": 1, "sleepAfter": SLEEP_AFTER}
        spec = {"model": {"name": "tiny"}, "resourcePool": "pool", "flavor": "small", "scaling": scaling}
        apply(self.cluster, *(of_account("ModelService", name, **spec) for name in names))
        self.wait(lambda: self.desired() == dict.fromkeys(names, 1), BEGIN_SECONDS, "all services to be carried out")
        apply(self.cluster, *map(instance, names))
        with closing(self.cluster.client()) as client:
            for name in names:
                client.request("PATCH", f"{PODS}/{name}/status", {"status": READY}, MERGE_PATCH)
            self.wait(lambda: self.desired() == dict.fromkeys(names, 0), ASLEEP_SECONDS, "all services to fall asleep")
            client.request("DELETE", PODS, {"gracePeriodSeconds": 0})
        apply(self.cluster, *map(no_endpoints, names))
        self.wait(lambda: self.resting() == set(names), SETTLED_SECONDS, "all services to be asleep")

    def desired(self) -> dict[str, int]:
        """How many instances the operator wants of each service."""
        return {
            each["metadata"]["name"]: each.get("status", {}).get("scaling", {}).get("desired", -1)
            for each in self.services()
        }

    def resting(self) -> set[str]:
        """Services that sleep, with nothing left of them."""
        return {
            each["metadata"]["name"]
            for each in self.services()
            for condition in each.get("status", {}).get("conditions", ())
            if (condition["type"], condition["status"], condition["reason"]) == ("Ready", "True", "Asleep")
        }

    def services(self) -> list[Manifest]:
        with closing(self.cluster.client()) as client:
            return list(client.request("GET", SERVICES)["items"])

    def wait(self, condition: Callable[[], bool], limit: float, what: str) -> None:
        wait_until(condition, limit, what, self.operator.tail)

    async def wakes(self, name: str) -> float:
        """Seconds from a request to the operator's wanting an instance. Nothing answers it: it is held."""

        async def wanted() -> bool:
            return (await asyncio.to_thread(self.desired))[name] == 1

        begun = time.monotonic()
        asked = asyncio.create_task(self.replica.chat(KEY, model=name))
        try:
            await until(wanted, WOKEN_SECONDS)
            return time.monotonic() - begun
        finally:
            asked.cancel()
            with suppress(asyncio.CancelledError):
                await asked


def instance(name: str) -> Manifest:
    """A service's pod, as its Deployment's controller and the scheduler would have made it."""
    labels = {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_SERVICE: name}
    spec = {"nodeName": "n1", "containers": [{"name": "engine", "image": "x"}]}
    metadata = {"name": name, "namespace": ACCOUNT, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def no_endpoints(name: str) -> Manifest:
    """What the cluster's own controller leaves of a Service without pods."""
    labels = {"kubernetes.io/service-name": name}
    metadata = {"name": f"{name}-1", "namespace": ACCOUNT, "labels": labels}
    kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata}
    return kind | {"addressType": "IPv4", "ports": [], "endpoints": []}


if __name__ == "__main__":
    main()
