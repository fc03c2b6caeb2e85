"""What the operator may do with Secrets: make and remove those that deliver keys (M22), and touch no others."""

import json
from collections.abc import Iterator

import pytest

from maas_operator.api.names import API_VERSION, KEY_SECRET_TYPE
from tests.chart.helm import Manifest
from tests.chart.release import LIMIT, Releases
from tests.cluster import ClusterError
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.api

OPERATOR = "system:serviceaccount:maas-system:maas-maas-operator"
ITS_OWN = "the operator makes and removes Secrets of type maas-operator.io/api-key that belong to an ApiKey"
BOOTSTRAP = "bootstrap.kubernetes.io/token"
"""Of all Secrets those that open most to whoever may make them."""

KEY = """
apiVersion: maas-operator.io/v1alpha1
kind: ApiKey
metadata: {name: ci, namespace: default}
spec: {tag: ci, description: nightly, delivery: Secret}
"""


def secret(name: str, kind: str = KEY_SECRET_TYPE, owner: str = "ApiKey") -> Manifest:
    by = {"apiVersion": API_VERSION, "kind": owner, "name": "ci", "uid": "7d1c"}
    metadata = {"name": name, "namespace": "default", "ownerReferences": [by]}
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata}


def refused(releases: Releases, *what: str, stdin: Manifest | None = None) -> str:
    """What the API server says against it; empty where it does it."""
    try:
        releases.cluster.kubectl(*what, "-n", "default", f"--as={OPERATOR}", stdin=json.dumps(stdin) if stdin else None)
    except ClusterError as error:
        return str(error)
    return ""


def made(releases: Releases, manifest: Manifest, *flags: str) -> str:
    return refused(releases, "create", "--validate=false", "-f", "-", *flags, stdin=manifest)


@pytest.fixture
def guarded(releases: Releases) -> Iterator[Releases]:
    """The chart, its guard in force, and a Secret of a stranger's."""
    releases.install()
    releases.apply(KEY)
    releases.cluster.kubectl("create", "-n", "default", "secret", "generic", "strangers")
    wait_until(
        lambda: ITS_OWN in made(releases, secret("tried", "Opaque"), "--dry-run=server"), LIMIT, "the guard in force"
    )
    yield releases
    releases.cluster.kubectl("delete", "-n", "default", "secret", "strangers", "--ignore-not-found")


def test_m22_it_makes_and_removes_the_secrets_that_deliver_keys(guarded: Releases) -> None:
    assert made(guarded, secret("ci-1")) == ""
    assert refused(guarded, "delete", "secret", "ci-1", "--wait=false") == ""


@pytest.mark.parametrize(
    "manifest",
    [secret("tried", "Opaque"), secret("tried", BOOTSTRAP), secret("tried", owner="ConfigMap")],
    ids=["opaque", "bootstrap-token", "of-nobody"],
)
def test_m22_it_makes_no_others(guarded: Releases, manifest: Manifest) -> None:
    assert ITS_OWN in made(guarded, manifest)


def test_m22_a_strangers_secret_is_not_removed(guarded: Releases) -> None:
    assert ITS_OWN in refused(guarded, "delete", "secret", "strangers", "--wait=false")
    assert guarded.names("secret", "strangers", "-n", "default")


def test_m22_nobody_else_is_held_to_that(guarded: Releases) -> None:
    guarded.cluster.kubectl("delete", "-n", "default", "secret", "strangers")
    assert not guarded.names("secret", "strangers", "-n", "default")
