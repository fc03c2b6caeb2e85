"""M2 on a real API server: `kubectl maas auth` believes nothing that a tenant may write."""

import json
from collections.abc import Iterator

import pytest

from tests.chart.auth import OPERATOR, SEEN_SECONDS, maas, may
from tests.chart.release import Releases
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.api


@pytest.fixture
def forged(installed: Releases) -> Iterator[None]:
    """What somebody may make who may make Deployments in team-a: one that calls itself the operator."""
    kubectl, here = installed.cluster.kubectl, ("-n", "team-a")
    kubectl("create", "role", "deployer", "--verb=create", "--resource=deployments.apps", *here)
    kubectl("create", "rolebinding", "deployer", "--role=deployer", "--user=tenant", *here)
    labels = {"app.kubernetes.io/name": "maas-operator", "app.kubernetes.io/instance": "maas"}
    pod = {
        "serviceAccountName": "default",
        "containers": [{"name": "operator", "image": "example.com/none:1"}],
        "volumes": [{"name": "settings", "emptyDir": {}}],
    }
    forgery = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "forged", "namespace": "team-a", "labels": labels},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    wait_until(lambda: may(installed, "tenant", "create", "deployments.apps", "team-a"), SEEN_SECONDS, "the tenant")
    kubectl("create", "-f", "-", "--as=tenant", stdin=json.dumps(forgery))
    yield
    kubectl("delete", "deployment/forged", "rolebinding/deployer", "role/deployer", *here)


def test_m2_what_a_tenant_calls_the_operator_is_granted_nothing(
    installed: Releases, taken: None, forged: None, nothing_granted: None
) -> None:
    said = maas(installed, "auth", "check")
    assert "Deployment team-a/forged has the labels of maas-operator, outside of its namespace" in said.err
    assert "2 of the" in said.err
    assert "team-a" not in said.out + maas(installed, "auth", "check", "--manifest").out
    for refused in (("check", "-n", "team-a"), ("grant", "operator", "--yes", "-n", "team-a")):
        said = maas(installed, "auth", *refused)
        assert (said.code, "the release is in namespace maas-system" in said.err) == (1, True)
    said = maas(installed, "auth", "grant", "operator", "--yes", "-n", "maas-system")
    assert (said.code, said.err.count(" made\n")) == (0, 4), said
    bindings = installed.get(
        "clusterrolebindings,rolebindings", "-A", "-l", "app.kubernetes.io/managed-by=kubectl-maas"
    )
    whom = [subject["namespace"] for each in bindings["items"] for subject in each["subjects"]]
    assert whom == ["maas-system", "maas-system"]


def test_m2_the_releases_namespace_is_named_where_no_cluster_role_says_it(installed: Releases) -> None:
    kubectl = installed.cluster.kubectl
    keys = ("maas-operator.io/release-namespace", "meta.helm.sh/release-namespace")
    roles = installed.names("clusterroles", "-l", "app.kubernetes.io/name=maas-operator")
    kubectl("annotate", *roles, *(f"{key}-" for key in keys))
    try:
        said = maas(installed, "auth", "check")
        assert (said.code, "name its namespace by -n" in said.err) == (1, True)
        assert maas(installed, "auth", "check", "-n", "maas-system").code == 0
        said = maas(installed, "auth", "grant", "common-operations", "--user=ann", "-n", "team-a")
        assert (said.code, "upgrade the release" in said.err) == (1, True)
        assert "not installed in namespace team-b" in maas(installed, "auth", "check", "-n", "team-b").err
    finally:
        kubectl("annotate", *roles, f"{keys[1]}=maas-system")
    assert maas(installed, "auth", "check").code == 0, "Helm's own annotation does, too"
    kubectl("annotate", f"clusterrole/{OPERATOR}", f"{keys[0]}=maas-system")


def test_m2_a_role_of_a_tenant_does_not_pass_for_the_way_to_the_ledger(
    installed: Releases, nothing_granted: None
) -> None:
    kubectl, users, here = installed.cluster.kubectl, f"{OPERATOR}-ledger-users", ("-n", "a-team")
    installed.apply("{apiVersion: v1, kind: Namespace, metadata: {name: a-team}}")
    kubectl("create", "role", users, "--verb=get", "--resource=configmaps", *here)
    kubectl("label", "role", users, "app.kubernetes.io/name=maas-ledger", *here)
    try:
        assert maas(installed, "auth", "grant", "common-operations", "--user=ann", "-n", "team-a").code == 0
        listed = maas(installed, "auth", "list", "-A").out
        assert f"RoleBinding maas-system/{users}" in listed
        assert "a-team" not in listed
        assert maas(installed, "auth", "revoke", "--user=ann", "-n", "team-a", "--yes").code == 0
        made = ("-A", "-l", "app.kubernetes.io/managed-by=kubectl-maas")
        assert installed.names("clusterrolebindings,rolebindings", *made) == []
    finally:
        kubectl("delete", "namespace", "a-team", "--wait=false")
