"""How the kinds look through kubectl: names, columns, explanations, scaling."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from maas_operator.api.crd import definition
from maas_operator.api.kinds import KINDS, Kind
from tests.api import test_rules_modelservice, test_rules_resourcepool
from tests.api.admission import Admission
from tests.cluster import Cluster, ClusterError

pytestmark = pytest.mark.api

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


@pytest.fixture
def service(cluster: Cluster) -> Iterator[str]:
    """A ModelService that is really there."""
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(test_rules_modelservice.EXAMPLE))
    yield "assistant"
    cluster.kubectl("delete", "msvc", "assistant")


@each_kind
def test_every_field_is_explained(cluster: Cluster, kind: Kind) -> None:
    name = f"{kind.plural}.maas-operator.io"
    told = " ".join(cluster.kubectl("explain", name).split())
    assert kind.description in told
    for part in ("spec", "status"):
        told = " ".join(cluster.kubectl("explain", f"{name}.{part}").split())
        for field, schema in _schema(kind)["properties"][part]["properties"].items():
            assert f" {field} <" in told
            assert schema["description"] in told


def test_explain_leads_down_to_the_last_field(cluster: Cluster) -> None:
    told = cluster.kubectl("explain", "modelservice.spec.engine.env.value")
    assert "Never put a secret here" in " ".join(told.split())


@each_kind
def test_names_and_category(cluster: Cluster, kind: Kind) -> None:
    for name in (*kind.short, kind.kind.lower(), kind.plural, "maas"):
        cluster.kubectl("get", name)  # fails for a name that nobody knows
    listed = cluster.kubectl("api-resources", "--categories=maas", "-o", "name").split()
    assert f"{kind.plural}.maas-operator.io" in listed


@each_kind
def test_columns(admission: Admission, kind: Kind) -> None:
    columns = [(column["name"], column["type"], column["priority"] > 0) for column in admission.columns(kind)]
    assert columns == [("Name", "string", False), *((c.name, c.type, c.wide) for c in kind.columns)]


def test_a_row_of_a_service(cluster: Cluster, service: str) -> None:
    status = {
        "phase": "Running",
        "model": {"name": "deepseek-r1", "version": "8k"},
        "instances": {"desired": 2, "ready": 2, "summary": "2/2"},
        "autoStop": {"countedSeconds": 0, "stopsAt": "2027-01-31T12:00:00Z"},
    }
    cluster.kubectl(
        "patch", "msvc", service, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
    )
    header, row = (line.split() for line in cluster.kubectl("get", "msvc").splitlines())
    assert header == ["NAME", "MODEL", "VERSION", "POOL", "FLAVOR", "READY", "QPS", "PHASE", "STOPS", "AGE"]
    shown = ["assistant", "deepseek-r1", "8k", "ascend-a", "910b-x2", "2/2", "50", "Running", "2027-01-31T12:00:00Z"]
    assert row[:-1] == shown


def test_m14_a_service_is_scaled_by_kubectl(cluster: Cluster, service: str) -> None:
    cluster.kubectl("scale", "msvc", service, "--replicas=7")
    assert cluster.kubectl("get", "msvc", service, "-o", "jsonpath={.spec.instances}") == "7"
    with pytest.raises(ClusterError, match="less than or equal to 1000"):
        cluster.kubectl("scale", "msvc", service, "--replicas=1001")


def test_the_scale_subresource_shows_pods_and_their_selector(cluster: Cluster, service: str) -> None:
    status = {"status": {"replicas": 2, "selector": "maas-operator.io/service=assistant"}}
    cluster.kubectl("patch", "msvc", service, "--subresource=status", "--type=merge", "-p", json.dumps(status))
    scale = json.loads(cluster.kubectl("get", "msvc", service, "--subresource=scale", "-o", "json"))
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 2, "selector": "maas-operator.io/service=assistant"}


def test_applying_twice_changes_nothing(cluster: Cluster) -> None:
    for example in (test_rules_modelservice.EXAMPLE, test_rules_resourcepool.EXAMPLE):
        manifest = json.dumps(example)
        try:
            cluster.kubectl("apply", "-f", "-", stdin=manifest)
            assert "unchanged" in cluster.kubectl("apply", "-f", "-", stdin=manifest)
            assert cluster.kubectl("diff", "-f", "-", stdin=manifest) == ""
        finally:
            cluster.kubectl("delete", "-f", "-", stdin=manifest)


def _schema(kind: Kind) -> dict[str, Any]:
    schema: dict[str, Any] = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema
