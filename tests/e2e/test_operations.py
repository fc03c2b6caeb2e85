"""The installation as those who run it have it: TLS, and a ledger that outlives its pods, on a volume or PostgreSQL."""

import base64
import json
import os
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cluster import Cluster
from tests.cluster.addresses import Addresses
from tests.cluster.pki import Authority
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import ACCOUNT, NUMBER
from tests.installation import NAMESPACE, install
from tests.keys import gateway_address, new_key, used
from tests.ledger.postgresql import PostgreSql
from tests.processes import free_port

pytestmark = pytest.mark.e2e

HOST = "models.example"
CERTIFICATE, DATABASE = "gateway-tls", "ledger-database"
LEDGER = "maas-operator-ledger"
LEDGER_PODS = "app.kubernetes.io/name=maas-ledger"
OUR_USER = 65532
"""As whom the chart's pods run."""
TLS = f"gateway.tls.secretName={CERTIFICATE}"
SECONDS = 60
"""Limit for a change to be taken up, and for usage to be shipped."""


@dataclass(frozen=True)
class Client:
    """An application that calls the gateway by its name, and checks its certificate."""

    address: str
    authority: Authority
    key: str

    def call(self, version: str = "2") -> str:
        """HTTP's version and the status, on a connection of its own; curl's word where there is no answer. Nobody has
        the model: 404 is for a key that counts."""
        trust = ["--cacert", str(self.authority.certificate_file), "--resolve", f"{HOST}:443:{self.address}"]
        head = ["-H", f"Authorization: Bearer {self.key}", "-H", "Content-Type: application/json"]
        told = ["-sS", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"]
        body = ["--data", '{"model":"none","messages":[]}', f"https://{HOST}/v1/chat/completions"]
        done = subprocess.run(["curl", f"--http{version}", *told, *trust, *head, *body],
                              capture_output=True, text=True, check=False)  # fmt: skip
        return done.stderr or done.stdout

    def serial(self) -> str:
        """The number of the certificate that is shown now."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate_file))
        plain = socket.create_connection((self.address, 443), 10)
        with context.wrap_socket(plain, server_hostname=HOST) as encrypted:
            return str((encrypted.getpeercert() or {})["serialNumber"])

    @contextmanager
    def calling(self) -> Iterator[Counter[str]]:
        """Call all the time, from two threads, and count what came."""
        ends: Counter[str] = Counter()
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                ends[self.call()] += 1

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield ends
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSql]:
    """One that pods reach."""
    made = PostgreSql(tmp_path_factory.mktemp("postgresql") / "data", free_port(), str(Addresses(NUMBER).machine_ip))
    made.create()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def client(cluster: Cluster, database: PostgreSql, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The gateway with TLS, the ledger on a volume. The database is there until no ledger uses it any more."""
    folder = tmp_path_factory.mktemp("operations")
    authority = Authority(folder / "authority")
    show(cluster, authority, "first")
    volume(cluster, folder / "volume")
    install(cluster, TLS, "ledger.persistence.enabled=true", "ledger.persistence.size=1Gi")
    address = urlsplit(gateway_address(cluster)).hostname or ""
    made = Client(address, authority, new_key(cluster, ACCOUNT, "operations", "for a test"))
    wait_until(lambda: made.call() == "2 404", SECONDS, "the key to count", made.call)
    yield made
    install(cluster)
    cluster.kubectl("delete", "pvc", LEDGER, "-n", NAMESPACE, "--ignore-not-found")
    cluster.kubectl("delete", "pv", LEDGER, "--ignore-not-found")


def secret(cluster: Cluster, name: str, **data: bytes) -> None:
    texts = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()}
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": texts}
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))


def show(cluster: Cluster, authority: Authority, name: str) -> None:
    """Put a certificate of this authority into the gateway's Secret."""
    certificate, key = authority.issue(name, name, hosts=[HOST])
    secret(cluster, CERTIFICATE, tls_crt=certificate.read_bytes(), tls_key=key.read_bytes())


def volume(cluster: Cluster, folder: Path) -> None:
    """A volume for the claim that the chart makes: the node is this machine, and has no StorageClass."""
    folder.mkdir()
    for each in [folder, *folder.parents]:
        if each.stat().st_uid == os.getuid() and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o011)
    os.chown(folder, OUR_USER, OUR_USER)
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": str(folder)},
        "claimRef": {"namespace": NAMESPACE, "name": LEDGER},
    }
    manifest = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": LEDGER}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def pods(cluster: Cluster, selector: str) -> list[dict[str, Any]]:
    found = json.loads(cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "json"))["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def restarts(cluster: Cluster) -> dict[str, int]:
    """The gateway's pods, and how often their containers began anew."""
    return {
        pod["metadata"]["uid"]: sum(
            each["restartCount"]
            for each in (*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"])
        )
        for pod in pods(cluster, "app.kubernetes.io/name=maas-gateway")
    }


def requests(cluster: Cluster) -> int:
    return int(used(cluster, ACCOUNT, "operations").get("requests", 0))


def one_more_arrives(cluster: Cluster, client: Client) -> int:
    """Requests of the key in the ledger, after one more than there were."""
    before = requests(cluster)
    assert client.call() == "2 404"
    wait_until(lambda: requests(cluster) > before, SECONDS, "the request to be in the ledger")
    return requests(cluster)


def restart_ledger(cluster: Cluster, count: int = 1) -> None:
    before = {pod["metadata"]["uid"] for pod in pods(cluster, LEDGER_PODS)}
    assert len(before) == count
    cluster.kubectl("delete", "pods", "-n", NAMESPACE, "-l", LEDGER_PODS, "--wait=true")
    cluster.kubectl("rollout", "status", f"deployment/{LEDGER}", "-n", NAMESPACE, f"--timeout={SECONDS}s")
    assert not before & {pod["metadata"]["uid"] for pod in pods(cluster, LEDGER_PODS)}


def test_tls_for_clients_that_check_the_certificate(client: Client, tmp_path: Path) -> None:
    assert [client.call("1.1"), client.call("2")] == ["1.1 404", "2 404"]
    stranger = Client(client.address, Authority(tmp_path / "stranger"), client.key)
    assert stranger.call().startswith("curl: (")


def test_a_renewed_secret_is_taken_up_without_a_restart_or_a_failed_request(cluster: Cluster, client: Client) -> None:
    pods_before, serial = restarts(cluster), client.serial()
    with client.calling() as ends:
        show(cluster, client.authority, "second")
        # the kubelet looks at a pod's Secrets once a minute, and whenever the pod changes
        selector = ["-l", "app.kubernetes.io/name=maas-gateway"]
        cluster.kubectl("annotate", "pods", "-n", NAMESPACE, *selector, "test/renewed=true", "--overwrite")

        def renewed() -> bool:
            """By both replicas: each connection may go to either."""
            return all(client.serial() != serial for _ in range(12))

        wait_until(renewed, 2 * SECONDS, "the new certificate to be shown")
    assert set(ends) == {"2 404"}, ends
    assert restarts(cluster) == pods_before


def test_the_ledger_on_a_volume_outlives_its_pod(cluster: Cluster, client: Client) -> None:
    counted = one_more_arrives(cluster, client)
    restart_ledger(cluster)
    assert requests(cluster) == counted
    assert one_more_arrives(cluster, client) > counted


def test_two_ledgers_on_postgresql_and_a_rollout_of_the_gateway_that_fails_no_request(
    cluster: Cluster, client: Client, database: PostgreSql
) -> None:
    secret(cluster, DATABASE, url=database.url.encode())
    before = restarts(cluster)
    with client.calling() as ends:
        install(
            cluster, TLS, f"ledger.databaseSecretName={DATABASE}", "ledger.replicas=2",
            f"networkPolicy.database.ports={{{urlsplit(database.url).port}}}", "gateway.settings.idleSeconds=301",
        )  # fmt: skip
        wait_until(lambda: not before.keys() & restarts(cluster).keys(), SECONDS, "the old replicas to leave")
    assert set(ends) == {"2 404"}, ends
    counted = one_more_arrives(cluster, client)
    restart_ledger(cluster, 2)
    assert requests(cluster) >= counted
    assert one_more_arrives(cluster, client) > counted
