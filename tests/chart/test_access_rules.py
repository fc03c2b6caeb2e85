"""M1: what of a service or pool is for full access alone, though others write the rest of it."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chart.helm import Helm
from tests.chart.people import MERGE_PATCH, Answer, People, collection, ours
from tests.chart.release import LIMIT, Releases
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.api

OWNER, ADMIN, ENGINEER, KEEPER = "owner", "account-admin", "engineer", "pool-keeper"
"""Full access everywhere; full access in one account; common operations there; a role of the cluster's own."""
SPEC = {"model": {"name": "tiny"}, "resourcePool": "cpu", "flavor": "small"}
IMAGE, OTHER_IMAGE = ({"engine": {"image": f"registry.example.com/vllm:{tag}"}} for tag in ("mine", "other"))
FOR_ALL = {"sharing": {"all": True}}
SMALL = {"name": "small", "cpu": "1", "memory": "1Gi", "price": {"perHour": "1.50", "currency": "EUR"}}
FREE = {"name": "free", "cpu": "1", "memory": "1Gi"}
PREPAID = {"name": "p", "account": "default", "flavor": "small", "hours": 10, "start": "2026-01-01T00:00:00Z"}
MARKED = ours("ModelService", "marked", SPEC | IMAGE | FOR_ALL, "default")
PLAIN = ours("ModelService", "plain", SPEC, "default")
POOL = ours("ResourcePool", "priced", {"flavors": [SMALL], "prepaid": [PREPAID], "dedicated": True})
POOL_KEEPER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": KEEPER},
    "rules": [
        {
            "apiGroups": ["maas-operator.io"],
            "resources": ["resourcepools"],
            "verbs": ["get", "create", "update", "patch"],
        }
    ],
}
BOUND = (
    ("clusterrolebinding", OWNER, "maas-maas-operator-full-access"),
    ("rolebinding", ADMIN, "maas-maas-operator-full-access"),
    ("rolebinding", ENGINEER, "maas-maas-operator-common-operations"),
    ("clusterrolebinding", KEEPER, KEEPER),
)


class Rules:
    """The release, and what its people are told."""

    def __init__(self, releases: Releases) -> None:
        self.releases = releases
        self._people = People(releases.cluster)

    def creates(self, person: str, kind: str, spec: dict[str, Any]) -> str:
        """What is said against it; empty where it would be done."""
        manifest = ours(kind, "new", spec, "default" if kind == "ModelService" else None)
        path = collection(manifest, f"{kind.lower()}s")
        return self._people.ask(person, "POST", f"{path}?dryRun=All", manifest).refusal

    def changes(self, person: str, stands: dict[str, Any], patch: dict[str, Any]) -> str:
        path = f"{collection(stands, stands['kind'].lower() + 's')}/{stands['metadata']['name']}?dryRun=All"
        answer: Answer = self._people.ask(person, "PATCH", path, patch, MERGE_PATCH)
        return answer.refusal


@pytest.fixture(scope="module")
def rules(cluster: Cluster, helm: Helm) -> Iterator[Rules]:
    releases = Releases(cluster, Helm(helm.binary, cluster.kubeconfig))
    releases.install("--set", "catalogue.enabled=false")
    releases.apply(json.dumps(POOL_KEEPER))
    for binding, person, role in BOUND:
        where = ["-n", "default"] if binding == "rolebinding" else []
        cluster.kubectl("create", binding, f"rule-{person}", f"--clusterrole={role}", f"--user={person}", *where)
    for manifest in (MARKED, PLAIN, POOL):
        releases.apply(json.dumps(manifest))
    made = Rules(releases)
    wait_until(lambda: made.creates(ENGINEER, "ModelService", SPEC | IMAGE), LIMIT, "the rules to be in force")
    wait_until(lambda: made.changes(KEEPER, POOL, {"spec": {"dedicated": False}}), LIMIT, "those of pools, too")
    yield made
    for binding, person, _ in BOUND:
        where = ["-n", "default"] if binding == "rolebinding" else []
        cluster.kubectl("delete", binding, f"rule-{person}", *where)
    cluster.kubectl("delete", "clusterrole", KEEPER)
    releases.clean()


def test_m1_only_full_access_overrides_the_engines_image(rules: Rules) -> None:
    said = rules.creates(ENGINEER, "ModelService", SPEC | IMAGE)
    assert "service new of account default: spec.engine.image may be set by those alone who have full access" in said
    assert "ClusterRole maas-maas-operator-full-access, or the verb override of modelservices" in said
    assert "spec.engine.image" in rules.changes(ENGINEER, PLAIN, {"spec": IMAGE})
    assert "spec.engine.image" in rules.changes(ENGINEER, MARKED, {"spec": OTHER_IMAGE})
    for person in (ADMIN, OWNER, ""):
        assert rules.creates(person, "ModelService", SPEC | IMAGE) == ""
        assert rules.changes(person, MARKED, {"spec": OTHER_IMAGE}) == ""


def test_m1_only_full_access_to_all_accounts_shares_with_all_of_them(rules: Rules) -> None:
    said = rules.creates(ENGINEER, "ModelService", SPEC | FOR_ALL)
    assert (
        "service new of account default: spec.sharing.all may be set by those alone who have full access to all" in said
    )
    assert "name the accounts in spec.sharing.accounts, or have one of them set it" in said
    assert "spec.sharing.all" in rules.changes(ADMIN, PLAIN, {"spec": FOR_ALL})
    assert rules.creates(ENGINEER, "ModelService", SPEC | {"sharing": {"accounts": ["team-b"]}}) == ""
    for person in (OWNER, ""):
        assert rules.creates(person, "ModelService", SPEC | FOR_ALL) == ""


def test_m1_what_stands_there_already_keeps_nobody_from_changing_the_rest(rules: Rules) -> None:
    assert rules.changes(ENGINEER, MARKED, {"spec": {"qps": 5, "state": "Stopped"}}) == ""
    assert rules.changes(ENGINEER, MARKED, {"spec": {"engine": {"args": ["--enforce-eager"]}}}) == ""
    assert rules.changes(ENGINEER, MARKED, {"spec": {"engine": None, "sharing": None}}) == ""
    gateway = "system:serviceaccount:maas-system:maas-maas-operator-gateway"
    woken = {"metadata": {"annotations": {"maas-operator.io/wake-requested-at": "2026-06-01T00:00:00Z"}}}
    assert rules.changes(gateway, MARKED, woken) == ""


def test_m1_only_full_access_sets_a_price(rules: Rules) -> None:
    said = rules.creates(KEEPER, "ResourcePool", {"flavors": [FREE, SMALL]})
    assert "pool new: what instances cost may be changed by those alone who have full access to all accounts" in said
    assert said.endswith("have one of them change, the price of flavor small")
    dearer = copy.deepcopy(SMALL) | {"price": {"perHour": "1.60", "currency": "EUR"}}
    without = {field: SMALL[field] for field in ("name", "cpu", "memory")}
    for flavors in ([dearer], [without], [SMALL, SMALL | {"name": "second"}]):
        assert "the price of flavor" in rules.changes(KEEPER, POOL, {"spec": {"flavors": flavors}})
        assert rules.changes(OWNER, POOL, {"spec": {"flavors": flavors}}) == ""
        assert rules.changes("", POOL, {"spec": {"flavors": flavors}}) == ""
    for change, field in (({"dedicated": None}, "spec.dedicated"), ({"prepaid": []}, "spec.prepaid")):
        assert rules.changes(KEEPER, POOL, {"spec": change}).endswith(field)
        assert rules.changes(OWNER, POOL, {"spec": change}) == ""


def test_m1_who_may_set_no_price_writes_the_rest_of_a_pool(rules: Rules) -> None:
    assert rules.creates(KEEPER, "ResourcePool", {"flavors": [FREE]}) == ""
    larger = [SMALL | {"memory": "2Gi"}, FREE]
    assert rules.changes(KEEPER, POOL, {"spec": {"flavors": larger, "description": "for all"}}) == ""
    assert rules.changes(KEEPER, POOL, {"spec": {"flavors": [FREE]}}) == ""
