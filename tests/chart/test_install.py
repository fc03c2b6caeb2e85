"""Install, upgrade, uninstall with real helm on a real API server."""

import subprocess
from pathlib import Path

import pytest

from maas_operator.api.kinds import KINDS
from tests.chart.helm import CHART, HelmError, values_of
from tests.chart.release import SERVICE, Releases
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.api

CRDS = sorted(f"customresourcedefinition.apiextensions.k8s.io/{kind.plural}.maas-operator.io" for kind in KINDS)
ROOT = CHART.parents[1]
CRD_REMOVAL_LIMIT = 180.0  # the API server tries again ever more seldom while a CRD is young
RESTRICTED = """
apiVersion: v1
kind: Namespace
metadata: {name: locked-up, labels: {pod-security.kubernetes.io/enforce: restricted}}
"""


def test_installs_in_a_namespace_of_any_name(releases: Releases) -> None:
    notes = releases.install(release="7.odd-name", namespace="0-namespace-of-any-name-9")
    assert releases.names("crd") == CRDS
    deployment = releases.get("deployment", "maas-operator-7-odd-name", "-n", "0-namespace-of-any-name-9")
    assert deployment["spec"]["replicas"] == 2
    assert "kubectl rollout status deployment/maas-operator-7-odd-name -n 0-namespace-of-any-name-9" in notes
    assert "kubectl maas auth grant common-operations" in notes


def test_what_the_notes_say_to_type_works(releases: Releases) -> None:
    notes = releases.install()
    typed = [line.split() for line in notes.splitlines() if line.startswith(("  kubectl explain", "  kubectl get"))]
    assert len(typed) == 4
    for _, *arguments in typed:
        releases.cluster.kubectl(*arguments)


def test_everything_on_is_accepted_but_for_what_needs_other_operators(releases: Releases) -> None:
    flags = ["--values", str(values_of("everything-on")), "--set", "crds.keep=true"]
    no_monitor, no_certificate = "metrics.serviceMonitor.enabled=false", "gateway.tls.certManager.enabled=false"
    releases.install(*flags, "--set", f"{no_monitor},{no_certificate}")
    with pytest.raises(HelmError, match='no matches for kind "ServiceMonitor"'):
        releases.upgrade(*flags, "--set", no_certificate)
    with pytest.raises(HelmError, match='no matches for kind "Certificate"'):
        releases.upgrade(*flags, "--set", no_monitor)


def test_the_pods_pass_the_restricted_pod_security_standard(releases: Releases) -> None:
    releases.apply(RESTRICTED)
    releases.install(namespace="locked-up")
    for name in ("maas-maas-operator", "maas-maas-operator-gateway", "maas-maas-operator-ledger"):
        template = releases.get("deployment", name, "-n", "locked-up")["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "locked-up"},
            "spec": template["spec"],
        }
        releases.create(pod)
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(Exception, match="violates PodSecurity"):
        releases.create(pod)


def test_applying_the_same_chart_twice_changes_nothing(releases: Releases) -> None:
    releases.install()
    before = releases.generations()
    releases.upgrade()
    assert releases.generations() == before


def test_upgrade_with_other_values(releases: Releases) -> None:
    releases.install()
    guards = (
        "deletionProtection",
        "secretsGuard",
        "podsGuard",
        "accessRules",
        "gateway.wakeGuard",
        "gateway.portsGuard",
    )
    without_guards = ",".join(f"{guard}.enabled=false" for guard in guards)
    releases.upgrade("--set", f"replicas=3,settings.drainSeconds=60,{without_guards}")
    assert releases.get("deployment", "maas-maas-operator", "-n", "maas-system")["spec"]["replicas"] == 3
    assert "drainSeconds: 60" in str(
        releases.get("configmap", "maas-maas-operator-settings", "-n", "maas-system")["data"]
    )
    assert not releases.names("validatingadmissionpolicies", "-l", "app.kubernetes.io/instance=maas")


def test_upgrade_from_the_chart_before_this_one(releases: Releases, tmp_path: Path) -> None:
    """The last commit whose chart differs: its release takes this chart, and keeps what users made."""
    before = _chart_before(tmp_path)
    releases.install(chart=before)
    releases.apply(SERVICE)
    uid = releases.get("msvc", "assistant")["metadata"]["uid"]
    releases.upgrade()
    assert releases.names("crd") == CRDS
    assert releases.get("msvc", "assistant")["metadata"]["uid"] == uid


def test_uninstall_leaves_crds_and_services_and_the_next_install_takes_them_on(releases: Releases) -> None:
    releases.install()
    releases.apply(SERVICE)
    uid = releases.get("msvc", "assistant")["metadata"]["uid"]
    assert "kept due to the resource policy" in releases.uninstall()
    assert releases.names("crd") == CRDS
    assert not releases.names(
        "deployment,service,configmap", "-n", "maas-system", "-l", "app.kubernetes.io/instance=maas"
    )
    assert not releases.names("clusterrole,validatingadmissionpolicies", "-l", "app.kubernetes.io/instance=maas")
    releases.install()
    assert releases.get("msvc", "assistant")["metadata"]["uid"] == uid


def test_crds_that_another_release_left_are_taken_over_on_request(releases: Releases) -> None:
    releases.install()
    releases.uninstall()
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        releases.install(release="other", namespace="elsewhere")
    releases.install("--take-ownership", release="another", namespace="elsewhere")
    owner = releases.get("crd", "models.maas-operator.io")["metadata"]["annotations"]
    assert owner["meta.helm.sh/release-name"] == "another"


def test_uninstall_removes_the_crds_when_they_are_not_to_be_kept(releases: Releases) -> None:
    notes = releases.install("--set", "crds.keep=false")
    assert "will delete every model, pool, service and key" in notes
    releases.cluster.kubectl("get", "maas", "-A")
    releases.uninstall()
    wait_until(lambda: not releases.names("crd"), CRD_REMOVAL_LIMIT, "the CRDs to go")


def test_a_second_release_is_refused_and_told_of_the_first(releases: Releases) -> None:
    releases.install()
    with pytest.raises(HelmError) as refused:
        releases.install(release="second", namespace="elsewhere")
    assert "this cluster has a maas-operator already, and one serves the whole cluster" in str(refused.value)
    assert "helm upgrade maas -n maas-system" in str(refused.value)
    assert not releases.names("deployment", "-n", "elsewhere")


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)


def _chart_before(folder: Path) -> Path:
    """The chart of the last commit in which it was another than now."""
    name = str(CHART.relative_to(ROOT))
    commits = _git("log", "--format=%H", "--", name).stdout.decode().split()
    for commit in commits:
        has_chart = _git("cat-file", "-e", f"{commit}:{name}/Chart.yaml").returncode == 0
        if has_chart and _git("diff", "--quiet", commit, "--", name).returncode == 1:
            archive = _git("archive", commit, name)
            subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
            return folder / name
    return pytest.skip("no commit has a chart that differs from this one: there is nothing to upgrade from")
