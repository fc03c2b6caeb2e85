"""Hangs (M9): a real operator with the permissions of the chart, canned engines, a canned replica of the gateway. There
is no kubelet: an instance that is deleted goes on leaving."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from maas_operator.api.names import FIELD_MANAGER, LABEL_MANAGED_BY, LABEL_SERVICE, PORT
from maas_operator.api.traffic import PATH, ServiceTraffic, Traffic
from maas_operator.decide.hangs import GRACE_SECONDS
from tests.api.grants import Grants
from tests.api.operator_process import Account, Manifest, operator_process
from tests.cluster import Cluster
from tests.processes import free_port
from tests.unit.watch import vllm

pytestmark = pytest.mark.api

HANG_SECONDS = 10
SECONDS = HANG_SECONDS + 20
MOVING, STUCK, NEXT = "127.81.0.1", "127.81.0.2", "127.81.0.3"


class Canned:
    """Answers each question by what it is told then."""

    def __init__(self) -> None:
        self.tokens = 0
        self.traffic = Traffic(replica="x", since=0.0)

    def answer(self, address: str, path: str) -> bytes:
        if path == PATH:
            return self.traffic.model_dump_json(by_alias=True).encode()
        assert path == "/metrics"
        self.tokens += 1
        return vllm.metrics(running=1, generation=self.tokens) if address == MOVING else vllm.metrics(generation=7)

    @contextmanager
    def served(self, *addresses: tuple[str, int]) -> Iterator[None]:
        canned = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = canned.answer(self.connection.getsockname()[0], self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        servers = [ThreadingHTTPServer(each, Handler) for each in addresses]
        for each in servers:
            threading.Thread(target=each.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            for each in servers:
                each.shutdown()
                each.server_close()


def start(account: Account, name: str, address: str) -> None:
    """An instance that answers, as a kubelet would say it."""
    labels = {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_SERVICE: "assistant"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": account.name, "labels": labels},
        "spec": {"nodeName": "n1", "containers": [{"name": "engine", "image": "x"}]},
    }
    account.apply(pod)
    ready = {"type": "Ready", "status": "True"}
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [ready]}
    account.patch("pod", {"status": status}, name, "--subresource=status")


def status(account: Account) -> Manifest:
    return dict((account.get("msvc") or {}).get("status", {}))


def test_m9_an_instance_that_hangs_is_reported_and_replaced_one_at_a_time(cluster: Cluster, tmp_path: Path) -> None:
    account = Account(cluster, "hangs")
    gateway = ("127.0.0.1", free_port())
    canned = Canned()
    grants = Grants(cluster, "maas-operator")
    grants.all_but()
    file = tmp_path / "settings.yaml"
    said = {"measureSeconds": 1, "hangSeconds": HANG_SECONDS, "gateways": [f"{gateway[0]}:{gateway[1]}"]}
    file.write_text(json.dumps(said))
    places = [(address, PORT) for address in (MOVING, STUCK, NEXT)]
    with (
        canned.served(gateway, *places),
        operator_process(
            cluster,
            tmp_path / "operator.log",
            "--no-leader-election",
            f"--settings={file}",
            kubeconfig=grants.kubeconfig,
        ) as operator,
    ):
        account.serve(instances=2)
        account.served(operator)
        start(account, "moving", MOVING)
        start(account, "stuck", STUCK)
        account.eventually(lambda: status(account).get("phase") == "Running", "it to run", operator)
        hang_by_the_gateways_word(canned, account)

        pod = account.eventually(lambda: leaving(account, "stuck"), "the instance to be removed", operator, SECONDS)
        assert pod["metadata"]["deletionGracePeriodSeconds"] == GRACE_SECONDS
        found = account.eventually(
            lambda: status(account) if status(account)["instances"]["ready"] == 1 else None, "it to leave", operator
        )
        assert (found["phase"], found["suspension"]["instance"]) == ("Alarm", "stuck")
        since = found["suspension"]["since"]
        ready = account.condition("Ready")
        assert (ready["status"], ready["reason"]) == ("False", "SuspectedSuspension")
        assert f"instance stuck, which had made no progress with its requests since {since}" in ready["message"]
        (event,) = events(cluster, account, "SuspectedSuspension")
        assert event["type"] == "Warning"
        assert event["message"].startswith("instance stuck answers /health, but has made no progress")
        assert since in event["message"]
        assert not leaving(account, "moving")

        start(account, "next", NEXT)
        account.eventually(lambda: status(account).get("phase") == "Running", "it to be replaced", operator)
        assert "suspension" not in status(account)
        assert operator.metric('maas_operator_measure_failures_total{what="engine"}') == 0
        assert operator.metric('maas_operator_measure_failures_total{what="gateway"}') == 0


def hang_by_the_gateways_word(canned: Canned, account: Account) -> None:
    """vLLM's pause: the engine says that it has no requests, and of their answers nothing comes."""
    uid = (account.get("msvc") or {})["metadata"]["uid"]
    waits = {f"{STUCK}:{PORT}": 2}
    traffic = ServiceTraffic(requests=1, under_way=waits, unanswered=waits)
    canned.traffic = Traffic(replica="x", since=0.0, services={uid: traffic})


def leaving(account: Account, name: str) -> Manifest | None:
    pod = account.get("pod", name)
    return pod if pod and "deletionTimestamp" in pod["metadata"] else None


def events(cluster: Cluster, account: Account, reason: str) -> list[Manifest]:
    text = cluster.kubectl("get", "events", "-n", account.name, "--field-selector", f"reason={reason}", "-o", "json")
    return list(json.loads(text)["items"])
