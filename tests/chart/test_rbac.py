"""M2: the operator may do what api/permissions.py says, no less and no more. M1: the roles for people."""

from collections.abc import Iterator

import pytest

from maas_operator.api.kinds import KINDS
from maas_operator.api.names import GROUP
from maas_operator.api.permissions import GATEWAY_PERMISSIONS, LEDGER_PERMISSIONS, PERMISSIONS
from tests.chart.helm import CASES, GATEWAY, LEDGER, Helm, Manifest, the

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
    assert set(grants(the(manifests, "ClusterRole", name))) == table(own_namespace=False)
    assert set(grants(the(manifests, "Role"))) == table(own_namespace=True)


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


LOOK = {("", resource, verb) for resource in ("pods", "pods/log", "services", "events") for verb in READ}
"""What a service runs as, and what it says."""
FORWARD = {("", "pods/portforward", "create")}


def test_m1_full_access_may_do_everything(helm: Helm) -> None:
    role = the(helm.render(), "ClusterRole", "-full-access")
    everything = ours(*(kind.plural for kind in KINDS), verbs=WRITE)
    assert set(grants(role)) == everything | ours("modelservices/scale", verbs=SCALE) | LOOK | FORWARD


def test_m1_common_operations_use_pools_and_models_but_never_change_them(helm: Helm) -> None:
    role = the(helm.render(), "ClusterRole", "-common-operations")
    assert set(grants(role)) == (
        ours("modelservices", "apikeys", "notificationtopics", verbs=WRITE)
        | ours("modelservices/scale", verbs=SCALE)
        | ours("resourcepools", "models", verbs=READ)
        | {("", "serviceaccounts/token", "create")}
        | LOOK
        | FORWARD
    )
    (token,) = (rule for rule in role["rules"] if rule["resources"] == ["serviceaccounts/token"])
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
def test_the_gateway_and_the_ledger_may_do_what_their_tables_say(helm: Helm, case: str) -> None:
    manifests = helm.case(case)
    for part, permissions in ((GATEWAY, GATEWAY_PERMISSIONS), (LEDGER, LEDGER_PERMISSIONS)):
        role = the(manifests, "ClusterRole", part=part)
        assert set(grants(role)) == {(each.group, each.resource, verb) for each in permissions for verb in each.verbs}
        account = the(manifests, "Deployment", part=part)["spec"]["template"]["spec"]["serviceAccountName"]
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
