"""M1 and M2 on a real API server: who may do what, once the chart is installed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maas_operator.api.kinds import KINDS
from maas_operator.api.names import GROUP
from maas_operator.api.permissions import PERMISSIONS
from tests.chart.helm import Helm
from tests.chart.people import READ, WRITE, People, collection, ours
from tests.chart.release import SERVICE, Releases
from tests.chart.test_deletion_protection import MODEL, POOL
from tests.cluster import Cluster, ClusterError

pytestmark = pytest.mark.api

OPERATOR = "system:serviceaccount:maas-system:maas-maas-operator"
PEOPLE = {"owner": "full-access", "engineer": "common-operations", "auditor": "viewer"}
NEIGHBOUR = "neighbour"
"""Of common operations in an account of the same name."""
SCALES = ("get", "update", "patch")
NOTHING: tuple[str, ...] = ()
TABLE = {
    # resource: what owner, engineer and auditor may do in account default
    "modelservices": (WRITE, WRITE, READ),
    "modelservices/scale": (SCALES, SCALES, ("get",)),
    "modelservices/status": (NOTHING, NOTHING, NOTHING),
    "apikeys": (WRITE, WRITE, READ),
    "apikeys/status": (NOTHING, NOTHING, NOTHING),
    "notificationtopics": (WRITE, WRITE, READ),
    "notificationtopics/status": (NOTHING, NOTHING, NOTHING),
    "resourcepools": (WRITE, READ, READ),
    "resourcepools/status": (NOTHING, NOTHING, NOTHING),
    "models": (WRITE, READ, READ),
    "models/status": (NOTHING, NOTHING, NOTHING),
    "secrets": (NOTHING, NOTHING, NOTHING),
}
"""M1, whole."""
OF_ACCOUNTS = ("modelservices", "apikeys", "notificationtopics", "secrets")
"""What has a namespace."""
STANDING = {
    "modelservices": ours(
        "ModelService", "m1", {"model": {"name": "m1"}, "resourcePool": "m1", "flavor": "small", "instances": 1}
    ),
    "apikeys": ours("ApiKey", "m1", {"tag": "m1", "description": "of M1's table", "sha256": "0" * 64}),
    "notificationtopics": ours(
        "NotificationTopic", "m1", {"channels": [{"name": "m1", "apprise": {"urlFrom": {"name": "m1", "key": "url"}}}]}
    ),
    "resourcepools": ours("ResourcePool", "m1", {"flavors": [{"name": "small", "cpu": "1", "memory": "1Gi"}]}),
    "models": ours("Model", "m1", {"versions": [{"name": "v1", "source": "hf://a/b", "contextLength": 4096}]}),
    "secrets": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "m1"}},
}
"""An object of each kind, in whatever account."""


@pytest.fixture(scope="module")
def installed(cluster: Cluster, helm: Helm) -> Iterator[Releases]:
    """The chart, a person for each role in namespace default, and the catalogue open to them."""
    releases = Releases(cluster, Helm(helm.binary, cluster.kubeconfig))
    readers = json.dumps([{"kind": "User", "name": name} for name in PEOPLE])
    releases.install("--set-json", f"roles.catalogueReaders={readers}")
    for person, role in PEOPLE.items():
        flags = [f"--clusterrole=maas-maas-operator-{role}", f"--user={person}", "--namespace=default"]
        cluster.kubectl("create", "rolebinding", person, *flags)
    cluster.kubectl("create", "clusterrolebinding", "o", "--clusterrole=maas-maas-operator-full-access", "--user=owner")
    yield releases
    cluster.kubectl("delete", "rolebinding", *PEOPLE, "-n", "default")
    cluster.kubectl("delete", "clusterrolebinding", "o")
    releases.clean()


def does(releases: Releases, person: str, *arguments: str, stdin: str | None = None) -> bool:
    """Whether a person, with a certificate of their own, may do it."""
    kubeconfig: Path = releases.cluster.user_kubeconfig(person)
    try:
        releases.cluster.kubectl(*arguments, f"--kubeconfig={kubeconfig}", stdin=stdin)
    except ClusterError as error:
        assert "forbidden" in str(error).lower(), error
        return False
    return True


def may(releases: Releases, user: str, verb: str, resource: str, namespace: str, subresource: str = "") -> bool:
    """What the API server says of RESOURCE[.GROUP][/NAME], whether or not it has a definition of it."""
    kind, _, name = resource.partition("/")
    plural, _, group = kind.partition(".")
    attributes = {"verb": verb, "group": group, "resource": plural, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes | {"name": name, "subresource": subresource}},
    }
    answer = releases.cluster.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
    return bool(json.loads(answer)["status"]["allowed"])


@pytest.fixture(scope="module")
def people(installed: Releases) -> Iterator[People]:
    """Those of account default, and one of another account; in both an object of each kind."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NEIGHBOUR}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": NEIGHBOUR, "namespace": NEIGHBOUR},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "maas-maas-operator-common-operations",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": NEIGHBOUR}],
    }
    objects = [stands(resource, account) for resource in STANDING for account in ("default", NEIGHBOUR)]
    installed.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [namespace, binding, *objects]}))
    yield People(installed.cluster)
    for account in ("default", NEIGHBOUR):
        installed.cluster.kubectl("delete", "secret", "m1", "-n", account)


def stands(resource: str, account: str) -> dict[str, Any]:
    """The object that is there."""
    manifest = STANDING[resource.partition("/")[0]]
    where = {"namespace": account} if resource.partition("/")[0] in OF_ACCOUNTS else {}
    return manifest | {"metadata": manifest["metadata"] | where}


@pytest.mark.parametrize("resource", TABLE)
def test_m1_every_verb_on_every_kind_for_the_three_roles(people: People, resource: str) -> None:
    """Asked for real, in the person's name."""
    verbs = SCALES if "/" in resource else WRITE
    object_ = stands(resource, "default")
    allowed = tuple(
        tuple(verb for verb in verbs if people.tries(person, verb, resource, object_).allowed) for person in PEOPLE
    )
    assert allowed == TABLE[resource]


@pytest.mark.parametrize("resource", TABLE)
def test_m1_no_verb_is_allowed_that_the_table_does_not_name(people: People, resource: str) -> None:
    """What RBAC says, subresources that are none and verbs that no request has included."""
    beyond = {"modelservices": ("override", "share"), "resourcepools": ("price",)}.get(resource, NOTHING)
    asked = (*WRITE, "override", "share", "price", "escalate", "*")
    for person, expected in zip(PEOPLE, TABLE[resource], strict=True):
        verbs = {verb for verb in asked if people.may(person, verb, resource, "default")}
        assert verbs == {*expected, *(beyond if person == "owner" else NOTHING)}, person


@pytest.mark.parametrize("resource", OF_ACCOUNTS)
def test_m1_m22_accounts_see_neither_each_others_services_nor_keys(people: People, resource: str) -> None:
    mine, theirs = stands(resource, NEIGHBOUR), stands(resource, "default")
    others = [("engineer", mine), ("auditor", mine), (NEIGHBOUR, theirs)]
    for person, object_ in others:
        for verb in WRITE:
            assert not people.tries(person, verb, resource, object_).allowed, (person, verb)
    everywhere = collection(STANDING[resource], resource)
    for person in ("engineer", "auditor", NEIGHBOUR):
        for query in ({}, {"watch": "true"}):
            assert not people.ask(person, "GET", everywhere, query=query).allowed
    assert people.tries(NEIGHBOUR, "list", resource, mine).allowed == (resource != "secrets")


@pytest.mark.parametrize("manifest", [POOL, MODEL], ids=["pool", "model"])
def test_m1_only_full_access_changes_pools_and_models(installed: Releases, manifest: str) -> None:
    manifest = manifest.replace("NAME", "tried")
    allowed = {person: does(installed, person, "create", "-f", "-", stdin=manifest) for person in PEOPLE}
    assert allowed == {"owner": True, "engineer": False, "auditor": False}
    changed = {person: does(installed, person, "annotate", "-f", "-", "a=b", stdin=manifest) for person in PEOPLE}
    assert changed == {"owner": True, "engineer": False, "auditor": False}
    deleted = {person: does(installed, person, "delete", "-f", "-", stdin=manifest) for person in reversed(PEOPLE)}
    assert deleted == {"owner": True, "engineer": False, "auditor": False}


def test_m1_common_operations_run_services(installed: Releases) -> None:
    assert not does(installed, "auditor", "create", "-f", "-", stdin=SERVICE)
    assert does(installed, "engineer", "create", "-f", "-", stdin=SERVICE)
    assert does(installed, "engineer", "scale", "msvc", "assistant", "--replicas=2")
    assert not does(installed, "auditor", "scale", "msvc", "assistant", "--replicas=3")
    assert all(does(installed, person, "get", "msvc,rpool,maasmodel") for person in PEOPLE)
    assert not does(installed, "engineer", "get", "msvc", "-n", "kube-system")
    assert does(installed, "engineer", "delete", "-f", "-", stdin=SERVICE)


def test_m1_the_table_has_every_kind() -> None:
    assert {resource.partition("/")[0] for resource in TABLE} == {kind.plural for kind in KINDS} | {"secrets"}


def test_m11_who_reads_logs_and_who_the_engines_own_figures(installed: Releases) -> None:
    assert all(may(installed, person, "get", "pods", "default", "log") for person in PEOPLE)
    allowed = {person: may(installed, person, "get", "pods", "default", "proxy") for person in PEOPLE}
    assert allowed == {"owner": True, "engineer": True, "auditor": False}
    assert not any(may(installed, person, "create", "pods", "default", "proxy") for person in PEOPLE)
    assert not any(may(installed, person, "get", "pods", "kube-system", "proxy") for person in ("engineer", "auditor"))


def test_m11_who_reads_the_exporters_of_a_namespace(installed: Releases) -> None:
    flags = ("--clusterrole=maas-maas-operator-exporter-reader", "--user=engineer", "-n", "kube-system")
    installed.cluster.kubectl("create", "rolebinding", "exporters", *flags)
    try:
        for verb, subresource in (("list", ""), ("get", "proxy")):
            assert may(installed, "engineer", verb, "pods", "kube-system", subresource)
            assert not may(installed, "engineer", verb, "pods", "kube-public", subresource)
        assert not may(installed, "engineer", "get", "pods", "kube-system", "log")
    finally:
        installed.cluster.kubectl("delete", "rolebinding", "exporters", "-n", "kube-system")


def test_m1_a_stranger_sees_nothing(installed: Releases) -> None:
    assert not does(installed, "stranger", "get", "maasmodel")


def _asked() -> Iterator[tuple[str, str, str, str]]:
    for permission in PERMISSIONS:
        for verb in permission.verbs:
            resource, _, subresource = permission.resource.partition("/")
            where = "maas-system" if permission.own_namespace else "any-namespace"
            yield verb, f"{resource}.{permission.group}" if permission.group else resource, where, subresource


@pytest.mark.parametrize(("verb", "resource", "namespace", "subresource"), list(_asked()))
def test_m2_the_operator_may(installed: Releases, verb: str, resource: str, namespace: str, subresource: str) -> None:
    if resource.startswith("leases") and verb != "create":
        resource += "/maas-maas-operator"
    assert may(installed, OPERATOR, verb, resource, namespace, subresource)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("watch", "secrets"),
        ("patch", "secrets"),
        ("update", "secrets"),
        ("deletecollection", "secrets"),
        ("create", "pods"),
        ("update", "pods"),
        ("deletecollection", "pods"),
        ("patch", "nodes"),
        ("delete", "services"),
        ("patch", f"modelservices.{GROUP}"),
        ("delete", f"modelservices.{GROUP}"),
        ("create", "clusterroles.rbac.authorization.k8s.io"),
        ("update", "leases.coordination.k8s.io/someone-elses"),
    ],
)
def test_m2_the_operator_may_not(installed: Releases, verb: str, resource: str) -> None:
    assert not may(installed, OPERATOR, verb, resource, "maas-system")


@pytest.mark.parametrize("part", ["gateway", "ledger"])
def test_the_gateway_and_the_ledger_see_no_secret_and_the_gateway_patches_services_alone(
    installed: Releases, part: str
) -> None:
    """What of a service the gateway may patch, the wake guard says (test_wake_guard.py)."""
    account = f"{OPERATOR}-{part}"
    allowed = {
        (verb, resource): may(installed, account, verb, resource, "default")
        for verb in ("list", "create", "patch", "delete")
        for resource in ("secrets", f"apikeys.{GROUP}", f"modelservices.{GROUP}", "pods")
    }
    of_the_gateway = {
        ("list", f"apikeys.{GROUP}"),
        ("list", f"modelservices.{GROUP}"),
        ("patch", f"modelservices.{GROUP}"),
    }
    expected = of_the_gateway if part == "gateway" else set()
    assert {what for what, yes in allowed.items() if yes} == expected


def test_m16_an_accounts_people_reach_the_ledger_with_their_accounts_token(installed: Releases) -> None:
    proxy = ("get", "services/http:maas-ledger:http", "maas-system", "proxy")
    token = ("create", "serviceaccounts/default", "default", "token")
    assert all(may(installed, "engineer", *what) for what in (proxy, token))
    assert not may(installed, "stranger", *proxy)
    assert not may(installed, "auditor", *token)
    assert not may(installed, "engineer", "create", "serviceaccounts/builder", "default", "token")
