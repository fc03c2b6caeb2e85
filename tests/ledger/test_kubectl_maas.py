"""kubectl maas against a real API server, and through it against a real ledger, as user ann of account team-a."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maas_operator.api.billing import Facts, FlavorPrice, Interval, Package, Tariff
from maas_operator.api.events import EventRow, History
from maas_operator.api.resourcepool import Price
from maas_operator.api.times import written
from maas_operator.api.usage import Batch
from tests.cluster import Cluster
from tests.ledger.batches import batch, row
from tests.ledger.conftest import NUMBER
from tests.ledger.processes import NAMESPACE, OPERATOR, WRITER, LedgerProcess, token
from tests.processes import free_port

ADDRESS = f"10.{200 + NUMBER}.0.9"
"""On the loopback interface, but not in 127/8: the API server lets no Service point there."""
BACKEND = """
apiVersion: v1
kind: Service
metadata: {{name: maas-ledger, namespace: maas-system}}
spec: {{clusterIP: None, ports: [{{name: http, port: {port}}}, {{name: metrics, port: {metrics}}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: maas-ledger, namespace: maas-system}}
spec: {{nodeName: none, containers: [{{name: ledger, image: none}}]}}
---
apiVersion: v1
kind: Endpoints
metadata: {{name: maas-ledger, namespace: maas-system}}
subsets:
- addresses: [{{ip: {address}, targetRef: {{kind: Pod, name: maas-ledger, namespace: maas-system}}}}]
  ports: [{{name: http, port: {port}}}, {{name: metrics, port: {metrics}}}]
"""


@dataclass(frozen=True)
class Said:
    """What a command printed."""

    code: int
    out: str
    err: str


Maas = Callable[..., Said]


@pytest.fixture(scope="module")
def accounts(cluster: Cluster) -> Cluster:
    """Accounts team-a and team-b; ann may use team-a."""
    for account, name in ((NAMESPACE, WRITER), (NAMESPACE, "default"), ("team-a", "default"), ("team-b", "default")):
        token(cluster, account, name)
    cluster.kubectl("apply", "-f", str(Path(__file__).parent / "access.yaml"))
    return cluster


@pytest.fixture(scope="module")
def ledger(accounts: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerProcess]:
    folder = tmp_path_factory.mktemp("ledger")
    subprocess.run(["ip", "address", "replace", f"{ADDRESS}/32", "dev", "lo"], check=True)
    port, metrics = free_port(), free_port()
    process = LedgerProcess(folder, accounts, f"sqlite:///{folder}/ledger.db", port, metrics, ADDRESS).start()
    accounts.kubectl("apply", "-f", "-", stdin=BACKEND.format(address=ADDRESS, port=port, metrics=metrics))
    status = json.dumps({"status": {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}})
    accounts.kubectl("patch", "pod", "maas-ledger", "-n", NAMESPACE, "--subresource=status", "-p", status)
    yield process
    process.end()
    subprocess.run(["ip", "address", "del", f"{ADDRESS}/32", "dev", "lo"], check=True)


@pytest.fixture
def maas(accounts: Cluster) -> Maas:
    """Run kubectl maas, by kubectl, as ann; or as the cluster's admin."""

    def run(*arguments: str, stdin: str = "", admin: bool = False) -> Said:
        kubeconfig = accounts.kubeconfig if admin else accounts.user_kubeconfig("ann")
        command = [sys.executable, "-m", "maas_operator.cli.main", *arguments, f"--kubeconfig={kubeconfig}"]
        environment = os.environ | {"PYTHONPATH": "operator"}
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, env=environment, timeout=60
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def no_keys(accounts: Cluster) -> None:
    accounts.kubectl("delete", "apikeys", "--all", "-n", "team-a")


def send(
    ledger: LedgerProcess, secret: str, body: Batch | History | Facts | bytes, to: str = "batches"
) -> tuple[int, dict[str, object]]:
    data = body if isinstance(body, bytes) else body.model_dump_json(by_alias=True).encode()
    request = urllib.request.Request(f"{ledger.address}/v1/{to}", data, method="POST")
    request.add_header("X-Maas-Ledger-Token", secret)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_m22_a_key_is_made_here_shown_once_and_only_its_digest_is_in_the_cluster(
    maas: Maas, accounts: Cluster, no_keys: None
) -> None:
    limits = ("--limits=requestsPerMinute=600", "--limits=tokenQuota=1000000")
    options = ("--services=assistant,coder", *limits, "--expires=30d")
    made = maas("key", "create", "CI_nightly", "--description=nightly evaluation", *options, "-n", "team-a")
    assert (made.code, made.err) == (
        0,
        "key CI_nightly of account team-a; it is shown this once and cannot be had again:\n",
    )
    secret = made.out.strip()
    found = json.loads(accounts.kubectl("get", "apikeys", "-n", "team-a", "-o", "json"))["items"]
    assert [each["spec"]["sha256"] for each in found] == [hashlib.sha256(secret.encode()).hexdigest()]
    assert secret not in json.dumps(found)
    (shown,) = json.loads(maas("key", "list", "-n", "team-a", "-o", "json").out)
    assert (shown["tag"], shown["services"], shown["limits"]) == (
        "CI_nightly",
        "assistant,coder",
        "requestsPerMinute=600,tokenQuota=1000000",
    )
    assert shown["expires"].endswith("Z")


def test_m22_a_tag_that_another_key_has_is_refused(maas: Maas, no_keys: None) -> None:
    maas("key", "create", "ci", "--description=x", "-n", "team-a")
    refused = maas("key", "create", "ci", "--description=x", "-n", "team-a")
    assert (refused.code, refused.out) == (1, "")
    assert "tag ci belongs to ApiKey ci of account team-a: make a key of another tag" in refused.err


def test_m22_a_31st_key_is_refused(maas: Maas, accounts: Cluster, no_keys: None) -> None:
    keys = [
        {
            "apiVersion": "maas-operator.io/v1alpha1",
            "kind": "ApiKey",
            "metadata": {"name": f"key-{number}", "namespace": "team-a"},
            "spec": {"tag": f"key-{number}", "description": "x", "sha256": f"{number:064x}"},
        }
        for number in range(30)
    ]
    accounts.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": keys}))
    refused = maas("key", "create", "one-more", "--description=x", "-n", "team-a")
    assert "account team-a has 30 keys already, the limit: delete one that is not used" in refused.err


def test_m22_a_tag_that_breaks_the_rule_is_refused_before_the_cluster_is_asked(maas: Maas) -> None:
    refused = maas("key", "create", "a b", "--description=x", "-n", "team-a")
    assert refused.code == 1
    assert refused.err.startswith("Error: tag cannot be 'a b': Name for people, unique in the account")


def test_m22_a_key_is_deleted_after_a_typed_delete(maas: Maas, no_keys: None) -> None:
    maas("key", "create", "ci", "--description=x", "-n", "team-a")
    kept = maas("key", "delete", "ci", "-n", "team-a", stdin="yes\n")
    assert (kept.code, "key ci was not deleted" in kept.err) == (1, True)
    assert maas("key", "delete", "ci", "-n", "team-a", stdin="DELETE\n").code == 0
    assert maas("key", "list", "-n", "team-a", "-o", "csv").out.count("\n") == 1
    gone = maas("key", "delete", "ci", "--yes", "-n", "team-a")
    assert "account team-a has no key ci: kubectl maas key list shows those it has" in gone.err


def test_m1_another_accounts_keys_are_out_of_reach(maas: Maas) -> None:
    refused = maas("key", "list", "-n", "team-b")
    assert "cannot list the apikeys of account team-b: apikeys.maas-operator.io is forbidden" in refused.err
    assert "ask the platform's team for the right to it" in refused.err


def test_usage_by_ones_own_rights_through_the_api_server(maas: Maas, ledger: LedgerProcess, accounts: Cluster) -> None:
    now = int(datetime.now(UTC).timestamp()) // 60 * 60
    rows = (
        row(10, minute=0).model_copy(update={"minute": now}),
        row(30, minute=0, key="web").model_copy(update={"minute": now}),
        row(50, account="team-b").model_copy(update={"minute": now}),
        row(7, minute=0),  # months ago
    )
    status, receipt = send(ledger, token(accounts, NAMESPACE, WRITER), batch(0, 10, *rows, log="cli"))
    assert (status, receipt) == (200, {"acknowledged": 10, "counted": True})

    table = maas("usage", "-n", "team-a", "--since=1h")
    assert table.err == ""
    assert table.out.splitlines()[1].split() == ["team-a/assistant", "2", "0", "40", "20", "60", "300", "1500"]
    text = maas("usage", "--account=team-a", "--by=key,day", "--since=2025-01-01", "--service=assistant", "-o", "csv")
    lines = list(csv.DictReader(io.StringIO(text.out)))
    assert [(each["key"], each["promptTokens"]) for each in lines] == [("ci", "7"), ("ci", "10"), ("web", "30")]
    assert json.loads(maas("usage", "-n", "team-a", "--key=web", "-o", "json").out)[0]["promptTokens"] == 30

    everyone = maas("usage", "--all-accounts", "--by=account", "-o", "json", admin=True)
    assert [(each["account"], each["promptTokens"]) for each in json.loads(everyone.out)] == [
        ("team-a", 40), ("team-b", 50),
    ]  # fmt: skip
    assert (
        "cannot get a token for the ledger (service account default of namespace team-b)"
        in maas("usage", "-n", "team-b").err
    )
    assert "cannot get a token for the ledger" in maas("usage", "-A").err
    assert "usage can be summed up by account, key" in maas("usage", "-n", "team-a", "--by=colour").err


def test_m16_the_bill_by_ones_own_rights_through_the_api_server(
    maas: Maas, ledger: LedgerProcess, accounts: Cluster
) -> None:
    start = int(datetime(2026, 3, 31, 22, tzinfo=UTC).timestamp())
    price = FlavorPrice(flavor="one", price=Price(per_hour="12.50", currency="EUR"))
    package = Package(name="p", account="team-a", flavor="one", hours=1, start=start)
    tariff = Tariff(
        pool="gold", uid="u", generation=1, since=start, flavors=["one"], prices=[price], packages=[package]
    )
    spans = [
        Interval(uid=f"of-{account}", account=account, service=f"{account}/assistant", pool="gold", flavor="one",
                 start=start, seen=start + 4 * 3600, end=start + 4 * 3600)
        for account in ("team-a", "team-b")
    ]  # fmt: skip
    secret = token(accounts, NAMESPACE, OPERATOR)
    assert send(ledger, secret, Facts(tariffs=[tariff], intervals=spans), "intervals") == (200, {"grown": 2})

    table = maas("bill", "--month=2026-03", "-n", "team-a")
    assert table.err == ""
    lines = table.out.splitlines()
    assert lines[0] == "Bill of account team-a for 2026-03 (UTC)"
    assert lines[4].split() == [
        "team-a",
        "team-a/assistant",
        "gold",
        "one",
        "2.0000",
        "1.0000",
        "12.50",
        "12.50",
        "EUR",
    ]
    april = json.loads(maas("bill", "--month=2026-04", "--account=team-a", "-o", "json").out)
    assert [(each["hours"], each["prepaid"], each["amount"]) for each in april["lines"]] == [
        ("2.0000", "0.0000", "25.00")
    ]
    everyone = list(csv.DictReader(io.StringIO(maas("bill", "--month=2026-04", "--all", "-o", "csv", admin=True).out)))
    totals = [(each["account"], each["amount"]) for each in everyone if each["item"] == "total"]
    assert totals == [("team-a", "25.00"), ("team-b", "25.00")]
    now = maas("bill", "-n", "team-a", "-o", "csv")
    assert (now.code, "so far: until" in now.err) == (0, True)
    assert "cannot get a token for the ledger" in maas("bill", "-n", "team-b").err
    assert "cannot get a token for the ledger" in maas("bill", "--all").err
    assert "month=June is no month: write it as 2026-11" in maas("bill", "--month=June", "-n", "team-a").err
    assert "exclude each other" in maas("bill", "--all", "--account=team-a").err


def happened(number: int, seconds_ago: int, reason: str, service: str = "assistant") -> EventRow:
    at = int(datetime.now(UTC).timestamp()) - seconds_ago
    facts = {"id": f"{number:016x}", "time": at, "account": "team-a", "service": f"team-a/{service}"}
    return EventRow(**facts, type="Normal", reason=reason, message="m")


def test_m11_events_of_the_ledger_and_of_the_status_are_shown_together(
    maas: Maas, ledger: LedgerProcess, accounts: Cluster
) -> None:
    rows = [
        happened(1, 8 * 86400, "Deploying"), happened(2, 120, "Running"), happened(3, 60, "Stopped", "deleted-since"),
    ]  # fmt: skip
    assert send(ledger, token(accounts, NAMESPACE, OPERATOR), History(events=rows), "events") == (200, {"new": 3})
    spec = {"model": {"name": "m"}, "resourcePool": "p", "flavor": "f"}
    service = {"apiVersion": "maas-operator.io/v1alpha1", "kind": "ModelService", "spec": spec}
    service["metadata"] = {"name": "assistant", "namespace": "team-a"}
    accounts.kubectl("apply", "-f", "-", stdin=json.dumps(service))
    standing = [
        {
            "id": f"{number:016x}",
            "time": written(datetime.now(UTC)),
            "type": "Warning",
            "reason": reason,
            "message": "n",
        }
        for number, reason in ((2, "Running"), (4, "Alarm"))
    ]
    patch = json.dumps({"status": {"events": standing}})
    said = ("patch", "msvc", "assistant", "-n", "team-a", "--type=merge", "--subresource=status", "-p", patch)
    accounts.kubectl(*said)

    table = maas("events", "assistant", "-n", "team-a")
    assert (table.code, table.err) == (0, "")
    assert [line.split()[2] for line in table.out.splitlines()[1:]] == ["Running", "Alarm"]
    longer = json.loads(maas("events", "assistant", "-n", "team-a", "--since=30d", "-o", "json").out)
    assert [(each["reason"], each["id"][-1]) for each in longer] == [
        ("Deploying", "1"),
        ("Running", "2"),
        ("Alarm", "4"),
    ]
    gone = maas("events", "deleted-since", "-n", "team-a", "-o", "csv")
    assert [line.split(",")[2] for line in gone.out.splitlines()] == ["reason", "Stopped"]
    never = maas("events", "never-there", "-n", "team-a")
    assert (never.code, "cannot get ModelService never-there of account team-a" in never.err) == (1, True)
    ledger.end()
    try:
        alone = maas("events", "assistant", "-n", "team-a", "-o", "csv")
        assert [line.split(",")[2] for line in alone.out.splitlines()] == ["reason", "Running", "Alarm"]
        assert "only the newest, from the service's status, since the ledger did not answer: cannot ask" in alone.err
    finally:
        ledger.start()


def test_the_ledgers_metrics_are_not_within_a_users_reach(ledger: LedgerProcess, accounts: Cluster) -> None:
    kubectl = [str(accounts.binary("kubectl")), f"--kubeconfig={accounts.user_kubeconfig('ann')}", "get", "--raw"]
    path = f"/api/v1/namespaces/{NAMESPACE}/services/http:maas-ledger:metrics/proxy/metrics"
    refused = subprocess.run([*kubectl, path], capture_output=True, text=True, check=False)
    assert "forbidden" in refused.stderr
    with urllib.request.urlopen(ledger.metrics, timeout=5) as answer:
        assert "maas_ledger_batches_total" in answer.read().decode()


def test_only_the_gateway_writes_and_only_with_a_token_for_the_ledger(ledger: LedgerProcess, accounts: Cluster) -> None:
    one = batch(0, 1, log="access")
    for secret in ("", "nonsense", token(accounts, NAMESPACE, WRITER, "https://kubernetes.default.svc")):
        status, said = send(ledger, secret, one)
        assert (status, said["message"]) == (
            401,
            "X-Maas-Ledger-Token holds no valid token for the audience maas-ledger",
        )
    for namespace, name in ((NAMESPACE, "default"), ("team-a", "default"), ("team-a", WRITER)):
        status, said = send(ledger, token(accounts, namespace, name), one)
        assert (status, said["message"]) == (
            403,
            f"service account {name} of namespace {namespace} may not send usage: only the gateway may",
        )
    secret = token(accounts, NAMESPACE, WRITER)
    status, said = send(ledger, secret, b'{"origin": "pod"}')
    assert status == 400
    assert "the batch cannot be read" in str(said["message"])
    assert send(ledger, secret, one) == (200, {"acknowledged": 1, "counted": True})


def test_a_ledger_that_is_away_is_told_as_such(maas: Maas, ledger: LedgerProcess) -> None:
    ledger.end()
    try:
        said = maas("usage", "-n", "team-a")
        assert said.code == 1
        assert said.err.startswith("Error: cannot ask the ledger (service maas-ledger in namespace maas-system)")
        assert "look at the pods of the ledger" in said.err
    finally:
        ledger.start()
