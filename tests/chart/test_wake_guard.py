"""What the gateway may change of a ModelService: the annotation that wakes it, and nothing else."""

import json
from collections.abc import Iterator

import pytest

from maas_operator.api.names import ANNOTATION_WAKE
from tests.chart.release import LIMIT, Releases
from tests.cluster import ClusterError
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.api

GATEWAY = "system:serviceaccount:maas-system:maas-maas-operator-gateway"
NO_MORE = f"the gateway sets the annotation {ANNOTATION_WAKE} of a ModelService, and changes nothing else"
AT = "2026-06-01T00:00:00Z"
SERVICE = """
apiVersion: maas-operator.io/v1alpha1
kind: ModelService
metadata: {name: sleeper, namespace: default, labels: {a: b}, annotations: {owner: team-a}}
spec:
  model: {name: tiny}
  resourcePool: pool
  flavor: small
  scaling: {minInstances: 0, maxInstances: 1}
"""


def patched(releases: Releases, patch: dict[str, object], *flags: str) -> str:
    """What the API server says against it; empty where it does it."""
    who = ("-n", "default", f"--as={GATEWAY}", "--type=merge", "-p", json.dumps(patch))
    try:
        releases.cluster.kubectl("patch", "modelservice", "sleeper", *who, *flags)
    except ClusterError as error:
        return str(error)
    return ""


def annotated(name: str, value: str | None) -> dict[str, object]:
    return {"metadata": {"annotations": {name: value}}}


OTHERS: dict[str, dict[str, object]] = {
    "spec": {"spec": {"scaling": {"maxInstances": 9}}},
    "state": {"spec": {"state": "Stopped"}},
    "another-annotation": annotated("maas-operator.io/start-requested-at", AT),
    "an-annotation-changed": annotated("owner", "team-b"),
    "an-annotation-taken": annotated("owner", None),
    "label": {"metadata": {"labels": {"a": "c"}}},
    "label-taken": {"metadata": {"labels": None}},
    "finalizer": {"metadata": {"finalizers": ["example.com/mine"]}},
    "owner": {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}]}},
    "with-the-wish": {**annotated(ANNOTATION_WAKE, AT), "spec": {"qps": 1}},
}


@pytest.fixture
def guarded(releases: Releases) -> Iterator[Releases]:
    """The chart, its guard in force, and a service that sleeps."""
    releases.install()
    releases.apply(SERVICE)
    wait_until(lambda: NO_MORE in patched(releases, OTHERS["spec"], "--dry-run=server"), LIMIT, "the guard in force")
    yield releases
    releases.cluster.kubectl("delete", "-n", "default", "modelservice", "sleeper", "--ignore-not-found")


def test_the_gateway_wakes_a_service_and_changes_nothing_else(guarded: Releases) -> None:
    assert patched(guarded, annotated(ANNOTATION_WAKE, AT)) == ""
    assert patched(guarded, annotated(ANNOTATION_WAKE, "2026-06-01T00:00:30Z")) == ""
    refusals = {name: patched(guarded, patch) for name, patch in OTHERS.items()}
    assert [name for name, said in refusals.items() if NO_MORE not in said] == []
    found = json.loads(guarded.cluster.kubectl("get", "modelservice", "sleeper", "-n", "default", "-o", "json"))
    expected = {"owner": "team-a", ANNOTATION_WAKE: "2026-06-01T00:00:30Z"}
    assert found["metadata"]["annotations"].items() >= expected.items()
    assert found["metadata"]["labels"] == {"a": "b"}


def test_nobody_else_is_held_to_that(guarded: Releases) -> None:
    guarded.cluster.kubectl("label", "modelservice", "sleeper", "-n", "default", "a=c", "--overwrite")
