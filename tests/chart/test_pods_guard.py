"""What the operator may do with pods: delete those of its services' instances (M9), and say which is removed first."""

import json
from collections.abc import Iterator

import pytest

from maas_operator.api.names import ANNOTATION_DELETION_COST, LABEL_MANAGED_BY, LABEL_SERVICE
from maas_operator.decide.identity import labels
from tests.chart.helm import Manifest
from tests.chart.release import LIMIT, Releases
from tests.cluster import ClusterError
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.api

OPERATOR = "system:serviceaccount:maas-system:maas-maas-operator"
NO_OTHERS = "the operator deletes and changes the pods of its own services' instances, and no others"
NO_MORE = f"the operator sets the annotation {ANNOTATION_DELETION_COST} of a pod, and changes nothing else"
OWN = "assistant-0"
OTHERS_PODS = {
    "strangers": {"app": "database"},
    "of-another-operator": labels("assistant") | {LABEL_MANAGED_BY: "Helm"},
    "of-no-service": {LABEL_MANAGED_BY: labels("assistant")[LABEL_MANAGED_BY]},
    "without-labels": {},
}

RESOURCES = {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"cpu": "1", "memory": "1.0Gi"}}
CONTAINER = {"name": "engine", "image": "example.com/engine:1", "resources": RESOURCES}
TOLERATION = {"operator": "Exists", "effect": "NoExecute"}


def pod(name: str, marks: dict[str, str]) -> Manifest:
    """A pod with what the API server writes in another way than it was sent: quantities, and fields left out."""
    volumes = [{"name": "tmp", "emptyDir": {"sizeLimit": "0.5Gi"}}]
    spec = {"containers": [CONTAINER], "volumes": volumes, "tolerations": [TOLERATION]}
    metadata = {"name": name, "namespace": "default", "labels": marks, "annotations": {"owner": "team-a"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def refused(releases: Releases, *what: str) -> str:
    """What the API server says against it; empty where it does it."""
    try:
        releases.cluster.kubectl(*what, "-n", "default", f"--as={OPERATOR}")
    except ClusterError as error:
        return str(error)
    return ""


def patched(releases: Releases, patch: Manifest, *flags: str, name: str = OWN) -> str:
    return refused(releases, "patch", "pod", name, "--type=merge", "-p", json.dumps(patch), *flags)


def deleted(releases: Releases, name: str) -> str:
    return refused(releases, "delete", "pod", name, "--wait=false")


def annotated(name: str, value: str | None) -> Manifest:
    return {"metadata": {"annotations": {name: value}}}


COST = annotated(ANNOTATION_DELETION_COST, "6")
CHANGES: dict[str, Manifest] = {
    "image": {"spec": {"containers": [{**CONTAINER, "image": "example.com/another:1"}]}},
    "deadline": {"spec": {"activeDeadlineSeconds": 1}},
    "toleration": {"spec": {"tolerations": [TOLERATION, {"operator": "Exists"}]}},
    "another-annotation": annotated("example.com/mine", "1"),
    "an-annotation-changed": annotated("owner", "team-b"),
    "an-annotation-taken": annotated("owner", None),
    "label": {"metadata": {"labels": {LABEL_SERVICE: "another"}}},
    "label-added": {"metadata": {"labels": {"a": "b"}}},
    "label-taken": {"metadata": {"labels": {LABEL_SERVICE: None}}},
    "finalizer": {"metadata": {"finalizers": ["example.com/mine"]}},
    "owner": {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}]}},
    "with-the-cost": {**COST, "spec": {"activeDeadlineSeconds": 1}},
}


@pytest.fixture
def guarded(releases: Releases) -> Iterator[Releases]:
    """The chart, its guard in force, an instance of a service, and the pods of others."""
    releases.install()
    for name, marks in {OWN: labels("assistant"), **OTHERS_PODS}.items():
        releases.apply(json.dumps(pod(name, marks)))
    wait_until(
        lambda: NO_MORE in patched(releases, CHANGES["deadline"], "--dry-run=server"), LIMIT, "the guard in force"
    )
    yield releases
    releases.cluster.kubectl("delete", "pod", "-n", "default", "--ignore-not-found", OWN, *OTHERS_PODS)


def test_scale_in_says_which_instance_goes_first_and_changes_nothing_else(guarded: Releases) -> None:
    assert patched(guarded, COST) == ""
    assert patched(guarded, annotated(ANNOTATION_DELETION_COST, "0")) == ""
    refusals = {name: patched(guarded, patch, "--dry-run=server") for name, patch in CHANGES.items()}
    assert [name for name, said in refusals.items() if NO_MORE not in said] == []
    found = guarded.get("pod", OWN, "-n", "default")["metadata"]
    assert found["annotations"].items() >= {"owner": "team-a", ANNOTATION_DELETION_COST: "0"}.items()


def test_m9_a_hung_instance_is_deleted_and_no_other_pod(guarded: Releases) -> None:
    assert deleted(guarded, OWN) == ""
    for name in OTHERS_PODS:
        assert NO_OTHERS in deleted(guarded, name), name
        assert NO_OTHERS in patched(guarded, COST, name=name), name
    left = {f"pod/{name}" for name in OTHERS_PODS}
    wait_until(lambda: set(guarded.names("pod", "-n", "default")) == left, LIMIT, "the hung instance to go")


def test_nobody_else_is_held_to_that(guarded: Releases) -> None:
    guarded.cluster.kubectl("label", "pod", OWN, "-n", "default", "a=b")
    guarded.cluster.kubectl("delete", "pod", "strangers", "-n", "default")
