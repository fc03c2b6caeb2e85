"""M1 and M2 on a real API server: who may do what, once the chart is installed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from maas_operator.api.kinds import KINDS
from maas_operator.api.names import GROUP
from maas_operator.api.permissions import PERMISSIONS
from tests.chart.helm import Helm
from tests.chart.release import SERVICE, Releases
from tests.chart.test_deletion_protection import MODEL, POOL
from tests.cluster import Cluster, ClusterError

pytestmark = pytest.mark.api

OPERATOR = "system:serviceaccount:maas-system:maas-maas-operator"
PEOPLE = {"owner": "full-access", "engineer": "common-operations", "auditor": "viewer"}


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


def may(releases: Releases, user: str, verb: str, resource: str, *flags: str) -> bool:
    """What `kubectl auth can-i` says."""
    try:
        answer = releases.cluster.kubectl("auth", "can-i", verb, resource, f"--as={user}", *flags)
    except ClusterError:
        return False
    return answer.strip() == "yes"


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


@pytest.mark.parametrize("person", PEOPLE)
def test_m1_nobody_writes_status(installed: Releases, person: str) -> None:
    for kind in KINDS:
        assert not may(installed, person, "patch", f"{kind.plural}.{GROUP}", "--subresource=status", "-n", "default")


def test_m1_a_stranger_sees_nothing(installed: Releases) -> None:
    assert not does(installed, "stranger", "get", "maasmodel")


def _asked() -> Iterator[tuple[str, str, str]]:
    for permission in PERMISSIONS:
        for verb in permission.verbs:
            resource, _, subresource = permission.resource.partition("/")
            where = "maas-system" if permission.own_namespace else "any-namespace"
            flags = f"-n {where}" + (f" --subresource={subresource}" if subresource else "")
            yield verb, f"{resource}.{permission.group}" if permission.group else resource, flags


@pytest.mark.parametrize(("verb", "resource", "flags"), list(_asked()))
def test_m2_the_operator_may(installed: Releases, verb: str, resource: str, flags: str) -> None:
    if resource.startswith("leases") and verb != "create":
        resource += "/maas-maas-operator"
    assert may(installed, OPERATOR, verb, resource, *flags.split())


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("watch", "secrets"),
        ("patch", "secrets"),
        ("update", "secrets"),
        ("deletecollection", "secrets"),
        ("delete", "pods"),
        ("create", "pods"),
        ("patch", "nodes"),
        ("delete", "services"),
        ("patch", f"modelservices.{GROUP}"),
        ("delete", f"modelservices.{GROUP}"),
        ("create", "clusterroles.rbac.authorization.k8s.io"),
        ("update", "leases.coordination.k8s.io/someone-elses"),
    ],
)
def test_m2_the_operator_may_not(installed: Releases, verb: str, resource: str) -> None:
    assert not may(installed, OPERATOR, verb, resource, "-n", "maas-system")


@pytest.mark.parametrize("part", ["gateway", "ledger"])
def test_the_gateway_and_the_ledger_see_no_secret_and_write_nothing(installed: Releases, part: str) -> None:
    account = f"{OPERATOR}-{part}"
    allowed = {
        (verb, resource): may(installed, account, verb, resource, "-n", "default")
        for verb in ("list", "create", "patch", "delete")
        for resource in ("secrets", f"apikeys.{GROUP}", f"modelservices.{GROUP}", "pods")
    }
    seen = {("list", f"apikeys.{GROUP}"), ("list", f"modelservices.{GROUP}")} if part == "gateway" else set()
    assert {what for what, yes in allowed.items() if yes} == seen


def test_m16_an_accounts_people_reach_the_ledger_with_their_accounts_token(installed: Releases) -> None:
    proxy = ("get", "services/http:maas-ledger:http", "--subresource=proxy", "-n", "maas-system")
    token = ("create", "serviceaccounts/default", "--subresource=token", "-n", "default")
    assert all(may(installed, "engineer", *what) for what in (proxy, token))
    assert not may(installed, "stranger", *proxy)
    assert not may(installed, "auditor", *token)
    assert not may(installed, "engineer", "create", "serviceaccounts/builder", "--subresource=token", "-n", "default")
