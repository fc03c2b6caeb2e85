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

from maas_operator.api.usage import Batch
from tests.cluster import Cluster
from tests.ledger.batches import batch, row
from tests.ledger.conftest import NUMBER
from tests.ledger.processes import NAMESPACE, WRITER, LedgerProcess, token
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


def send(ledger: LedgerProcess, secret: str, body: Batch | bytes) -> tuple[int, dict[str, object]]:
    data = body if isinstance(body, bytes) else body.model_dump_json(by_alias=True).encode()
    request = urllib.request.Request(f"{ledger.address}/v1/batches", data, method="POST")
    request.add_header("X-Maas-Ledger-Token", secret)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_m22_a_key_is_made_here_shown_once_and_only_its_digest_is_in_the_cluster(
    maas: Maas, accounts: Cluster, no_keys: None
) -> None:
    options = ("--services=assistant,coder", "--limits=requestsPerMinute=600", "--expires=30d")
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
        "requestsPerMinute=600",
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
