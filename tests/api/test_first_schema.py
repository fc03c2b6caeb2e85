"""The CRDs are upgraded under objects of the first schema that there was, taken back, and upgraded again."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from maas_operator.api.conditions import ConditionType, condition
from maas_operator.api.kinds import KINDS, Kind
from maas_operator.api.names import GROUP
from tests.api.admission import Admission, Refusal
from tests.api.conftest import CRDS as TODAY
from tests.api.first import CRDS, SINCE, Manifest, Since, objects
from tests.api.operator_process import operator_process
from tests.cluster import Cluster, ClusterError
from tests.cluster.waiting import wait_until
from tests.installation import CHART, NAMESPACE, RELEASE, helm

pytestmark = pytest.mark.api

ACCOUNT = "first"
LIMIT = 30.0
"""Seconds for an API server to go by another schema."""
LATER: dict[str, Manifest] = {
    "ModelService": {"autoStop": {"after": "4h"}},
    "ResourcePool": {"dedicated": True},
    "Model": {"gated": True},
}
"""A field of each kind's spec that the first schema did not know."""
HARMLESS = {"ModelService": {"qps": 7}, "ResourcePool": {"description": "another"}}
"""A change of the spec that no rule speaks of."""
MORE_QPS = [{"op": "add", "path": "/spec/flavors/0/maxQPS", "value": 11}]


class Store:
    """The API server's objects."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.kubectl = cluster.kubectl
        self.admission = Admission(cluster.kubeconfig)

    def knows(self, later: bool) -> bool:
        """Whether all kinds are those with later fields, or all those without."""
        return {self.ask(merged(objects()[kind], fields)) is None for kind, fields in LATER.items()} == {later}

    def ask(self, manifest: Manifest) -> Refusal | None:
        """What is said against a new object like it."""
        (kind,) = (each for each in KINDS if each.kind == manifest["kind"])
        return self.admission.ask(kind, manifest | {"metadata": {"name": "new"}})

    def wait(self, *, later: bool) -> None:
        """Until the API server goes by the schema of today, or of then."""
        wait_until(lambda: self.knows(later), LIMIT, "the API server to take up the definitions")

    def add(self, manifest: Manifest) -> None:
        """Store an object with its status."""
        self.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
        self.kubectl("patch", *self.name(manifest), "--subresource=status", "--type=merge",
                     "-p", json.dumps({"status": manifest["status"]}))  # fmt: skip

    def get(self, manifest: Manifest) -> Manifest:
        found: Manifest = json.loads(self.kubectl("get", *self.name(manifest), "-o", "json"))
        return found

    def patch(self, manifest: Manifest, patch: Any, how: str = "merge") -> None:
        self.kubectl("patch", *self.name(manifest), f"--type={how}", "-p", json.dumps(patch))

    def accepted(self, manifest: Manifest) -> Manifest | None:
        """The condition Accepted, if it speaks of the object as it is."""
        found = self.get(manifest)
        told = condition(found["status"], ConditionType.ACCEPTED)
        return told if told.get("observedGeneration") == found["metadata"]["generation"] else None

    @staticmethod
    def name(manifest: Manifest) -> tuple[str, ...]:
        metadata = manifest["metadata"]
        kind = f"{manifest['kind'].lower()}.{GROUP}"
        return (kind, metadata["name"], *(("-n", metadata["namespace"]) if "namespace" in metadata else ()))

    def assert_equal(self, manifest: Manifest) -> None:
        found = self.get(manifest)
        assert {part: found[part] for part in ("spec", "status")} == {
            part: manifest[part] for part in ("spec", "status")
        }, manifest["metadata"]["name"]


def merged(manifest: Manifest, fields: Manifest) -> Manifest:
    """The object with further fields in its spec."""
    return manifest | {"spec": manifest["spec"] | fields}


def stored() -> list[Manifest]:
    """All that is stored before the upgrade."""
    return [*objects().values(), *(each.applied() for each in SINCE)]


@pytest.fixture(scope="module")
def first_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chart that brings the first definitions as ours brings today's, and nothing else."""
    chart = tmp_path_factory.mktemp("first-chart") / RELEASE
    shutil.copytree(CHART, chart)
    for template in (chart / "templates").glob("[!_]*"):
        if template.name != "crds.yaml":
            template.unlink()
    shutil.copytree(CRDS, chart / "files" / "crds", dirs_exist_ok=True)
    return chart


@pytest.fixture(scope="module")
def store(breakable_cluster: Cluster, first_chart: Path) -> Store:
    """Objects of the first schema, after the chart's upgrade to today's."""
    made = Store(breakable_cluster)
    helm(breakable_cluster, "install", RELEASE, str(first_chart), "-n", NAMESPACE, "--create-namespace", "--wait")
    made.wait(later=False)
    labels = {"example.com/account": "yes", "example.com/tier": "gold"}
    account = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ACCOUNT, "labels": labels}}
    breakable_cluster.kubectl("create", "-f", "-", stdin=json.dumps(account))
    for each in stored():
        made.add(each)
    helm(breakable_cluster, "upgrade", RELEASE, str(CHART), "-n", NAMESPACE)
    made.wait(later=True)
    return made


def test_every_object_reads_as_it_was(store: Store) -> None:
    for each in stored():
        store.assert_equal(each)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_it_is_taken_of_a_user_today_too(store: Store, kind: Kind) -> None:
    assert store.ask(objects()[kind.kind]) is None


@pytest.mark.parametrize("since", SINCE, ids=lambda each: each.name)
def test_what_is_refused_today_stays_where_it_stands_and_is_changed_otherwise(store: Store, since: Since) -> None:
    manifest = since.applied()
    assert since.says in str(store.ask(manifest))
    store.patch(manifest, {"metadata": {"labels": {"example.com/some": "label"}}, "spec": HARMLESS[since.kind]})
    if since.kind == "ModelService":
        store.kubectl("scale", *store.name(manifest), "--replicas=3")
    if since.path.startswith("flavors") and not since.of_several:
        store.patch(manifest, MORE_QPS, "json")
    if since.of_several:
        with pytest.raises(ClusterError, match=since.says):
            store.patch(manifest, MORE_QPS, "json")


def test_the_operator_reads_them(store: Store, tmp_path: Path) -> None:
    with operator_process(store.cluster, tmp_path / "operator.log", "--no-leader-election") as operator:
        operator.wait_ready()
        for manifest in stored():
            what = " ".join(store.name(manifest))
            told = wait_until(partial(store.accepted, manifest), LIMIT, f"{what} to be looked at", operator.tail)
            assert told["reason"] != "Invalid", what
            assert told["status"] == "True" or manifest["metadata"]["name"] != "first", told
        deployed = store.kubectl("get", "deployments", "-n", ACCOUNT, "-o", "name").split()
    assert deployed == [f"deployment.apps/{name}" for name in ("args", "env", "first", "image")]


def test_the_way_back_hides_later_fields_and_a_write_there_loses_them(store: Store, first_chart: Path) -> None:
    """What docs/operating.md says of going back: with today's definitions kept nothing is lost."""
    later = {kind: merged(objects()[kind], fields) for kind, fields in LATER.items()}
    for each in later.values():
        store.patch(each, {"spec": each["spec"]})
    helm(store.cluster, "upgrade", RELEASE, str(first_chart), "-n", NAMESPACE, "--set", "crds.install=false")
    for each in later.values():
        store.patch(each, {"metadata": {"labels": {"example.com/some": "write"}}})
        assert store.get(each)["spec"] == each["spec"]

    helm(store.cluster, "rollback", RELEASE, "1", "-n", NAMESPACE)
    store.wait(later=False)
    for kind in later:
        assert store.get(objects()[kind])["spec"] == objects()[kind]["spec"]
    store.patch(objects()["ModelService"], {"metadata": {"labels": {"example.com/some": "another"}}})

    store.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(TODAY))
    store.wait(later=True)
    for kind in ("Model", "ResourcePool"):
        assert store.get(later[kind])["spec"] == later[kind]["spec"]
    assert store.get(objects()["ModelService"])["spec"] == objects()["ModelService"]["spec"]
