"""Accounts on a real API server, by `kubectl maas account`: made, used by their people, frozen, deleted."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from maas_operator.api.kinds import API_KEY
from maas_operator.api.names import ANNOTATION_FROZEN
from maas_operator.cli.main import cli
from maas_operator.gateway.gather import gather
from tests.chart.helm import Helm
from tests.chart.people import People, collection, ours
from tests.chart.release import LIMIT, Releases
from tests.cluster import Cluster
from tests.cluster.client import MERGE_PATCH
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.api

GOLD = ours(
    "ResourcePool",
    "gold",
    {"accounts": {"matchLabels": {"tier": "gold"}}, "flavors": [{"name": "small", "cpu": "1", "memory": "1Gi"}]},
)
OPEN = ours("ResourcePool", "open", {"flavors": [{"name": "small", "cpu": "1", "memory": "1Gi"}]})
SPEC = {"model": {"name": "tiny"}, "resourcePool": "gold", "flavor": "small"}
KEYS = "count/apikeys.maas-operator.io"
READER = "clusterrolebinding.rbac.authorization.k8s.io/maas-maas-operator-catalogue-reader-"


class Tool:
    """`kubectl maas` in a cluster with the chart."""

    def __init__(self, releases: Releases) -> None:
        self.releases = releases
        self.cluster = releases.cluster
        self.people = People(releases.cluster)

    def said(self, *arguments: str, user: str = "", typed: str = "") -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        kubeconfig = self.cluster.user_kubeconfig(user) if user else self.cluster.kubeconfig
        done = CliRunner().invoke(cli, [*arguments, f"--kubeconfig={kubeconfig}"], input=typed, catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    def does(self, *arguments: str, user: str = "", typed: str = "") -> str:
        """What it prints, where it succeeds."""
        code, out, err = self.said(*arguments, user=user, typed=typed)
        assert code == 0, err
        return out

    def refuses(self, *arguments: str, user: str = "", typed: str = "") -> str:
        """Why."""
        code, _, err = self.said(*arguments, user=user, typed=typed)
        assert code == 1, err
        return err

    def uses(self, account: str, person: str) -> None:
        """A service and a key, as soon as the person's binding counts: the API server sees it by a watch."""
        service = ours("ModelService", "chat", SPEC, account)
        path = collection(service, "modelservices")
        wait_until(lambda: self.people.ask(person, "POST", path, service).allowed, LIMIT, "the binding to count")
        self.does("key", "create", "ci", "--description", "a test", "-n", account, user=person)

    def listed(self) -> dict[str, dict[str, Any]]:
        """Accounts by name."""
        return {each["account"]: each for each in json.loads(self.does("account", "list", "-o", "json"))}

    def frozen_keys(self) -> dict[str, bool]:
        """What the gateway makes of the keys of the cluster, once the operator has accepted them."""
        everything = self.releases.get("apikeys", "-A")["items"]
        accepted = {"conditions": [{"type": "Accepted", "status": "True"}]}
        namespaces = self.releases.get("namespaces")["items"]
        facts = gather((), [each | {"status": accepted} for each in everything], (), namespaces, datetime.now(UTC))
        return {key.path: key.frozen for key in facts.keys}


@pytest.fixture(scope="module")
def tool(cluster: Cluster, helm: Helm) -> Iterator[Tool]:
    releases = Releases(cluster, Helm(helm.binary, cluster.kubeconfig))
    releases.install("--set", "catalogue.enabled=false")
    for manifest in (GOLD, OPEN):
        releases.apply(json.dumps(manifest))
    yield Tool(releases)
    kinds = "clusterrolebindings,rolebindings"
    cluster.kubectl("delete", kinds, "-A", "-l", "app.kubernetes.io/managed-by=kubectl-maas")
    releases.clean()


def test_m1_m3_m22_two_accounts_are_made_used_frozen_and_deleted(tool: Tool) -> None:
    limits = ("--key-limits", "requestsPerMinute=600,tokensPerMinute=200000")
    first = ("--pool", "gold", "--quota", "cpu=32,services=2", *limits, "--common-operations", "user:anna")
    tool.does("account", "create", "shop", *first, "--viewer", "group:auditors")
    tool.does("account", "create", "bank", "--common-operations", "user:bert", "--common-operations", "user:anna")

    # used: each by its people
    for account, person in (("shop", "anna"), ("bank", "bert")):
        tool.uses(account, person)
    shop = collection(ours("ModelService", "", {}, "shop"), "modelservices")
    assert tool.people.ask("bert", "GET", shop).status == 403
    assert tool.people.ask("anna", "GET", shop).status == 200
    assert tool.people.ask("bert", "GET", collection(GOLD, "resourcepools")).status == 200

    shown = tool.listed()
    assert {name: (each["state"], each["services"], each["keys"]) for name, each in shown.items()} == {
        "shop": ("Active", 1, 1),
        "bank": ("Active", 1, 1),
    }
    assert (shown["shop"]["pools"], shown["bank"]["pools"]) == ("gold,open", "open")
    assert shown["shop"]["keyLimits"] == "requestsPerMinute=600,tokensPerMinute=200000"
    assert shown["shop"]["madeBy"] == "kubectl maas"

    # frozen
    assert "401 ModelArts.81006" in tool.said("account", "freeze", "shop")[2]
    assert tool.said("account", "freeze", "shop") == (0, "", "account shop is frozen already\n")
    assert tool.listed()["shop"]["state"] == "Frozen"
    assert tool.frozen_keys() == {"shop/ci": True, "bank/ci": False}
    of_the_account = tool.said("key", "list", "-n", "shop", user="anna")[2]
    assert "account shop is frozen by the platform's team" in of_the_account
    assert "it has the account's: requestsPerMinute=600,tokensPerMinute=200000" in of_the_account
    assert "account shop is frozen" in tool.said("list", "-n", "shop", user="anna")[2]
    tool.does("account", "unfreeze", "shop")
    assert tool.said("account", "unfreeze", "shop") == (0, "", "account shop is not frozen\n")
    assert not any(tool.frozen_keys().values())

    # deleted
    said = tool.refuses("account", "delete", "shop", typed="DELETE\n")
    assert "account shop has 1 service (chat): delete them first (kubectl maas delete SERVICE -n shop)" in said
    assert "shop was not deleted" in tool.refuses("account", "delete", "shop", "--with-services", typed="delete\n")
    assert tool.listed()["shop"]["state"] == "Active"
    readers = len([each for each in tool.releases.names("clusterrolebinding") if each.startswith(READER)])
    assert readers == 3, "anna, bert and the auditors"
    tool.does("account", "delete", "shop", "--with-services", typed="DELETE\n")
    assert tool.listed()["shop"]["state"] == "Terminating"
    assert "account shop is still being deleted: try again when namespace shop is gone" in tool.refuses(
        "account", "create", "shop", *first
    )
    left = [each for each in tool.releases.names("clusterrolebinding") if each.startswith(READER)]
    assert len(left) == 2, "anna is still of the bank"
    assert tool.people.ask("anna", "GET", collection(GOLD, "resourcepools")).status == 200
    tool.does("delete", "chat", "-n", "bank", "--yes")
    tool.does("account", "delete", "bank", typed="DELETE\n")
    assert not [each for each in tool.releases.names("clusterrolebinding") if each.startswith(READER)]


def test_m22_the_quota_refuses_a_key_too_many(tool: Tool) -> None:
    """What has been counted, a controller writes into the quota's status: here the test does."""
    tool.does("account", "create", "full", "--quota", "keys=2")
    path = "/api/v1/namespaces/full/resourcequotas/maas-account"
    counted = {"status": {"hard": {KEYS: "2"}, "used": {KEYS: "2"}}}
    with closing(tool.cluster.client()) as client:
        client.request("PATCH", f"{path}/status", counted, MERGE_PATCH)
    key = ours("ApiKey", "third", {"tag": "third", "description": "d", "sha256": "0" * 64}, "full")
    where = f"{collection(key, API_KEY.plural)}?dryRun=All"
    wait_until(lambda: tool.people.ask("", "POST", where, key).status == 403, LIMIT, "the quota to be known")
    assert f"used: {KEYS}=2, limited: {KEYS}=2" in tool.people.ask("", "POST", where, key).refusal
    assert tool.listed()["full"]["quota"] == "keys 2/2"


def test_what_is_printed_for_git_makes_the_same_account(tool: Tool) -> None:
    options = ("--pool", "gold", "--quota", "memory=64Gi", "--full-access", "group:oidc:platform")
    printed = tool.does("account", "create", "from-git", *options, "--dry-run")
    assert "from-git" not in tool.listed()
    tool.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=printed)
    listed = tool.listed()["from-git"]
    assert (listed["state"], listed["pools"], listed["quota"]) == ("Active", "gold,open", "memory ?/64Gi")
    granted = json.loads(tool.does("auth", "list", "-n", "from-git", "-o", "json"))
    assert {(each["subject"], each["role"]) for each in granted} >= {("Group oidc:platform", "full-access")}
    as_json = json.loads(tool.does("account", "create", "from-git", *options, "--dry-run", "-o", "json"))
    assert as_json["items"] == list(yaml.safe_load_all(printed))
    assert "not made by kubectl maas: to have it as an account, apply what" in tool.refuses(
        "account", "create", "from-git", *options
    )
    assert "take it out of Git, where it stands there, or kubectl delete namespace from-git" in tool.refuses(
        "account", "delete", "from-git", "--yes"
    )
    tool.cluster.kubectl("delete", "--wait=false", "-f", "-", stdin=printed)


def test_an_account_that_is_there_is_completed_and_never_changed(tool: Tool) -> None:
    options = ("account", "create", "twice", "--pool", "gold", "--quota", "keys=9")
    tool.does(*options)
    assert tool.said(*options) == (
        0,
        "",
        "account twice is there already, with all of that\n",
    )
    exact = ("account", "create", "exact", "--quota", "memory=1024Gi", "--quota", "cpu=0.5", "--quota", "services=1k")
    tool.does(*exact)
    assert tool.said(*exact)[2] == "account exact is there already, with all of that\n"
    assert tool.listed()["exact"]["quota"] == "services ?/1k, cpu ?/500m, memory ?/1Ti"
    tool.cluster.kubectl("delete", "resourcequota", "maas-account", "-n", "twice")
    _, out, err = tool.said(*options, "--viewer", "user:dora", "-o", "yaml")
    assert [each["kind"] for each in yaml.safe_load_all(out)] == ["ResourceQuota", "RoleBinding", "ClusterRoleBinding"]
    assert "ResourceQuota maas-account made" in err
    assert "account twice is there, with other labels, limits or quota: to change it, apply what" in tool.refuses(
        "account", "create", "twice", "--pool", "gold", "--quota", "cpu=4"
    )
    printed = tool.does("account", "create", "twice", "--pool", "gold", "--quota", "keys=4", "--dry-run")
    tool.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=printed)
    assert tool.listed()["twice"]["quota"] == "keys ?/4"
    assert tool.listed()["twice"]["madeBy"] == "kubectl maas"


LISTING = [
    {"apiGroups": [""], "resources": ["namespaces", "resourcequotas"], "verbs": ["list", "create"]},
    {"apiGroups": ["maas-operator.io"], "resources": ["modelservices"], "verbs": ["list"]},
]
BINDING = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["list", "delete"]}]


def test_m1_what_one_may_not_do_is_refused_before_anything_is_done(tool: Tool) -> None:
    def lists_namespaces(person: str) -> bool:
        return tool.people.ask(person, "GET", "/api/v1/namespaces").allowed

    for person, rules in (("pia", LISTING), ("quentin", LISTING + BINDING)):
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": person}}
        tool.releases.apply(json.dumps(role | {"rules": rules}))
        tool.cluster.kubectl("create", "clusterrolebinding", person, f"--clusterrole={person}", f"--user={person}")
        wait_until(partial(lists_namespaces, person), LIMIT, "the binding to count")
    said = tool.refuses("account", "create", "half", "--quota", "cpu=4", "--viewer", "user:dora", user="pia")
    assert "cannot list all clusterroles" in said
    assert "half" not in tool.listed()

    tool.does("account", "create", "kept", "--viewer", "user:dora")
    granted = tool.does("auth", "list", "-n", "kept", "-o", "json")
    assert "User dora" in granted
    assert "cannot delete namespace kept: " in tool.refuses("account", "delete", "kept", "--yes", user="quentin")
    assert tool.does("auth", "list", "-n", "kept", "-o", "json") == granted
    assert tool.listed()["kept"]["state"] == "Active"


def test_m1_who_may_not_is_told_what_they_may_not(tool: Tool) -> None:
    for arguments in (("create", "mine"), ("freeze", "default"), ("list",), ("delete", "default")):
        said = tool.refuses("account", *arguments, user="nobody-in-particular")
        assert "is forbidden" in said
        assert "; ask the platform's team for the right to it" in said
    assert "there is no namespace gone: kubectl maas account list shows" in tool.refuses("account", "freeze", "gone")


def test_81006_single_services_that_are_frozen_are_listed_and_unfrozen(tool: Tool) -> None:
    tool.does("account", "create", "partly")
    tool.cluster.kubectl("annotate", "namespace", "partly", f"{ANNOTATION_FROZEN}=chat,coder")
    assert tool.listed()["partly"]["state"] == "Frozen: chat, coder"
    tool.does("account", "unfreeze", "partly")
    assert tool.listed()["partly"]["state"] == "Active"
