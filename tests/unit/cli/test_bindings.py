"""M2: which bindings grant what to whom, and which of them go."""

from typing import Any

import pytest

from maas_operator.api.names import ANNOTATION_RELEASE_NAMESPACE, GROUP, LABEL_MANAGED_BY
from maas_operator.cli import bindings
from maas_operator.cli.bindings import LEDGER_USERS, OWN_NEEDS, ROLES, Grant, Roles
from maas_operator.cli.cluster import MANAGER
from maas_operator.cli.errors import CliError
from maas_operator.cli.subjects import SERVICE_ACCOUNT, USER, Subject, subject_of

ANN, BOB = Subject(USER, "ann"), Subject(USER, "bob")
OPERATOR = Subject(SERVICE_ACCOUNT, "maas", "maas-system")
OWN = "maas-system-maas-granted-1"
ALL = Roles("maas", frozenset({"admin", "edit", "view"}), "maas-system", frozenset({("ClusterRole", "", OWN)}))


def granted(subject: Subject, role: str, account: str | None) -> list[Grant]:
    """As the tool grants it."""
    return bindings.grants_of(ALL, bindings.wanted(ALL, role, subject, account))


def own_needs() -> Grant:
    metadata = {"name": OWN, "labels": {LABEL_MANAGED_BY: MANAGER}}
    return Grant(OWN_NEEDS, bound("ClusterRole", OWN) | {"metadata": metadata, "subjects": [OPERATOR.manifest()]})


def bound(kind: str, role: str, namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": "by-hand"} | ({"namespace": namespace} if namespace else {})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
    return {"kind": "RoleBinding", "metadata": metadata, "roleRef": ref, "subjects": [ANN.manifest()]}


@pytest.mark.parametrize(
    ("binding", "role"),
    [
        (bound("ClusterRole", "maas-viewer", "team-a"), "viewer"),
        (bound("ClusterRole", "maas-catalogue-reader"), "catalogue-reader"),
        (bound("ClusterRole", "edit", "team-a"), "common-operations"),
        (bound("ClusterRole", "admin", "team-a"), "full-access"),
        (bound("ClusterRole", "cluster-admin"), "full-access"),
        (bound("Role", "maas-ledger-users", "maas-system"), LEDGER_USERS),
        (bound("Role", "maas-ledger-users", "team-a"), None),
        (bound("ClusterRole", OWN), OWN_NEEDS),
        (bound("Role", OWN, "team-a"), None),
        (bound("ClusterRole", "maas"), None),
        (bound("ClusterRole", "other-viewer", "team-a"), None),
        (bound("Role", "maas-viewer", "team-a"), None),
    ],
)
def test_m2_what_a_binding_grants(binding: dict[str, Any], role: str | None) -> None:
    assert ALL.meant(binding) == role


def test_m2_roles_of_kubernetes_count_only_where_ours_have_joined_them() -> None:
    assert Roles("maas", frozenset(), None).meant(bound("ClusterRole", "edit", "team-a")) is None


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("account", [None, "team-a"])
def test_m2_what_the_tool_made_is_told_from_what_others_made(role: str, account: str | None) -> None:
    for grant in granted(ANN, role, account):
        assert grant.made_here
        metadata = grant.binding["metadata"]
        others = (
            grant.binding | {"metadata": metadata | {"labels": {}}},
            grant.binding | {"metadata": metadata | {"name": "copied"}},
            grant.binding | {"subjects": [ANN.manifest(), BOB.manifest()]},
            grant.binding | {"subjects": [BOB.manifest()]},
            grant.binding | {"subjects": []},
        )
        assert not any(Grant(grant.role, each).made_here for each in others)


def test_m2_of_people_with_a_role_in_one_account_pools_and_the_ledger_go_with_it() -> None:
    grants = granted(ANN, "common-operations", "team-a") + granted(BOB, "viewer", "team-a")
    assert [each.role for each in bindings.going(grants, ANN, "team-a")] == [
        "catalogue-reader",
        "ledger-users",
        "common-operations",
    ]
    assert [each.role for each in bindings.going(grants, BOB, "team-a")] == ["catalogue-reader", "viewer"]
    assert bindings.going(grants, ANN, "team-b") == []


def test_m2_what_another_account_needs_stays() -> None:
    there = granted(ANN, "common-operations", "team-a")
    more = granted(ANN, "viewer", "team-b")
    assert [each.role for each in bindings.going(there + more[:1], ANN, "team-b")] == ["viewer"]
    roles = [each.role for each in bindings.going(there + more[:1], ANN, "team-a")]
    assert roles == ["ledger-users", "common-operations"], "a viewer reads pools, and does not ask the ledger"
    role, pools, ledger = there
    assert bindings.going(there + more[:1], ANN, None) == [pools, ledger, role, more[0]]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("account", [None, "team-a"])
def test_m2_taking_goes_on_from_wherever_it_was_interrupted(role: str, account: str | None) -> None:
    there = granted(ANN, role, account)
    for gone in range(len(there)):
        left = [each for each in there if each not in bindings.going(there, ANN, account)[:gone]]
        assert sorted(map(id, bindings.going(left, ANN, account))) == sorted(map(id, left))


def test_m2_clearing_takes_from_all_and_leaves_the_release_what_it_needs() -> None:
    of_people = granted(ANN, "viewer", "team-a") + granted(BOB, "full-access", None)
    by_hand = Grant("viewer", bound("ClusterRole", "maas-viewer", "team-a"))
    grants = [*of_people, own_needs(), by_hand]
    assert own_needs().made_here
    viewer, pools, full_access, ledger = of_people
    assert bindings.cleared(grants, None) == [pools, viewer, ledger, full_access]
    assert bindings.cleared(grants, "team-a") == [pools, viewer]
    assert bindings.going(grants, OPERATOR, None) == [own_needs()]
    assert bindings.going(grants, OPERATOR, "maas-system") == []


def test_m2_the_release_keeps_what_it_needs_when_its_account_loses_a_role() -> None:
    grants = [*granted(OPERATOR, "viewer", "team-a"), own_needs()]
    viewer, pools, _ = grants
    assert bindings.going(grants, OPERATOR, "team-a") == [pools, viewer]


def test_m2_who_has_what_is_told_by_account() -> None:
    grants = [*granted(ANN, "viewer", "team-a"), *granted(BOB, "full-access", None), own_needs()]
    told = [(row["subject"], row["role"], row["account"]) for row in bindings.rows(grants, "team-a")]
    assert told == [
        ("User ann", "viewer", "team-a"),
        ("User ann", "catalogue-reader", "-"),
        ("User bob", "full-access", "all"),
        ("User bob", "ledger-users", "-"),
        ("ServiceAccount maas-system:maas", "operator", "-"),
    ]
    assert not [row for row in bindings.rows(grants, "team-b") if row["role"] == "viewer"]


def test_m2_without_the_charts_roles_there_is_nothing_to_grant_people() -> None:
    roles = bindings.roles_of([], [], [])
    with pytest.raises(CliError, match=r"roles\.create"):
        bindings.wanted(roles, "viewer", ANN, "team-a")
    assert roles.meant(bound("ClusterRole", "-viewer")) is None


def role(name: str, namespace: str | None = None, **annotations: str) -> dict[str, Any]:
    where = {"namespace": namespace} if namespace else {}
    return {
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": {"name": name, "annotations": annotations} | where,
    }


PEOPLES = role("maas-full-access")
RELEASES = role("maas", **{ANNOTATION_RELEASE_NAMESPACE: "maas-system"})


def test_m2_the_role_that_opens_the_ledger_is_the_releases_own() -> None:
    forged, own = role("maas-ledger-users", "a-team"), role("maas-ledger-users", "maas-system")
    for listed in ([forged, own], [own, forged]):
        assert bindings.roles_of([PEOPLES, RELEASES], listed, []).ledger_namespace == "maas-system"
    assert bindings.roles_of([PEOPLES, RELEASES], [forged], []).ledger_namespace is None


def test_m2_roles_of_no_known_release_are_not_guessed_at() -> None:
    with pytest.raises(CliError, match="upgrade the release"):
        bindings.roles_of([PEOPLES], [role("maas-ledger-users", "maas-system")], [])


def test_m2_what_a_role_gives_where_no_account_is_is_told() -> None:
    rules = [
        {"apiGroups": [GROUP], "resources": ["models"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["default"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
    ]
    told = "create serviceaccounts/token of default; get, list pods, pods/log"
    assert bindings.reach(PEOPLES | {"rules": rules}) == told
    assert bindings.reach(PEOPLES) == ""


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        ((None, None, None), None),
        (("ann", None, None), ANN),
        ((None, "devs", None), Subject("Group", "devs")),
        ((None, None, "maas-system:maas"), OPERATOR),
    ],
)
def test_m2_whom_the_options_name(given: tuple[str | None, str | None, str | None], subject: Subject | None) -> None:
    assert subject_of(*given) == subject
    if subject:
        assert Subject.read(subject.manifest()) == subject


@pytest.mark.parametrize(
    ("given", "words"), [(("ann", "devs", None), "one of"), ((None, None, "maas"), "NAMESPACE:NAME")]
)
def test_m2_whom_the_options_cannot_name(given: tuple[str | None, str | None, str | None], words: str) -> None:
    with pytest.raises(CliError, match=words):
        subject_of(*given)
