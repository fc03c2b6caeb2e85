"""M2: what is missing is named, and granted, no more and no less."""

from typing import Any

import pytest

from maas_operator.api.permissions import NOTIFICATION_PERMISSIONS, PERMISSIONS
from maas_operator.cli import needed
from maas_operator.cli.errors import CliError
from maas_operator.cli.needed import Identity, Question

OPERATOR = Identity("maas-operator", "maas-system", "maas", PERMISSIONS, "lease")
ALL = list(needed.questions([OPERATOR]))
Grant = tuple[str, str, str]


def asked(questions: list[Question]) -> set[Grant]:
    return {(each.permission.group, each.permission.resource, each.verb) for each in questions}


def granted(manifests: list[dict[str, Any]], kind: str) -> set[Grant]:
    return {
        (rule["apiGroups"][0], rule["resources"][0], verb)
        for role in manifests
        if role["kind"] == kind
        for rule in role["rules"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("question", ALL, ids=lambda each: f"{each.verb}-{each.permission.resource}")
def test_m2_each_missing_permission_is_granted_alone(question: Question) -> None:
    role, binding = needed.manifests([question])
    kind = "Role" if question.permission.own_namespace else "ClusterRole"
    assert granted([role], kind) == asked([question])
    assert binding["roleRef"] == {"apiGroup": needed.RBAC_GROUP, "kind": kind, "name": role["metadata"]["name"]}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "maas", "namespace": "maas-system"}]
    assert role["metadata"].get("namespace") == ("maas-system" if question.permission.own_namespace else None)
    assert str(needed.row(question)["stops"]) == question.permission.needed_for


def test_m2_all_that_is_missing_is_granted_and_nothing_twice() -> None:
    made = needed.manifests(ALL)
    assert [each["kind"] for each in made] == ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
    assert granted(made, "ClusterRole") | granted(made, "Role") == asked(ALL)


def test_m2_a_lease_is_granted_by_name_where_kubernetes_knows_the_name() -> None:
    role = needed.manifests([each for each in ALL if each.permission.own_namespace])[0]
    names = {verb: rule.get("resourceNames") for rule in role["rules"] for verb in rule["verbs"]}
    assert names == {"get": ["lease"], "update": ["lease"], "create": None}


def test_m2_what_is_granted_later_takes_nothing_away() -> None:
    first, later = needed.manifests(ALL[:1]), needed.manifests(ALL[1:2])
    assert first[0]["metadata"]["name"] != later[0]["metadata"]["name"]


def deployment(*containers: dict[str, Any], part: str = "maas-operator", **pod: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": part}
    spec = {"serviceAccountName": "maas", "containers": list(containers)} | pod
    metadata = {"namespace": "maas-system", "name": "other", "labels": labels}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"template": {"spec": spec}}}


def with_lease(name: str) -> dict[str, Any]:
    return {"name": "operator", "env": [{"name": "MAAS_LEASE_NAME", "value": name}]}


SIDECAR: dict[str, Any] = {"name": "mesh", "env": [{"name": "POD", "valueFrom": {}}]}


def test_m2_who_runs_what_is_read_from_what_is_installed() -> None:
    workload = deployment(with_lease("lease"))
    assert needed.identity_of(workload) == OPERATOR
    more = needed.identity_of(workload, notifies=True).permissions
    assert more == (*PERMISSIONS, *NOTIFICATION_PERMISSIONS)
    (value,) = {needed.row(Question(OPERATOR, each, "get"))["askedForBy"] for each in NOTIFICATION_PERMISSIONS}
    assert value == "notifications.enabled"


def test_m2_the_lease_is_found_whichever_container_names_it() -> None:
    for containers in ((SIDECAR, with_lease("lease")), (with_lease("lease"), SIDECAR)):
        assert needed.identity_of(deployment(*containers)) == OPERATOR


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (deployment(with_lease("lease"), serviceAccountName=""), "names no service account"),
        (deployment(SIDECAR), "names 0 Leases"),
        (deployment(with_lease("")), "names 0 Leases"),
        (deployment(with_lease("a"), with_lease("b")), "names 2 Leases"),
    ],
)
def test_m2_what_is_not_as_the_chart_makes_it_is_granted_nothing(workload: dict[str, Any], words: str) -> None:
    with pytest.raises(CliError, match=f"Deployment maas-system/other {words}"):
        needed.identity_of(workload)


def test_m2_who_elects_no_leader_needs_no_lease() -> None:
    assert needed.identity_of(deployment(SIDECAR, part="maas-ledger")).lease == ""


def test_m2_who_would_get_what_is_told_before_it_is_granted() -> None:
    asked = [each for each in ALL if each.permission.resource in {"leases", "pods"} and each.verb != "get"]
    assert needed.told(asked) == [
        "ServiceAccount maas-system:maas in all namespaces: list, watch, patch, delete pods",
        "ServiceAccount maas-system:maas in namespace maas-system: create, update leases.coordination.k8s.io",
    ]


def test_m2_a_review_asks_as_the_api_server_would_see_it() -> None:
    question = next(each for each in ALL if each.permission.resource == "modelservices/status")
    spec = needed.review(question)["spec"]
    assert spec["user"] == "system:serviceaccount:maas-system:maas"
    assert "system:serviceaccounts:maas-system" in spec["groups"]
    attributes = spec["resourceAttributes"]
    assert (attributes["resource"], attributes["subresource"]) == ("modelservices", "status")
