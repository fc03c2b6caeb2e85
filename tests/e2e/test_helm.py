"""Helm 4's --wait, which is kstatus as Flux has it, too: it says ready only when all is, and fails in clear words."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from maas_operator.api.conditions import ConditionType, condition
from maas_operator.keymaking import digest_of, new_key
from tests.chat import ask
from tests.cluster import Cluster, ClusterError
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import ACCOUNT, LOADED_SECONDS, Account
from tests.e2e.replicas import gateway_pods, operator_pods, ready
from tests.installation import NAMESPACE, RELEASE, helm, install
from tests.keys import gateway_address
from tests.streams import Clients

pytestmark = pytest.mark.e2e

SERVICE, KEY = "chatter", new_key()
STREAMS = 2
PAUSE_SECONDS = 0.5
"""Between two streams of a client, so that pods that start get their share of two cores."""
TOO_SOON_SECONDS = 30
"""Helm's limit for pods that cannot start."""
AT_ONCE_SECONDS = 30
"""Within which what cannot be is told: services wait ten seconds for what they name."""
SETTLE_SECONDS = 60
MANIFESTS = """
apiVersion: maas-operator.io/v1alpha1
kind: ModelService
metadata: {name: chatter}
spec: {model: {name: chatter}, resourcePool: {{ .Values.pool }}, flavor: cpu, qps: {{ .Values.qps }}}
---
apiVersion: maas-operator.io/v1alpha1
kind: Model
metadata: {name: chatter, annotations: {maas-operator.io/allow-deletion: "true"}}
spec:
  versions:
  - name: v1
    source: "oci://localhost/maas-operator/model-tiny:1"
    contextLength: 1024
    args: [--kv-cache-memory-bytes=67108864]
---
apiVersion: maas-operator.io/v1alpha1
kind: ResourcePool
metadata: {name: chatter, annotations: {maas-operator.io/allow-deletion: "true"}}
spec: {flavors: [{name: cpu, cpu: 100m, memory: 2Gi, maxQPS: 100}]}
---
apiVersion: maas-operator.io/v1alpha1
kind: ApiKey
metadata: {name: chatter}
spec: {tag: chatter, description: for a test, sha256: {{ .Values.sha256 }}}
---
apiVersion: maas-operator.io/v1alpha1
kind: NotificationTopic
metadata: {name: chatter}
spec: {channels: [{name: chat, apprise: {urlFrom: {name: chat, key: url}}}]}
"""
"""All five kinds. Helm uninstalls them in no order that it knows: the Model may go while the service names it."""


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster, account: Account) -> Iterator[Path]:
    """A chart with a service, and all that it needs."""
    account.delete("talker")  # of the tests that call the gateway
    folder = tmp_path_factory.mktemp("chart") / SERVICE
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": SERVICE, "version": "1.0.0"}))
    (folder / "values.yaml").write_text(yaml.safe_dump({"pool": SERVICE, "qps": 50, "sha256": digest_of(KEY)}))
    (folder / "templates" / "all.yaml").write_text(MANIFESTS)
    yield folder
    helm(cluster, "uninstall", SERVICE, "-n", ACCOUNT, "--ignore-not-found", "--wait")
    account.delete(SERVICE)


def helmed(cluster: Cluster, *arguments: str, seconds: int = LOADED_SECONDS) -> None:
    """helm, for the account's chart, waiting."""
    helm(cluster, *arguments, "-n", ACCOUNT, "--wait", f"--timeout={seconds}s")


def restarts(account: Account) -> dict[str, int]:
    """The service's pods, and how often their containers began anew."""
    return {
        pod["metadata"]["uid"]: sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))
        for pod in account.pods(SERVICE)
    }


def assert_ready(account: Account) -> None:
    """All of the chart, now, without waiting: helm has waited."""
    for kind in ("msvc", "maasmodel", "rpool", "mkey", "mtopic"):
        found = account.get(kind, SERVICE)
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"], kind
        assert condition(found["status"], ConditionType.READY)["status"] == "True", kind
    assert account.phase(SERVICE) == "Running"


@asynccontextmanager
async def streaming(cluster: Cluster) -> AsyncIterator[None]:
    """Clients stream through the gateway all the while, and none of their requests fails."""
    url = gateway_address(cluster)

    def answered() -> bool:
        try:
            return bool(ask(url, SERVICE, "hi", max_tokens=1, key=KEY))
        except OSError:
            return False

    await asyncio.to_thread(wait_until, answered, SETTLE_SECONDS, "the key to count")
    clients = Clients(url, KEY, SERVICE, max_tokens=60, pause=PAUSE_SECONDS)
    async with clients.running(STREAMS):
        await clients.more()
        yield
        await clients.more()
    assert clients.ends == {"whole"}


def test_helm_is_done_when_the_service_of_a_chart_answers_and_not_before(
    cluster: Cluster, account: Account, chart: Path
) -> None:
    helmed(cluster, "install", SERVICE, str(chart))
    assert_ready(account)
    before = restarts(account)
    helmed(cluster, "upgrade", SERVICE, str(chart), "--set", "qps=60")
    assert_ready(account)
    assert restarts(account) == before
    assert set(before.values()) == {0}


async def test_what_cannot_be_fails_at_once_in_the_conditions_words_and_a_rollback_mends_it(
    cluster: Cluster, account: Account, chart: Path
) -> None:
    before = restarts(account)
    async with streaming(cluster):
        began = time.monotonic()
        with pytest.raises(ClusterError, match=f"{SERVICE} not ready. status: Failed, message: there is no Resource"):
            await asyncio.to_thread(helmed, cluster, "upgrade", SERVICE, str(chart), "--set", "pool=none")
        assert time.monotonic() - began < AT_ONCE_SECONDS
        assert account.phase(SERVICE) == "Alarm"
        await asyncio.to_thread(helmed, cluster, "rollback", SERVICE, "1")
    assert_ready(account)
    assert restarts(account) == before


async def test_m15_an_upgrade_of_the_operator_that_fails_touches_no_model_pod_and_a_rollback_mends_it(
    cluster: Cluster, account: Account, chart: Path
) -> None:
    before = restarts(account)
    revision = history(cluster)[-1]["revision"]
    async with streaming(cluster):
        with pytest.raises(ClusterError, match=f"Deployment/{NAMESPACE}/{RELEASE}.* not ready"):
            await asyncio.to_thread(
                install, cluster, "image.repository=localhost/nowhere", "settings.drainSeconds=61",
                seconds=TOO_SOON_SECONDS,
            )  # fmt: skip
        assert history(cluster)[-1]["status"] == "failed"
        assert any(map(ready, operator_pods(cluster)))
        assert any(map(ready, gateway_pods(cluster)))
        assert_ready(account)
        await asyncio.to_thread(
            helm, cluster, "rollback", RELEASE, str(revision), "-n", NAMESPACE, "--wait",
            f"--timeout={LOADED_SECONDS}s",
        )  # fmt: skip
    pods = [*operator_pods(cluster), *gateway_pods(cluster)]
    assert len(pods) == 4
    assert all(map(ready, pods))
    assert_ready(account)
    assert restarts(account) == before


def history(cluster: Cluster) -> list[dict[str, str]]:
    """The releases of the operator's chart."""
    found: list[dict[str, str]] = yaml.safe_load(helm(cluster, "history", RELEASE, "-n", NAMESPACE, "-o", "json"))
    return found
