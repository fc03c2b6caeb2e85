"""M16: instances start, fail and go, a price changes, the operator is killed: the bill is what their pods say."""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from maas_operator.api.billing import Bill
from maas_operator.api.times import written
from tests.api.operator_process import Account, Operator, custom, operator_process
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.ledger.processes import NAMESPACE, OPERATOR, LedgerProcess, token
from tests.pools.room import SEEN_SECONDS
from tests.processes import free_port

CHEAP, DEAR = "36.00", "72.01"


@dataclass
class Scene:
    """An account whose pool costs something, and a ledger."""

    account: Account
    ledger: LedgerProcess
    operators: str
    """The operator's token for the ledger."""

    def price(self, per_hour: str) -> int:
        """Edit the pool so; returns when the API server says that it was edited."""
        flavor = {"name": "small", "cpu": "1", "memory": "1Gi", "price": {"perHour": per_hour, "currency": "EUR"}}
        spec = {"nodeSelector": {"accelerator": "huawei-Ascend910"}, "flavors": [flavor]}
        self.account.apply(custom("ResourcePool", "metered", spec=spec))
        shown = self.account.cluster.kubectl("get", "rpool", "metered", "-o", "json", "--show-managed-fields")
        entries = json.loads(shown)["metadata"]["managedFields"]
        return next(seconds(each["time"]) for each in entries if each["manager"] == "user")

    def pods(self, service: str) -> dict[str, dict[str, Any]]:
        selector = ("-l", f"maas-operator.io/service={service}")
        shown = self.account.cluster.kubectl("get", "pods", "-n", self.account.name, *selector, "-o", "json")
        return {each["metadata"]["uid"]: each for each in json.loads(shown)["items"]}

    def running(self, service: str, count: int) -> dict[str, dict[str, Any]]:
        """Wait for so many instances with a node; returns their pods."""

        def there() -> dict[str, dict[str, Any]] | None:
            found = {uid: each for uid, each in self.pods(service).items() if each["status"]["phase"] == "Running"}
            return found if len(found) == count else None

        return dict(wait_until(there, SEEN_SECONDS, f"{count} instances of {service}"))

    def seen(self) -> dict[str, int]:
        """By uid: until when the ledger knows of the instances that are open."""
        return {each["uid"]: each["seen"] for each in map(json.loads, self.ask("intervals").splitlines())}

    def ask(self, what: str) -> str:
        request = urllib.request.Request(f"{self.ledger.address}/v1/{what}")
        request.add_header("X-Maas-Ledger-Token", self.operators)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())


@pytest.fixture
def scene(cluster: Cluster, tmp_path: Path) -> Iterator[Scene]:
    ledger = LedgerProcess(tmp_path, cluster, f"sqlite:///{tmp_path}/ledger.db", free_port(), free_port()).start()
    made = Scene(Account(cluster, "billed"), ledger, token(cluster, NAMESPACE, OPERATOR))
    secret = tmp_path / "token"
    secret.write_text(made.operators)
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump({"ledger": ledger.address, "ledgerToken": str(secret)}))
    yield made
    for service in ("stays", "goes"):
        if made.account.get("msvc", service):
            made.account.delete("msvc", service)
    ledger.end()


def seconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())


def scheduled(pod: dict[str, Any]) -> int:
    (found,) = (each for each in pod["status"]["conditions"] if each["type"] == "PodScheduled")
    return seconds(found["lastTransitionTime"])


def fail(scene: Scene, pod: dict[str, Any]) -> int:
    """What a node that shuts down says of a pod: its containers ended for good, just now."""
    now = datetime.now(UTC)
    ended = {"exitCode": 137, "finishedAt": written(now), "startedAt": written(now), "reason": "Terminated"}
    container = {"name": "engine", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Failed", "containerStatuses": [container | {"state": {"running": None, "terminated": ended}}]}
    scene.account.patch("pod", {"status": status}, pod["metadata"]["name"], "--subresource=status")
    return seconds(written(now))


def test_m16_the_bill_is_what_the_pods_own_times_say(scene: Scene, cluster: Cluster, tmp_path: Path) -> None:
    account, settings = scene.account, f"--settings={tmp_path}/settings.yaml"
    scene.price(CHEAP)
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}

    def told(operator: Operator, uids: set[str]) -> None:
        wait_until(lambda: scene.seen().keys() == uids, SEEN_SECONDS, f"the ledger to know {uids}", operator.tail)

    with operator_process(cluster, tmp_path / "first.log", settings, "--no-leader-election") as first:
        first.wait_ready()
        for name, instances in (("stays", 2), ("goes", 1)):
            account.serve(name, resourcePool="metered", instances=instances)
        stays, goes = scene.running("stays", 2), scene.running("goes", 1)
        starts |= {uid: scheduled(pod) for uid, pod in (stays | goes).items()}
        told(first, set(starts))
        edited = scene.price(DEAR)
        failing = next(iter(stays))
        ends[failing] = fail(scene, stays[failing])
        stays = scene.running("stays", 2)
        starts |= {uid: scheduled(pod) for uid, pod in stays.items()}
        told(first, {*stays, *goes})
        first.kill()
    (gone,) = goes
    ends[gone] = scene.seen()[gone]
    account.delete("msvc", "goes")
    wait_until(lambda: not scene.pods("goes"), SEEN_SECONDS, "its pods to be gone")
    with operator_process(cluster, tmp_path / "second.log", settings, "--no-leader-election") as second:
        second.wait_ready()
        told(second, set(stays))
        second.stop()
    ends |= scene.seen()
    assert ends.keys() == starts.keys()
    assert all(ends[uid] >= starts[uid] for uid in starts)

    expected: Counter[tuple[str, str]] = Counter()
    for uid, start in starts.items():
        service = "billed/goes" if uid == gone else "billed/stays"
        expected[service, CHEAP] += max(0, min(ends[uid], edited) - start)
        expected[service, DEAR] += max(0, ends[uid] - max(start, edited))
    bill = Bill.model_validate_json(scene.ask(f"bill?month={datetime.now(UTC):%Y-%m}"))
    assert not bill.final
    billed = {(line.service, str(line.price)): line.seconds for line in bill.lines}
    assert billed == {what: length for what, length in expected.items() if length}
    for line in bill.lines:
        assert abs(Fraction(str(line.amount)) - Fraction(str(line.price)) * line.seconds / 3600) <= Fraction(1, 200)
