"""M2 on a real API server: `kubectl maas auth`, by its own entry point, on a release of the chart."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from maas_operator.api.names import GROUP
from maas_operator.cli import bindings, checking
from maas_operator.cli import cluster as users
from maas_operator.cli.errors import CliError
from maas_operator.cli.granting import Granting
from maas_operator.cli.needed import Identity, Question, questions
from maas_operator.cli.subjects import USER, Subject
from tests.chart.auth import OPERATOR, RBAC, SEEN_SECONDS, as_, maas, may
from tests.chart.helm import Manifest
from tests.chart.people import Answer, People
from tests.chart.release import Releases
from tests.cluster.client import MERGE_PATCH, Client
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.api


@pytest.fixture(scope="module")
def identities(installed: Releases) -> list[Identity]:
    return list(checking.installed(as_(installed.cluster.kubeconfig)).identities)


def without(rules: Iterable[Manifest], question: Question) -> list[Manifest]:
    """The rules, less one verb on one resource."""
    left = []
    for rule in rules:
        permission = question.permission
        if rule["apiGroups"] != [permission.group] or permission.resource not in rule["resources"]:
            left.append(rule)
            continue
        others = [each for each in rule["resources"] if each != permission.resource]
        verbs = [each for each in rule["verbs"] if each != question.verb]
        left += [rule | {"resources": others}] if others else []
        left += [rule | {"resources": [permission.resource], "verbs": verbs}] if verbs else []
    return left


def test_m2_each_permission_is_missed_by_name_when_it_is_taken(installed: Releases, identities: list[Identity]) -> None:
    assert {each.part for each in identities} == {"maas-operator", "maas-gateway", "maas-ledger", "maas-catalogue"}
    asking = as_(installed.cluster.kubeconfig)
    assert checking.missing(asking, identities) == []
    with closing(installed.cluster.client()) as client:
        for identity in identities:
            take_each(client, asking, identity, f"{RBAC}/clusterroles", own_namespace=False)
            if any(each.own_namespace for each in identity.permissions):
                take_each(client, asking, identity, f"{RBAC}/namespaces/maas-system/roles", own_namespace=True)
    wait_until(lambda: checking.missing(asking, identities) == [], SEEN_SECONDS, "all to be granted again")


def take_each(client: Client, asking: users.Cluster, identity: Identity, roles: str, *, own_namespace: bool) -> None:
    """Take one permission after the other out of a role, and see that it alone is missed."""
    path = f"{roles}/{identity.name}"
    rules = client.request("GET", path)["rules"]
    for question in questions([identity]):
        if question.permission.own_namespace != own_namespace:
            continue
        client.request("PATCH", path, {"rules": without(rules, question)}, MERGE_PATCH)
        named = partial(missed_alone, asking, identity, question)
        wait_until(named, SEEN_SECONDS, f"{question.verb} {question.permission.resource} to be missed")
    client.request("PATCH", path, {"rules": rules}, MERGE_PATCH)


def missed_alone(asking: users.Cluster, identity: Identity, question: Question) -> bool:
    return checking.missing(asking, [identity]) == [question]


def test_m2_what_is_missing_is_told_with_what_stops_and_who_asks_for_it(installed: Releases, taken: None) -> None:
    said = maas(installed, "auth", "check")
    assert said.code == 1
    assert said.out.splitlines()[0].split("  ")[0] == "SERVICE ACCOUNT"
    assert [line.split()[:3] for line in said.out.splitlines()[1:]] == [
        [f"maas-system/{OPERATOR}", "delete", "pods"],
        [f"maas-system/{OPERATOR}", "update", "leases.coordination.k8s.io"],
    ]
    assert "replacing instances that hang" in said.out
    assert "every release" in said.out
    assert "kubectl maas auth grant operator" in said.err


def test_m2_the_manifest_grants_what_is_missing_and_no_more(
    installed: Releases, taken: None, nothing_granted: None
) -> None:
    command = [sys.executable, "-m", "maas_operator.cli.main", "auth", "check", "--manifest"]
    kubeconfig = f"--kubeconfig={installed.cluster.kubeconfig}"
    printed = subprocess.run([*command, kubeconfig], capture_output=True, text=True, check=True).stdout
    installed.cluster.kubectl("apply", "-f", "-", stdin=printed)
    wait_until(lambda: maas(installed, "auth", "check").code == 0, SEEN_SECONDS, "the operator to have all it needs")
    made = installed.get("clusterroles,roles", "-A", "-l", "app.kubernetes.io/managed-by=kubectl-maas")["items"]
    assert sorted((rule["resources"], rule["verbs"]) for role in made for rule in role["rules"]) == [
        (["leases"], ["update"]),
        (["pods"], ["delete"]),
    ]
    assert maas(installed, "auth", "check", "--manifest").out == ""


def test_m2_one_command_grants_all_that_the_release_lacks(
    installed: Releases, taken: None, nothing_granted: None
) -> None:
    def granted() -> None:
        refused = maas(installed, "auth", "grant", "operator", typed="yes\n")
        assert (refused.code, "nothing was granted" in refused.err) == (1, True), "nothing but YES grants anything"
        said = maas(installed, "auth", "grant", "operator", typed="YES\n")
        assert (said.code, said.err.count(" made\n")) == (0, 4), said
        whom = f"ServiceAccount maas-system:{OPERATOR} in"
        assert f"{whom} all namespaces: delete pods\n" in said.err
        assert f"{whom} namespace maas-system: update leases.coordination.k8s.io\n" in said.err
        wait_until(
            lambda: maas(installed, "auth", "check").code == 0, SEEN_SECONDS, "the operator to have all it needs"
        )

    granted()
    assert "already" in maas(installed, "auth", "grant", "operator").err
    selector = ("-l", "app.kubernetes.io/managed-by=kubectl-maas")
    installed.cluster.kubectl("delete", "clusterrolebindings,rolebindings", "-A", *selector)
    wait_until(lambda: maas(installed, "auth", "check").code == 1, SEEN_SECONDS, "the bindings to be missed")
    granted()
    listed = [row for row in listed_for(installed, "-A") if row["grantedBy"] == "kubectl maas"]
    assert {(row["subject"], row["role"], row["account"]) for row in listed} == {
        (f"ServiceAccount maas-system:{OPERATOR}", "operator", "-")
    }
    assert len(listed) == 2
    assert "nobody" in maas(installed, "auth", "clear", "-A").err, "the operator is not cut off by clearing people"
    whom = f"--serviceaccount=maas-system:{OPERATOR}"
    assert maas(installed, "auth", "revoke", "-A", whom, typed="DELETE\n").code == 0
    kinds = "clusterrolebindings,rolebindings,clusterroles,roles"
    assert installed.names(kinds, "-A", *selector) == []


def test_m2_a_role_of_the_release_is_granted_to_nobody_else(installed: Releases) -> None:
    for flags in (("--user=ann",), ("-A",)):
        said = maas(installed, "auth", "grant", "operator", *flags)
        assert (said.code, "name none" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check",), "cannot list the ClusterRoles of maas-operator"),
        (("list",), "cannot list all clusterroles"),
        (("grant", "viewer", "--user=ann"), "cannot list all clusterroles"),
    ],
)
def test_m2_who_may_not_ask_is_told_what_lacks(installed: Releases, arguments: tuple[str, ...], words: str) -> None:
    said = maas(installed, "auth", *arguments, user="stranger")
    assert said.code == 1
    assert words in said.err
    assert "ask the platform's team" in said.err


def test_m2_who_sees_deployments_and_may_not_review_is_told_so(installed: Releases) -> None:
    kubectl = installed.cluster.kubectl
    kubectl("create", "clusterrole", "seer", "--verb=get,list", "--resource=clusterroles,deployments,jobs,configmaps")
    kubectl("create", "clusterrolebinding", "seer", "--clusterrole=seer", "--user=seer")
    try:
        wait_until(
            lambda: "cannot ask what service account" in maas(installed, "auth", "check", user="seer").err,
            SEEN_SECONDS,
            "the seer to see Deployments",
        )
    finally:
        kubectl("delete", "clusterrolebinding,clusterrole", "seer")


def listed_for(releases: Releases, *where: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(maas(releases, "auth", "list", *where, "-o", "json").out)
    return rows


EXPECTED = {
    "full-access": {"create services", "see services", "change pools", "see pools", "ask the ledger"},
    "common-operations": {"create services", "see services", "see pools", "ask the ledger"},
    "viewer": {"see services", "see pools"},
}


def abilities(releases: Releases, user: str, account: str) -> set[str]:
    tunnel = ("get", "services/http:maas-ledger:http/proxy", "maas-system")
    asked: dict[str, list[tuple[str, ...]]] = {
        "create services": [("create", f"modelservices.{GROUP}", account)],
        "see services": [("list", f"modelservices.{GROUP}", account)],
        "change pools": [("create", f"resourcepools.{GROUP}")],
        "see pools": [("list", f"resourcepools.{GROUP}")],
        "ask the ledger": [tunnel, ("create", "serviceaccounts/default/token", account)],
    }
    return {what for what, every in asked.items() if all(may(releases, user, *each) for each in every)}


@pytest.mark.parametrize("role", EXPECTED)
def test_m2_a_role_is_granted_in_one_account_and_taken_back(
    installed: Releases, nothing_granted: None, role: str
) -> None:
    whom = "--user=ann"
    assert abilities(installed, "ann", "team-a") == set()
    assert maas(installed, "auth", "grant", role, whom, "-n", "team-a").code == 0
    has = EXPECTED[role] - {"change pools"}
    wait_until(lambda: abilities(installed, "ann", "team-a") == has, SEEN_SECONDS, "ann to have the role")
    assert not may(installed, "ann", "list", f"modelservices.{GROUP}", "team-b")
    assert "already" in maas(installed, "auth", "grant", role, whom, "-n", "team-a").err
    assert maas(installed, "auth", "revoke", whom, "-n", "team-a", typed="delete\n").code == 1
    assert abilities(installed, "ann", "team-a") == has, "nothing but DELETE takes anything"
    assert maas(installed, "auth", "revoke", whom, "-n", "team-a", typed="DELETE\n").code == 0
    wait_until(lambda: abilities(installed, "ann", "team-a") == set(), SEEN_SECONDS, "ann to have nothing")


@pytest.mark.parametrize("role", EXPECTED)
def test_m2_a_role_is_granted_in_all_accounts(installed: Releases, nothing_granted: None, role: str) -> None:
    refused = maas(installed, "auth", "grant", role, "--user=ann", "-A", typed="yes\n")
    assert (refused.code, "nothing was granted" in refused.err) == (1, True), "nothing but YES grants anything"
    told = refused.err.partition("There: ")[2].partition("\n")[0]
    assert ("create serviceaccounts/token of default" in told) == ("ask the ledger" in EXPECTED[role])
    assert ("create pods/portforward" in told, "pods/log" in told) == (role != "viewer", True)
    assert maas(installed, "auth", "grant", role, "--user=ann", "-A", typed="YES\n").code == 0
    wait_until(lambda: abilities(installed, "ann", "team-a") == EXPECTED[role], SEEN_SECONDS, "ann to have the role")
    assert abilities(installed, "ann", "one-to-come") == EXPECTED[role]


def test_m2_who_has_all_accounts_forwards_no_port_of_the_gateway(installed: Releases, nothing_granted: None) -> None:
    """Behind them are the secrets that sign clients' tokens. Asked for real, of pods that are not there: 404 is said to
    those who may."""
    people, gateway = People(installed.cluster), f"{OPERATOR}-gateway-0"

    def answer(person: str, namespace: str, pod: str) -> Answer:
        return people.ask(person, "POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward")

    assert maas(installed, "auth", "grant", "full-access", "--user=ann", "-A", "--yes").code == 0
    words = "ports of the gateway are forwarded to those alone who may also run commands in its pods"
    wait_until(lambda: words in answer("ann", "maas-system", gateway).refusal, SEEN_SECONDS, "the policy in force")
    for namespace, pod in (("maas-system", "other"), ("team-a", gateway), ("team-a", "assistant-0")):
        assert answer("ann", namespace, pod).status == 404
    assert answer("", "maas-system", gateway).status == 404, "the cluster's admin may"


def test_m2_groups_and_service_accounts_are_granted_too(installed: Releases, nothing_granted: None) -> None:
    for whom in ("--group=team-a", "--serviceaccount=team-a:deployer"):
        assert maas(installed, "auth", "grant", "viewer", whom, "-n", "team-a").code == 0
    subjects = [row["subject"] for row in listed_for(installed, "-n", "team-a") if row["account"] == "team-a"]
    assert subjects == ["Group team-a", "ServiceAccount team-a:deployer"]
    where = ("get", f"modelservices.{GROUP}", "-n", "team-a")
    for flags in (("--as=x", "--as-group=team-a"), ("--as=system:serviceaccount:team-a:deployer",)):
        assert installed.cluster.kubectl("auth", "can-i", *where, *flags).strip() == "yes"


def test_m2_taking_goes_on_where_it_was_interrupted(installed: Releases, nothing_granted: None) -> None:
    whom, made = ("--user=ann", "-n", "team-a"), ("-A", "-l", "app.kubernetes.io/managed-by=kubectl-maas")
    assert maas(installed, "auth", "grant", "common-operations", *whom).code == 0
    granting = Granting(as_(installed.cluster.kubeconfig))
    going = bindings.going(granting.grants(), Subject(USER, "ann"), "team-a")
    assert len(going) == 3
    granting.remove(going[:1])
    granting.remove(going[:2])  # the first is gone: somebody else takes the same at the same time
    assert maas(installed, "auth", "revoke", *whom, "--yes").code == 0
    assert installed.names("clusterrolebindings,rolebindings", *made) == []


class Slower(users.Cluster):
    """Somebody else always makes the same a moment before."""

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, what: str, selector: str | None = None
    ) -> dict[str, Any]:
        if method == "POST":
            super().ask(method, path, self.theirs(body or {}), what=what)
        return super().ask(method, path, body, what=what, selector=selector)

    def theirs(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the other one makes."""
        return body


class Crossed(Slower):
    """Somebody else makes something else of the same name."""

    def theirs(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**body, "subjects": [Subject(USER, "eve").manifest()]}


def test_m2_what_another_grant_makes_at_the_same_time_counts(installed: Releases, nothing_granted: None) -> None:
    asked = ("viewer", Subject(USER, "ann"), "team-a")
    with pytest.raises(CliError, match="was changed by somebody"):
        Granting(Crossed(str(installed.cluster.kubeconfig), None, None)).grant(*asked)
    crossed = [row["binding"].rpartition("/")[2] for row in listed_for(installed, "-A") if row["subject"] == "User eve"]
    installed.cluster.kubectl("delete", "rolebinding", "-n", "team-a", *crossed)
    assert Granting(Slower(str(installed.cluster.kubeconfig), None, None)).grant(*asked) == []
    by = {row["role"] for row in listed_for(installed, "-n", "team-a") if row["subject"] == "User ann"}
    assert by == {"viewer", "catalogue-reader"}


def test_m2_only_what_the_tool_made_is_ever_removed(installed: Releases, nothing_granted: None) -> None:
    kubectl, here = installed.cluster.kubectl, ("-n", "team-a")
    viewer = f"--clusterrole={OPERATOR}-viewer"
    kubectl("create", "rolebinding", "by-hand", viewer, "--user=ann", *here)
    kubectl("create", "rolebinding", "joined", "--clusterrole=edit", "--user=ann", *here)
    kubectl("create", "rolebinding", "labelled", viewer, "--user=ann", *here)
    kubectl("label", "rolebinding", "labelled", "app.kubernetes.io/managed-by=kubectl-maas", *here)
    for user in ("ann", "bob", "cid"):
        assert maas(installed, "auth", "grant", "viewer", f"--user={user}", *here).code == 0
    made = {row["subject"]: row for row in listed_for(installed, *here) if row["of"].endswith("viewer")}
    changed = made["User bob"]["binding"].removeprefix("RoleBinding team-a/")
    more = {"kind": "User", "name": "dan", "apiGroup": "rbac.authorization.k8s.io"}
    patch = json.dumps([{"op": "add", "path": "/subjects/-", "value": more}])
    kubectl("patch", "rolebinding", changed, "--type=json", "-p", patch, *here)

    by = {(row["binding"], row["grantedBy"]) for row in listed_for(installed, *here) if "User ann" in row["subject"]}
    assert {("RoleBinding team-a/by-hand", "others"), ("RoleBinding team-a/joined", "others")} < by
    said = maas(installed, "auth", "revoke", "--user=ann", *here, typed="DELETE\n")
    assert said.code == 0
    theirs = ("by-hand", "joined", "labelled")
    assert all(f"RoleBinding team-a/{name}" in said.err.split("still has")[1] for name in theirs)
    assert "it has what it has by" in maas(installed, "auth", "revoke", "--user=ann", *here).err
    assert maas(installed, "auth", "clear", *here, typed="yes\n").code == 1
    assert {row["subject"] for row in listed_for(installed, *here)} >= {"User cid"}, "DELETE was not typed"
    assert maas(installed, "auth", "clear", *here, typed="DELETE\n").code == 0
    left = {each.rpartition("/")[2] for each in installed.names("rolebindings", *here)}
    assert left == {*theirs, changed}
    by_tool = [
        (row["subject"], row["role"]) for row in listed_for(installed, "-A") if row["grantedBy"] == "kubectl maas"
    ]
    assert by_tool == [("User bob", "catalogue-reader")], "whose role stays keeps what belongs to it"
    kubectl("delete", "rolebindings", "--all", *here)
