"""What the operator holds in the cluster, it holds: whatever people do to it, and leaving alone what is not its own."""

import json
import time
from typing import Any

import pytest

from maas_operator.decide.contests import MOST_TIMES
from tests.api.operator_process import Account, Operator, custom

pytestmark = pytest.mark.api

REPAIR_SECONDS = 5.0


def test_a_service_gets_its_objects_and_a_quiet_cluster_gets_no_writes(operator: Operator, account: Account) -> None:
    account.serve()
    account.served(operator)
    for kind in ("deployment", "service", "poddisruptionbudget"):
        found = account.get(kind)
        assert found
        (owner,) = found["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("ModelService", "assistant")
    account.eventually(lambda: quiet(operator), "the operator to be done", operator)


def test_a_chat_template_is_given_to_the_engine_in_a_config_map(operator: Operator, account: Account) -> None:
    version = {"name": "1k", "source": "hf://acme/tiny", "contextLength": 1024, "chatTemplate": "{{ messages }}"}
    account.apply(custom("Model", account.name, spec={"versions": [version]}))
    account.serve()
    account.served(operator)
    (volume,) = [
        each["configMap"]["name"]
        for each in (account.get("deployment") or {})["spec"]["template"]["spec"]["volumes"]
        if "configMap" in each
    ]
    assert (account.get("configmap", volume) or {})["data"] == {"chat-template.jinja": "{{ messages }}"}


def quiet(operator: Operator) -> bool:
    """Whether nothing is written any more: twice the same count, longer apart than a pool's interval."""
    before = operator.writes()
    time.sleep(1.5)
    return operator.writes() == before


def test_a_hand_edited_child_is_repaired(operator: Operator, account: Account) -> None:
    account.serve()
    account.served(operator)
    account.patch("deployment", {"spec": {"replicas": 7}})
    account.eventually(lambda: replicas(account) == 1, "the edit to be undone", operator, REPAIR_SECONDS)
    account.patch("service", {"spec": {"ports": [{"name": "http", "port": 9, "targetPort": 9}]}})
    account.eventually(lambda: port(account) == 8000, "the port to be put back", operator, REPAIR_SECONDS)
    account.patch("deployment", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
    account.eventually(lambda: managed(account), "the label to be put back", operator, REPAIR_SECONDS)


def replicas(account: Account) -> Any:
    found = account.get("deployment")
    return found and found["spec"]["replicas"]


def port(account: Account) -> Any:
    found = account.get("service")
    return found and [each["port"] for each in found["spec"]["ports"]] == [8000] and 8000


def managed(account: Account) -> bool:
    found = account.get("deployment")
    return found is not None and "app.kubernetes.io/managed-by" in found["metadata"]["labels"]


def test_what_others_add_to_a_child_stays(operator: Operator, account: Account) -> None:
    account.serve()
    account.served(operator)
    account.patch("deployment", {"metadata": {"annotations": {"team": "a"}}})
    account.patch("deployment", {"spec": {"replicas": 3}})
    account.eventually(lambda: replicas(account) == 1, "the edit to be undone", operator, REPAIR_SECONDS)
    found = account.get("deployment")
    assert found
    assert found["metadata"]["annotations"]["team"] == "a"


def force(account: Account, number: int) -> None:
    """Another field manager applies the Deployment's replicas by force, as a GitOps controller may."""
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "assistant"}}
    account.cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=another", f"--namespace={account.name}",
        "-f", "-", stdin=json.dumps(manifest | {"spec": {"replicas": number}}),
    )  # fmt: skip


def test_a_manager_that_forces_is_told_of_and_not_fought_until_the_service_changes(
    operator: Operator, account: Account
) -> None:
    account.serve()
    account.served(operator)
    for number in range(2, 2 + MOST_TIMES):
        force(account, number)
        account.eventually(lambda: replicas(account) == 1, "the number to be put right", operator, REPAIR_SECONDS)
        account.eventually(lambda: told(account, "True"), "that to be told", operator, REPAIR_SECONDS)
        assert "Deployment assistant by another (.spec.replicas)" in account.condition("Reconciled")["message"]
    force(account, 9)
    account.eventually(lambda: told(account, "False"), "the operator to leave it", operator, REPAIR_SECONDS)
    assert "is written by another (.spec.replicas), too, over and over" in account.condition("Stalled")["message"]
    assert quiet(operator)
    assert replicas(account) == 9
    account.serve(instances=2)
    account.eventually(lambda: replicas(account) == 2, "the change to be carried out", operator, REPAIR_SECONDS)


def told(account: Account, status: str) -> bool:
    found = account.condition("Reconciled")
    return (found.get("status"), found.get("reason")) == (status, "Conflict")


@pytest.mark.parametrize("kind", ["deployment", "service", "poddisruptionbudget"])
def test_a_deleted_child_is_made_again(operator: Operator, account: Account, kind: str) -> None:
    account.serve()
    account.served(operator)
    account.delete(kind)
    account.eventually(lambda: account.get(kind), f"the {kind} to be back", operator, REPAIR_SECONDS)


STRANGERS: dict[str, dict[str, Any]] = {
    "Service": {"apiVersion": "v1", "spec": {"ports": [{"port": 80}], "selector": {"app": "mine"}}},
    "Deployment": {
        "apiVersion": "apps/v1",
        "spec": {
            "selector": {"matchLabels": {"app": "mine"}},
            "template": {
                "metadata": {"labels": {"app": "mine"}},
                "spec": {"containers": [{"name": "a", "image": "mine"}]},
            },
        },
    },
    "ConfigMap": {"apiVersion": "v1", "data": {"mine": "yes"}},
}


@pytest.mark.parametrize("kind", ["Service", "Deployment"])
def test_a_strangers_object_is_refused_and_never_taken_over(operator: Operator, account: Account, kind: str) -> None:
    stranger = STRANGERS[kind] | {"kind": kind, "metadata": {"name": "assistant", "namespace": account.name}}
    account.apply(stranger)
    before = account.get(kind)
    account.serve()
    account.eventually(
        lambda: account.condition("Reconciled").get("reason") == "OwnedBySomeoneElse", "the refusal", operator
    )
    assert f"{kind} {account.name}/assistant" in account.condition("Reconciled")["message"]
    assert account.get(kind) == before
    account.delete(kind)
    account.served(operator)


def test_a_strangers_config_map_is_refused_although_config_maps_are_not_watched(
    operator: Operator, account: Account
) -> None:
    account.serve()
    account.served(operator)
    versions = [{"name": "1k", "source": "hf://acme/tiny", "contextLength": 1024, "chatTemplate": "{{ messages }}"}]
    account.serve("first", state="Stopped")
    account.cluster.kubectl(
        "patch", "maasmodel", account.name, "--type=merge", "--patch", json.dumps({"spec": {"versions": versions}})
    )
    account.serve("templated")
    account.served(operator, "templated")
    name = config_map(account, "templated")
    stranger_name = name.replace("templated", "another")
    stranger = STRANGERS["ConfigMap"] | {
        "kind": "ConfigMap",
        "metadata": {"name": stranger_name, "namespace": account.name},
    }
    account.apply(stranger)
    before = account.get("configmap", stranger_name)
    account.serve("another")
    account.eventually(
        lambda: account.condition("Reconciled", "another").get("reason") == "OwnedBySomeoneElse",
        "the refusal",
        operator,
    )
    assert account.get("configmap", stranger_name) == before


def config_map(account: Account, service: str) -> str:
    found = account.get("deployment", service)
    assert found
    volumes = found["spec"]["template"]["spec"]["volumes"]
    return next(str(each["configMap"]["name"]) for each in volumes if "configMap" in each)


def test_a_status_that_someone_else_wrote_is_put_right(operator: Operator, account: Account) -> None:
    account.serve()
    account.served(operator)
    right = without_events(account)
    account.patch("msvc", {"status": {"phase": "Running", "selector": None}}, "assistant", "--subresource=status")
    account.eventually(lambda: without_events(account) == right, "the status to be put right", operator, REPAIR_SECONDS)


def without_events(account: Account) -> Any:
    """The status but for its events: the way back from a phase that somebody wrote is told as one more of them."""
    found = account.get("msvc")
    return found and {key: value for key, value in found["status"].items() if key != "events"}


def test_one_bad_object_never_stops_another(operator: Operator, account: Account) -> None:

    account.apply(STRANGERS["Service"] | {"kind": "Service", "metadata": {"name": "bad", "namespace": account.name}})
    account.serve("bad")
    account.serve("nowhere", resourcePool="none")
    account.serve("good")
    account.served(operator, "good")
    account.eventually(lambda: account.condition("Accepted", "nowhere").get("status") == "False", "its word", operator)


def test_a_service_is_decided_again_when_what_it_names_appears(operator: Operator, account: Account) -> None:
    account.serve(resourcePool="later")
    account.eventually(
        lambda: account.condition("Accepted").get("reason") == "ResourcePoolNotFound", "the refusal", operator
    )
    pool = {"flavors": [{"name": "small", "cpu": "1", "memory": "1Gi"}]}
    account.apply(
        {
            "apiVersion": "maas-operator.io/v1alpha1",
            "kind": "ResourcePool",
            "metadata": {"name": "later"},
            "spec": pool,
        }
    )
    account.served(operator)
    account.cluster.kubectl("delete", "rpool", "later", "--wait=false")
