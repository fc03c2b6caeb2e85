"""M2: the operator may do what api/permissions.py says, no less and no more. M1: the roles for people."""

import json
from collections.abc import Iterator

import pytest

from maas_operator.api.kinds import KINDS
from maas_operator.api.names import GROUP
from maas_operator.api.permissions import (
    CATALOGUE_PERMISSIONS,
    GATEWAY_PERMISSIONS,
    LEDGER_PERMISSIONS,
    NOTIFICATION_PERMISSIONS,
    PERMISSIONS,
)
from tests.chart.helm import CASES, CATALOGUE, GATEWAY, LEDGER, OPERATOR, Helm, Manifest, the

Grant = tuple[str, str, str]
READ = ("get", "list", "watch")
WRITE = (*READ, "create", "update", "patch", "delete", "deletecollection")
SCALE = ("get", "update", "patch")


def grants(role: Manifest) -> Iterator[Grant]:
    """(group, resource, verb)"""
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            yield from ((group, resource, verb) for resource in rule["resources"] for verb in rule["verbs"])


def table(own_namespace: bool) -> set[Grant]:
    return {
        (permission.group, permission.resource, verb)
        for permission in PERMISSIONS
        for verb in permission.verbs
        if permission.own_namespace == own_namespace
    }


def ours(*plurals: str, verbs: tuple[str, ...]) -> set[Grant]:
    return {(GROUP, plural, verb) for plural in plurals for verb in verbs}


@pytest.mark.parametrize("case", CASES)
def test_m2_the_operator_may_do_what_the_table_says(helm: Helm, case: str) -> None:
    manifests = helm.case(case)
    name = the(manifests, "Deployment")["metadata"]["name"]
    more = {("", "secrets", "get")} if case == "everything-on" else set()
    assert set(grants(the(manifests, "ClusterRole", name))) == table(own_namespace=False) | more
    assert set(grants(the(manifests, "Role"))) == table(own_namespace=True)


def test_m9_secrets_are_read_where_notifications_are_on_and_nowhere_else(helm: Helm) -> None:
    def granted(*flags: str) -> set[Grant]:
        return set(grants(the(helm.render(*flags), "ClusterRole", "maas-maas-operator")))

    needed = {(each.group, each.resource, verb) for each in NOTIFICATION_PERMISSIONS for verb in each.verbs}
    assert granted("--set", "notifications.enabled=true") - granted() == needed == {("", "secrets", "get")}


@pytest.mark.parametrize("value", ["notifications.enabled", "gateway.enabled", "catalogue.enabled"])
def test_m2_what_a_value_asks_for_goes_with_it(helm: Helm, value: str) -> None:
    def granted(to: str) -> set[tuple[str, Grant]]:
        roles = (each for each in helm.render("--set", f"{value}={to}") if "Role" in each["kind"] and "rules" in each)
        parts = ((each["metadata"]["labels"]["app.kubernetes.io/name"], each) for each in roles)
        return {(part, grant) for part, role in parts for grant in grants(role)}

    tables = {OPERATOR: NOTIFICATION_PERMISSIONS, GATEWAY: GATEWAY_PERMISSIONS, LEDGER: LEDGER_PERMISSIONS}
    asked = {
        (part, (each.group, each.resource, verb))
        for part, table in (tables | {CATALOGUE: CATALOGUE_PERMISSIONS}).items()
        for each in table
        for verb in each.verbs
        if each.value == value
    }
    assert asked
    people = {("", "services/proxy", "get"), ("", "serviceaccounts/token", "create")}
    assert {each for each in granted("true") - granted("false") if each[1] not in people} == asked


def test_m2_nothing_is_granted_twice(helm: Helm) -> None:
    granted = list(grants(the(helm.render(), "ClusterRole", "maas-maas-operator")))
    assert len(granted) == len(set(granted))


def test_m2_only_its_own_lease_can_be_changed(helm: Helm) -> None:
    manifests = helm.render(release="other")
    for rule in the(manifests, "Role")["rules"]:
        assert rule.get("resourceNames") == (None if rule["verbs"] == ["create"] else ["other-maas-operator"])
    environment = the(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "MAAS_LEASE_NAME", "value": "other-maas-operator"} in environment


@pytest.mark.parametrize("case", CASES)
def test_m2_the_grants_go_to_the_operator_alone(helm: Helm, case: str) -> None:
    manifests = helm.case(case)
    account = the(manifests, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    subject = [{"kind": "ServiceAccount", "name": account, "namespace": "maas-system"}]
    assert the(manifests, "RoleBinding")["subjects"] == subject
    name = the(manifests, "Deployment")["metadata"]["name"]
    assert the(manifests, "ClusterRoleBinding", name)["subjects"] == subject


@pytest.mark.parametrize("case", CASES)
def test_no_wildcards_anywhere(helm: Helm, case: str) -> None:
    manifests = helm.case(case)
    for role in (each for each in manifests if each["kind"] in {"ClusterRole", "Role"}):
        assert not [grant for grant in grants(role) if "*" in "".join(grant)]
        assert not [rule for rule in role["rules"] if "nonResourceURLs" in rule]


TOKEN = {("", "serviceaccounts/token", "create")}
"""Of the account's service account "default": so the ledger knows which account asks."""
LOOK = {("", resource, verb) for resource in ("pods", "pods/log", "services", "events") for verb in READ} | {
    ("", "namespaces", "get")
}
"""What a service runs as, and what it says; and what is said of its account."""
FORWARD = {("", "pods/portforward", "create"), ("", "pods/proxy", "get")}
"""A way in: for debugging, and for reading an engine's metrics."""


def test_m1_full_access_may_do_everything(helm: Helm) -> None:
    role = the(helm.render(), "ClusterRole", "-full-access")
    everything = ours(*(kind.plural for kind in KINDS), verbs=WRITE)
    alone = ours("modelservices", verbs=("override", "share")) | ours("resourcepools", verbs=("price",))
    assert set(grants(role)) == everything | alone | ours("modelservices/scale", verbs=SCALE) | TOKEN | LOOK | FORWARD


def test_m1_common_operations_use_pools_and_models_but_never_change_them(helm: Helm) -> None:
    role = the(helm.render(), "ClusterRole", "-common-operations")
    assert set(grants(role)) == (
        ours("modelservices", "apikeys", "notificationtopics", verbs=WRITE)
        | ours("modelservices/scale", verbs=SCALE)
        | ours("resourcepools", "models", verbs=READ)
        | TOKEN
        | LOOK
        | FORWARD
    )


@pytest.mark.parametrize("role", ["-full-access", "-common-operations"])
def test_m16_the_token_that_an_account_shows_the_ledger_is_that_of_one_service_account(helm: Helm, role: str) -> None:
    rules = the(helm.render(), "ClusterRole", role)["rules"]
    (token,) = (rule for rule in rules if rule["resources"] == ["serviceaccounts/token"])
    assert token["resourceNames"] == ["default"]


def test_m1_viewers_only_read(helm: Helm) -> None:
    role = the(helm.render(), "ClusterRole", "-viewer")
    everything = ours(*(kind.plural for kind in KINDS), verbs=READ)
    assert set(grants(role)) == everything | ours("modelservices/scale", verbs=("get",)) | LOOK


@pytest.mark.parametrize(
    ("role", "into"), [("-full-access", "admin"), ("-common-operations", "edit"), ("-viewer", "view")]
)
def test_m1_roles_join_those_of_kubernetes_if_asked(helm: Helm, role: str, into: str) -> None:
    label = f"rbac.authorization.k8s.io/aggregate-to-{into}"
    joined = the(helm.render(), "ClusterRole", role)["metadata"]["labels"]
    assert {name: value for name, value in joined.items() if "aggregate" in name} == {label: "true"}
    alone = the(helm.render("--set", "roles.aggregate=false"), "ClusterRole", role)["metadata"]["labels"]
    assert not [name for name in alone if "aggregate" in name]


@pytest.mark.parametrize("case", ["default", "everything-on"])
def test_the_gateway_the_ledger_and_the_catalogue_may_do_what_their_tables_say(helm: Helm, case: str) -> None:
    manifests = helm.case(case)
    for part, kind, permissions in (
        (GATEWAY, "Deployment", GATEWAY_PERMISSIONS),
        (LEDGER, "Deployment", LEDGER_PERMISSIONS),
        (CATALOGUE, "Job", CATALOGUE_PERMISSIONS),
    ):
        role = the(manifests, "ClusterRole", part=part)
        assert set(grants(role)) == {(each.group, each.resource, verb) for each in permissions for verb in each.verbs}
        account = the(manifests, kind, part=part)["spec"]["template"]["spec"]["serviceAccountName"]
        subject = [{"kind": "ServiceAccount", "name": account, "namespace": "maas-system"}]
        assert the(manifests, "ClusterRoleBinding", part=part)["subjects"] == subject


def test_m16_who_may_read_the_catalogue_may_ask_the_ledger_and_nothing_else_behind_it(helm: Helm) -> None:
    manifests = helm.case("everything-on")
    role, binding = (the(manifests, kind, "-users", LEDGER) for kind in ("Role", "RoleBinding"))
    assert set(grants(role)) == {("", "services/proxy", "get")}
    service = the(manifests, "Service", part=LEDGER)
    assert [rule["resourceNames"] for rule in role["rules"]] == [[f"http:{service['metadata']['name']}:http"]]
    readers = the(manifests, "ClusterRoleBinding", "-catalogue-reader")
    assert binding["subjects"] == readers["subjects"]


def test_the_catalogues_readers_may_be_written_as_the_subjects_of_a_binding(helm: Helm) -> None:
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "oidc:data-scientists"}
    for written in (subject, {key: value for key, value in subject.items() if key != "apiGroup"}):
        manifests = helm.render("--set-json", f"roles.catalogueReaders={json.dumps([written])}")
        assert the(manifests, "ClusterRoleBinding", "-catalogue-reader")["subjects"] == [subject]
