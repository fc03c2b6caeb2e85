"""What services use cannot be deleted, also while the operator is down: the API server itself refuses."""

import json
from collections.abc import Iterator

import pytest

from maas_operator.api.names import ANNOTATION_ALLOW_DELETION
from tests.chart.release import LIMIT, Releases
from tests.cluster import ClusterError
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.api

MODEL = """
apiVersion: maas-operator.io/v1alpha1
kind: Model
metadata: {name: NAME}
spec: {versions: [{name: v1, source: "hf://a/b", contextLength: 4096}]}
"""
POOL = """
apiVersion: maas-operator.io/v1alpha1
kind: ResourcePool
metadata: {name: NAME}
spec: {flavors: [{name: small, cpu: "1", memory: 1Gi}]}
"""
KINDS = {"models.maas-operator.io": ("Model", MODEL), "resourcepools.maas-operator.io": ("ResourcePool", POOL)}


def refused(releases: Releases, *what: str) -> str:
    """What the API server says against a deletion; empty where it would delete."""
    try:
        releases.cluster.kubectl("delete", *what, "--dry-run=server")
    except ClusterError as error:
        return str(error)
    return ""


def make(releases: Releases, resource: str, name: str, services: int, users: list[str]) -> None:
    releases.apply(KINDS[resource][1].replace("NAME", name))
    status = json.dumps({"status": {"services": services, "users": users}})
    releases.cluster.kubectl("patch", resource, name, "--subresource=status", "--type=merge", "-p", status)


@pytest.fixture
def protected(releases: Releases) -> Iterator[Releases]:
    """A cluster with the chart, where a pool in use is known to be protected."""
    releases.install()
    make(releases, "resourcepools.maas-operator.io", "in-use", 1, ["team-a/assistant"])
    wait_until(lambda: refused(releases, "rpool", "in-use"), LIMIT, "the policy to be in force")
    yield releases


@pytest.mark.parametrize("resource", KINDS)
def test_what_is_in_use_is_not_deleted_and_its_users_are_named(protected: Releases, resource: str) -> None:
    kind, _ = KINDS[resource]
    make(protected, resource, "mine", 2, ["team-a/assistant", "team-b/coder"])
    said = refused(protected, resource, "mine")
    assert (
        f"{kind} mine is used by 2 ModelServices: team-a/assistant, team-b/coder. Delete them or move them to " in said
    )
    assert f"another {kind} first" in said
    assert f"kubectl annotate {resource} mine {ANNOTATION_ALLOW_DELETION}=true" in said


def test_one_user_is_spoken_of_as_one(protected: Releases) -> None:
    assert "is used by 1 ModelService: team-a/assistant. " in refused(protected, "rpool", "in-use")


def test_of_many_users_the_first_20_are_named(protected: Releases) -> None:
    users = [f"{'n' * 60}-{number:02}/{'s' * 50}" for number in range(20)]
    make(protected, "models.maas-operator.io", "popular", 1234, users)
    said = refused(protected, "maasmodel", "popular")
    assert f"is used by 1234 ModelServices: {', '.join(users)} and 1214 more. Delete them" in said


@pytest.mark.parametrize("resource", KINDS)
def test_what_is_not_in_use_is_deleted(protected: Releases, resource: str) -> None:
    make(protected, resource, "idle", 0, [])
    protected.apply(KINDS[resource][1].replace("NAME", "without-status"))
    protected.cluster.kubectl("delete", resource, "idle", "without-status")


@pytest.mark.parametrize("resource", KINDS)
def test_who_means_it_says_so_as_the_message_tells(protected: Releases, resource: str) -> None:
    make(protected, resource, "meant", 1, ["team-a/assistant"])
    said = refused(protected, resource, "meant")
    command = said[said.index("kubectl annotate") :].split()
    assert command[:4] == ["kubectl", "annotate", resource, "meant"]
    protected.cluster.kubectl(*command[1:])
    protected.cluster.kubectl("delete", resource, "meant")


def test_another_value_of_the_annotation_does_not_count(protected: Releases) -> None:
    protected.cluster.kubectl("annotate", "rpool", "in-use", f"{ANNOTATION_ALLOW_DELETION}=false")
    assert "is used by" in refused(protected, "rpool", "in-use")


def test_deleting_them_all_leaves_those_in_use(protected: Releases) -> None:
    make(protected, "resourcepools.maas-operator.io", "idle", 0, [])
    with pytest.raises(ClusterError, match="in-use is used by"):
        protected.cluster.kubectl("delete", "--raw", "/apis/maas-operator.io/v1alpha1/resourcepools")
    assert "resourcepool.maas-operator.io/in-use" in protected.names("rpool")


def test_it_can_be_switched_off(protected: Releases) -> None:
    protected.upgrade("--set", "deletionProtection.enabled=false")
    wait_until(lambda: not refused(protected, "rpool", "in-use"), LIMIT, "the policy to go")
