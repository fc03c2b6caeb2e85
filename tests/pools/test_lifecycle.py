"""`kubectl maas` on a service's life, as a user runs it: real operator, controllers and scheduler, kwok's nodes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.operator_process import Account, Operator
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.pools.room import SEEN_SECONDS

NAME = "walker"


class Maas:
    """The CLI, for one account."""

    def __init__(self, account: Account, operator: Operator) -> None:
        self._account = account
        self._operator = operator

    def __call__(self, *arguments: str, typed: str = "") -> str:
        """What it prints. Raises AssertionError with what it says on the standard error where it fails."""
        code, out, said = self.run(*arguments, typed=typed)
        assert code == 0, said
        return out

    def refused(self, *arguments: str, typed: str = "") -> str:
        """What it says as it fails."""
        code, _, said = self.run(*arguments, typed=typed)
        assert code == 1, said
        return said

    def run(self, *arguments: str, typed: str = "") -> tuple[int, str, str]:
        command = [sys.executable, "-m", "maas_operator.cli.main", *arguments, "-n", self._account.name]
        command += ["--kubeconfig", str(self._account.cluster.kubeconfig)]
        done = subprocess.run(command, input=typed, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def until(self, phase: str, instances: str) -> None:
        """Wait until the service is in this state."""

        def there() -> bool:
            status: dict[str, Any] = (self._account.get("msvc", NAME) or {}).get("status", {})
            return status.get("phase") == phase and status["instances"]["summary"] == instances

        wait_until(there, SEEN_SECONDS, f"{NAME} to be {phase} with {instances}", self._operator.tail)


@pytest.fixture
def maas(operator: Operator, account: Account) -> Iterator[Maas]:
    account.serve(NAME, resourcePool="ascend", flavor="910b-x2", instances=2, qps=10)
    cli = Maas(account, operator)
    cli.until("Running", "2/2")
    yield cli
    if account.get("msvc", NAME):
        account.delete("msvc", NAME)
        wait_until(lambda: not account.get("deployment", NAME), SEEN_SECONDS, "it to be gone")


def spec(account: Account) -> dict[str, Any]:
    found = account.get("msvc", NAME)
    assert found
    return dict(found["spec"])


def test_m13_stop_and_start(maas: Maas, account: Account) -> None:
    assert "what fits Running: stop, scale, qps, upgrade, delete" in maas.refused("start", NAME)
    maas("stop", NAME)
    maas.until("Stopped", "0/0")
    assert "stop fits Queuing, Starting, Deploying, Running, Alarm" in maas.refused("stop", NAME)
    assert "what fits Stopped: start, delete" in maas.refused("qps", NAME, "20")
    maas("start", NAME)
    maas.until("Running", "2/2")
    assert spec(account)["state"] == "Running"


def test_m14_scale_asks_before_it_takes_instances_away(maas: Maas, account: Account) -> None:
    maas("scale", NAME, "3")
    maas.until("Running", "3/3")
    assert "was not scaled" in maas.refused("scale", NAME, "1", typed="no\n")
    assert spec(account)["instances"] == 3
    maas("scale", NAME, "2", typed="YES\n")
    maas.until("Running", "2/2")
    maas("scale", NAME, "1", "--yes")
    maas.until("Running", "1/1")


def test_m14_qps_changes_without_touching_a_pod(maas: Maas, account: Account, cluster: Cluster) -> None:
    def pods() -> list[str]:
        names = cluster.kubectl("get", "pods", "-n", account.name, "-l", f"maas-operator.io/service={NAME}", "-oname")
        return sorted(names.split())

    before = pods()
    maas("qps", NAME, "50")
    wait_until(
        lambda: (account.get("service", NAME) or {})["metadata"]["annotations"]["maas-operator.io/qps"] == "50",
        SEEN_SECONDS,
        "the Service to say so",
    )
    assert pods() == before


def test_m15_upgrade_to_a_version_that_the_model_has(maas: Maas, account: Account) -> None:
    versions = [{"name": name, "source": "hf://acme/tiny", "contextLength": size} for name, size in VERSIONS.items()]
    account.patch("maasmodel", {"spec": {"versions": versions}}, account.name)
    assert f"has no version 4k; it has {', '.join(VERSIONS)}" in maas.refused("upgrade", NAME, "4k")
    maas("upgrade", NAME, "2k")
    wait_until(
        lambda: (account.get("msvc", NAME) or {})["status"]["model"]["version"] == "2k", SEEN_SECONDS, "the upgrade"
    )
    maas.until("Running", "2/2")
    assert "runs version 2k already" in maas.refused("upgrade", NAME, "2k")


VERSIONS = {"1k": 1024, "2k": 2048}


def test_m13_delete_wants_the_word(maas: Maas, account: Account) -> None:
    assert "was not deleted" in maas.refused("delete", NAME, typed="yes\n")
    assert account.get("msvc", NAME)
    maas("delete", NAME, typed="DELETE\n")
    assert not account.get("msvc", NAME)
    assert "is maas-operator installed in this cluster, and the name right?" in maas.refused("delete", NAME, "--yes")


def test_m8_m11_a_refused_service_says_why_and_is_put_right(maas: Maas, account: Account) -> None:
    account.patch("msvc", {"spec": {"flavor": "910b-x3"}}, NAME)
    wait_until(
        lambda: account.condition("Accepted", NAME).get("status") == "False", SEEN_SECONDS, "the service to be refused"
    )
    said = maas("get", NAME)
    assert "pool ascend has no flavor 910b-x3" in said
    assert "What fits now" in said
    maas("qps", NAME, "20")
    account.patch("msvc", {"spec": {"flavor": "910b-x2"}}, NAME)
    maas.until("Running", "2/2")


def test_m11_the_services_are_listed(maas: Maas) -> None:
    rows = json.loads(maas("list", "-o", "json"))
    assert [(each["name"], each["phase"], each["ready"], each["qps"]) for each in rows] == [
        (NAME, "Running", "2/2", 10)
    ]
    assert json.loads(maas("list", "-A", "-o", "json"))[0]["account"] == "team-a"


def test_m10_a_service_stops_by_itself_and_is_started_again(maas: Maas, account: Account, cluster: Cluster) -> None:
    account.patch("msvc", {"spec": {"autoStop": {"after": "1m"}}}, NAME)
    shown = ("get", "msvc", NAME, "-n", account.name, "-o", "jsonpath={.status.autoStop.stopsAt}")
    wait_until(lambda: cluster.kubectl(*shown), SEEN_SECONDS, "the end to be shown")
    ran = json.dumps({"status": {"autoStop": {"countedSeconds": 58}}})
    cluster.kubectl("patch", "msvc", NAME, "-n", account.name, "--subresource=status", "--type=merge", "-p", ran)
    maas.until("Stopped", "0/0")
    assert "spec.autoStop.after was reached" in account.condition("Ready", NAME)["message"]
    events = cluster.kubectl("get", "events", "-n", account.name, "-o", "jsonpath={.items[*].reason}")
    assert "StopsSoon" in events
    assert "state" not in spec(account)
    maas("start", NAME)
    maas.until("Running", "2/2")
