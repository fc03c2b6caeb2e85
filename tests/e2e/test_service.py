"""A ModelService's life with real pods and real vLLM."""

import json

import pytest

from tests.chat import ask
from tests.cluster import Cluster
from tests.cluster.addresses import Addresses
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import ACCOUNT, FIRST_NODE, GONE_SECONDS, LOADED_SECONDS, NUMBER, Account
from tests.e2e.traffic import traffic
from tests.forwarding import forwarded
from tests.installation import DRAIN_SECONDS, install
from tests.keys import maas
from tests.receiver import Outside, hook

pytestmark = pytest.mark.e2e
OPERATOR = "app.kubernetes.io/name=maas-operator"
SETTLE_SECONDS = 60
"""Limit for the operator to react, and to tell it."""


def uids(account: Account, service: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in account.pods(service)}


def service_address(account: Account, service: str) -> str:
    return f"http://{account.get('service', service)['spec']['clusterIP']}:8000"


@pytest.fixture(scope="module", autouse=True)
def assistant(account: Account) -> str:
    account.delete("talker")  # of the tests that call the gateway
    account.apply("assistant", qps=5, description="counts")
    account.wait_ready("assistant")
    return "assistant"


def test_m7_m12_a_service_applied_with_kubectl_answers(cluster: Cluster, account: Account) -> None:
    status = account.get("msvc", "assistant")["status"]
    assert status["phase"] == "Running"
    assert status["model"] == {"name": "tiny", "version": "v1"}
    assert status["instances"] == {"desired": 1, "ready": 1, "summary": "1/1"}
    assert status["serviceId"] == account.get("msvc", "assistant")["metadata"]["uid"]
    assert account.get("service", "assistant")["metadata"]["annotations"]["maas-operator.io/qps"] == "5"
    with forwarded(cluster, "team-a", "service/assistant", 8000) as base:
        assert ask(base, "assistant", "hi", max_tokens=8)["usage"]["completion_tokens"] == 8


def test_kubectl_get_shows_the_columns_of_the_design(account: Account) -> None:
    head, line = account.kubectl("get", "msvc", "assistant").splitlines()
    assert head.split() == ["NAME", "MODEL", "VERSION", "POOL", "FLAVOR", "READY", "QPS", "PHASE", "STOPS", "AGE"]
    assert line.split()[:8] == ["assistant", "tiny", "v1", "local", "cpu", "1/1", "5", "Running"]


def test_applying_the_same_manifest_again_changes_nothing(account: Account) -> None:
    before = account.get("deployment", "assistant")["metadata"]["resourceVersion"]
    account.apply("assistant", qps=5, description="counts")
    assert account.get("deployment", "assistant")["metadata"]["resourceVersion"] == before


def test_m3_pools_count_what_runs(cluster: Cluster) -> None:
    def row() -> dict[str, int]:
        flavors = json.loads(cluster.kubectl("get", "rpool", "local", "-o", "json"))["status"]["flavors"]
        return {each["name"]: each["used"] for each in flavors}

    wait_until(
        lambda: row() == {"cpu": 1, "gpu": 0}, SETTLE_SECONDS, "the pool to count one instance", lambda: str(row())
    )


def test_a_model_in_use_cannot_be_deleted_and_its_users_are_named(cluster: Cluster) -> None:
    with pytest.raises(Exception, match="team-a/assistant"):
        cluster.kubectl("delete", "maasmodel", "tiny")
    with pytest.raises(Exception, match="team-a/assistant"):
        cluster.kubectl("delete", "rpool", "local")


def test_an_operator_killed_and_upgraded_restarts_no_model_pod(cluster: Cluster, account: Account) -> None:
    before = uids(account, "assistant")
    cluster.kubectl("delete", "pods", "-n", "maas-system", "-l", OPERATOR, "--grace-period=0", "--force")
    install(cluster, "settings.drainSeconds=61")
    wait_until(
        lambda: account.condition("assistant", "Updated").get("reason") == "RenderedByEarlierVersion",
        SETTLE_SECONDS,
        "the condition to tell that the new operator would render otherwise",
        lambda: account.kubectl("describe", "msvc", "assistant"),
    )
    assert uids(account, "assistant") == before
    assert account.phase("assistant") == "Running"
    install(cluster)
    wait_until(
        lambda: account.condition("assistant", "Updated")["status"] == "True", SETTLE_SECONDS, "the condition to clear"
    )
    assert uids(account, "assistant") == before


def test_m15_a_rolling_update_under_streams_fails_no_request(account: Account) -> None:
    before = uids(account, "assistant")
    with traffic(service_address(account, "assistant")) as running:
        wait_until(lambda: running.done > 10, SETTLE_SECONDS, "traffic to flow")
        account.patch("assistant", model={"version": "v2"})
        wait_until(lambda: account.phase("assistant") == "Upgrading", SETTLE_SECONDS, "the upgrade to begin")
        account.wait_ready("assistant")
        wait_until(lambda: not uids(account, "assistant") & before, GONE_SECONDS, "the old instance to leave")
        after = running.done
        wait_until(lambda: running.done > after + 10, SETTLE_SECONDS, "traffic to go on")
    assert set(running.ends) == {"whole"}, running.ends
    assert account.get("msvc", "assistant")["status"]["model"]["version"] == "v2"


def test_m13_stopped_removes_the_pods_and_keeps_the_rest_and_m9_who_subscribed_is_told(
    cluster: Cluster, account: Account
) -> None:
    with Outside(host=str(Addresses(NUMBER).machine_ip)).running() as receiver:
        topic = {"apiVersion": "v1", "kind": "List", "items": hook(ACCOUNT, receiver)}
        account.kubectl("apply", "-f", "-", stdin=json.dumps(topic))
        assert maas(cluster, ACCOUNT, "topic", "test", "ops") == "hook: delivered\n"
        account.patch("assistant", notifications={"topic": "ops", "events": ["Terminated"]}, state="Stopped")
        wait_until(lambda: len(receiver.events) == 2, SETTLE_SECONDS, "the receiver to be told")
    assert [each["type"].rpartition(".")[2] for each in receiver.events] == ["test", "stopped"]
    wait_until(lambda: not account.pods("assistant"), GONE_SECONDS, "the pods to be gone")
    account.wait_ready("assistant")
    assert account.phase("assistant") == "Stopped"
    for kind in ("deployment", "service", "poddisruptionbudget"):
        assert account.get(kind, "assistant")


def test_deleting_removes_everything_also_while_the_operator_is_down(cluster: Cluster, account: Account) -> None:
    cluster.kubectl("scale", "deployment", "-n", "maas-system", "maas-operator", "--replicas=0")
    cluster.kubectl("wait", "-n", "maas-system", "pods", "-l", OPERATOR, "--for=delete", "--timeout=60s")
    account.kubectl("delete", "msvc", "assistant", "--timeout=30s")

    def left() -> list[str]:
        kinds = "deployments,services,poddisruptionbudgets,configmaps,pods,replicasets"
        return account.kubectl("get", kinds, "-l", "maas-operator.io/service=assistant", "-o", "name").split()

    wait_until(lambda: not left(), GONE_SECONDS, "every child to be gone", lambda: str(left()))
    install(cluster)


def test_m12_no_room_is_queuing_and_room_starts_the_service(
    cluster: Cluster, account: Account, engine_image: str
) -> None:
    account.apply("gpu", flavor="gpu", engine={"image": engine_image, "args": ["--dtype=float32", "--enforce-eager"]})
    account.wait_phase("gpu", "Queuing", SETTLE_SECONDS)
    message = account.condition("gpu", "Scheduled")["message"]
    assert "1 nvidia.com/gpu" in message
    assert "pool local" in message
    node = FIRST_NODE
    cluster.set_node_capacity(node, {"nvidia.com/gpu": "8"})
    account.wait_ready("gpu")
    account.delete("gpu")


def test_m12_a_service_that_cannot_start_is_failed_and_says_why(account: Account) -> None:
    account.apply("broken", engine={"args": ["--no-such-flag"]})
    account.wait_phase("broken", "Failed")
    wait_until(
        lambda: "no-such-flag" in account.condition("broken", "Ready")["message"],
        LOADED_SECONDS,
        "the engine's last words to be told",
        lambda: account.kubectl("describe", "msvc", "broken"),
    )
    account.delete("broken")


def test_a_service_deleted_while_it_loads_frees_its_room_at_once_and_its_history_stays(
    cluster: Cluster, account: Account
) -> None:
    """vLLM ignores SIGTERM until it is ready: it would keep its accelerators for the whole grace period."""
    account.apply("early")
    wait_until(
        lambda: any(
            "running" in status.get("state", {})
            for pod in account.pods("early")
            for status in pod["status"].get("containerStatuses", ())
        ),
        LOADED_SECONDS,
        "the engine to start",
    )
    account.kubectl("delete", "msvc", "early")
    wait_until(lambda: not account.pods("early"), DRAIN_SECONDS / 2, "its pod to be gone")

    # What happened to it is in the ledger alone by now: it got there by the operator's own token (M11).

    def reasons() -> list[str]:
        return [each["reason"] for each in json.loads(maas(cluster, ACCOUNT, "events", "early", "-o", "json"))]

    wait_until(lambda: reasons()[-1:] == ["Deleted"], SETTLE_SECONDS, "its end to be known", lambda: str(reasons()))
    assert "Starting" in reasons()[:2], "within a second one may stand before the other"
