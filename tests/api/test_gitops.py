"""examples/gitops as a real kustomize builds it, on a real API server."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from maas_operator.api.kinds import KINDS
from maas_operator.api.names import GROUP
from maas_operator.api.seen import ServiceSeen
from maas_operator.decide.acceptance import Plan, accept
from maas_operator.decide.fit import fit
from tests.api.published import definitions
from tests.cluster import Cluster, ClusterError
from tests.gitops import CLUSTERS, GITOPS, LAYERS, STEPS, folders, manifests, of_kind
from tests.snippets import snippet

pytestmark = pytest.mark.api
TOOLS = ("operator", "secrets", "flux", "argo-cd")
"""Folders with kinds of other makers."""
NAMESPACES = ("argocd", "flux-system", "maas-system", "team-a")


SOMEBODYS = """
apiVersion: maas-operator.io/v1alpha1
kind: ModelService
metadata: {name: somebodys}
spec: {model: {name: tiny}, resourcePool: cpu, flavor: small}
"""
"""Of no repository."""


def built(cluster: Cluster, folder: str) -> str:
    return cluster.kubectl("kustomize", str(GITOPS / folder))


@pytest.fixture(scope="module")
def with_namespaces(cluster: Cluster) -> Cluster:
    """The cluster, with the namespaces that the examples write into."""
    for name in NAMESPACES:
        if not cluster.kubectl("get", "namespace", name, "--ignore-not-found", "-o", "name"):
            cluster.kubectl("create", "namespace", name)
    return cluster


@pytest.fixture(scope="module")
def with_tools_kinds(with_namespaces: Cluster) -> Iterator[Cluster]:
    """And with the kinds of Flux, Argo CD and External Secrets, without their controllers."""
    names = [f"--filename={file}" for file in definitions()]
    with_namespaces.kubectl("apply", "--server-side", *names)
    with_namespaces.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    yield with_namespaces
    with_namespaces.kubectl("delete", "--wait=false", *names)


@pytest.mark.parametrize("folder", folders(*(layer for layer in LAYERS if layer not in TOOLS)))
def test_the_api_server_takes_each_layer(with_namespaces: Cluster, folder: str) -> None:
    text = built(with_namespaces, folder)
    with_namespaces.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)


@pytest.mark.parametrize("folder", folders(*TOOLS))
def test_flux_argo_cd_and_external_secrets_take_what_is_written_for_them(
    with_tools_kinds: Cluster, folder: str
) -> None:
    text = built(with_tools_kinds, folder)
    with_tools_kinds.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)


def test_a_field_that_flux_does_not_know_would_be_found(with_tools_kinds: Cluster) -> None:
    text = built(with_tools_kinds, "flux/staging").replace("retryInterval", "retryIntervall")
    with pytest.raises(ClusterError, match="retryIntervall"):
        with_tools_kinds.kubectl(
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text
        )


@pytest.mark.parametrize("name", CLUSTERS)
def test_each_clusters_services_are_accepted_by_the_operator(cluster: Cluster, name: str) -> None:
    layers = ("namespaces", f"platform/{name}", f"team-a/{name}")
    found = [each for layer in layers for each in manifests(built(cluster, layer))]
    there = {(each["kind"], each["metadata"]["name"]): each for each in found}
    services = of_kind(there.values(), "ModelService")
    assert services
    for service in services:
        account, spec = service["metadata"]["namespace"], service["spec"]
        seen = ServiceSeen(
            service=service | {"metadata": {"uid": "0a1b", "generation": 1, **service["metadata"]}},
            model=there["Model", spec["model"]["name"]],
            pool=there["ResourcePool", spec["resourcePool"]],
            namespace_labels=there["Namespace", account]["metadata"]["labels"],
            children={},
            pods=[],
            nodes=[],
            priority=None,
        )
        plan = accept(seen)
        assert isinstance(plan, Plan), plan
        assert fit(plan.version, plan.flavor, plan.accelerator, plan.spec.engine).fits
        topic = spec.get("notifications", {}).get("topic")
        assert topic is None or ("NotificationTopic", topic) in there


@pytest.mark.parametrize("name", CLUSTERS)
def test_applied_a_second_time_there_is_no_difference(with_namespaces: Cluster, name: str) -> None:
    """Neither by server-side apply nor by kubectl's own, nor after a status was written."""
    text = "---\n".join(built(with_namespaces, f"{layer}/{name}") for layer in ("platform", "team-a"))
    with_namespaces.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    try:
        for each in manifests(text):
            status = {"status": {"observedGeneration": 1}}
            where = ["-n", each["metadata"].get("namespace", "default")]
            kind = f"{each['kind'].lower()}.{GROUP}"
            with_namespaces.kubectl(
                "patch",
                kind,
                each["metadata"]["name"],
                *where,
                "--subresource=status",
                "--type=merge",
                "-p",
                json.dumps(status),
            )
        assert with_namespaces.kubectl("diff", "--server-side", "-f", "-", stdin=text) == ""
        with_namespaces.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    finally:
        with_namespaces.kubectl("delete", "--wait=false", "-f", "-", stdin=text)


def test_what_has_left_the_folder_is_pruned_and_nothing_else(with_namespaces: Cluster, tmp_path: Path) -> None:
    """By the commands of docs/gitops.md."""
    copy = shutil.copytree(GITOPS, tmp_path / "gitops")
    script = snippet(GITOPS.parents[1] / "docs" / "gitops.md", "kubectl alone", "bash")
    path = f"{with_namespaces.binary('kubectl').parent}:{os.environ['PATH']}"
    environment = os.environ | {"KUBECONFIG": str(with_namespaces.kubeconfig), "PATH": path}

    def run(command: str) -> str:
        line = ["bash", "-c", command]
        done = subprocess.run(line, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        assert not done.stderr, done.stderr
        return done.stdout

    def services() -> list[str]:
        listed = with_namespaces.kubectl("get", "msvc", "-n", "team-a", "-o", "name").split()
        return [name.partition("/")[2] for name in listed]

    try:
        with_namespaces.kubectl("create", "-n", "team-a", "-f", "-", stdin=SOMEBODYS)
        for _ in range(2):
            assert "pruned" not in run(script)
        assert services() == ["assistant", "batch", "somebodys"]
        lines = run("kubectl diff --server-side --force-conflicts -k team-a/staging").splitlines()
        changed = [line for line in lines if line.startswith(("-", "+")) and not line.startswith(("---", "+++"))]
        assert [
            line for line in changed if "labels:" not in line and "applyset.kubernetes.io/part-of" not in line
        ] == []
        file = copy / "team-a" / "base" / "services.yaml"
        file.write_text(file.read_text().rpartition("---")[0])
        assert "batch pruned" in run(script)
        assert services() == ["assistant", "somebodys"]
    finally:
        for layer, namespace in (("platform", "maas-system"), ("team-a", "team-a")):
            text = with_namespaces.kubectl("kustomize", str(copy / layer / "staging"))
            with_namespaces.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", stdin=text)
            with_namespaces.kubectl("delete", "configmap", f"maas-{layer}", "-n", namespace, "--ignore-not-found")
        with_namespaces.kubectl("delete", "msvc", "--all", "-n", "team-a")


ARGO_CD = """
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm}
data: {kept: as it was}
"""


def test_the_health_scripts_are_merged_into_argo_cds_config_map(cluster: Cluster, tmp_path: Path) -> None:
    """As its makers publish it: a ConfigMap that names no namespace, put into one by the kustomization."""
    component = shutil.copytree(GITOPS / "argo-cd" / "health", tmp_path / "health")
    (tmp_path / "install.yaml").write_text(ARGO_CD)
    kustomization = {"namespace": "argocd", "resources": ["install.yaml"], "components": [component.name]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    (made,) = manifests(cluster.kubectl("kustomize", str(tmp_path)))
    assert made["metadata"] == {"name": "argocd-cm", "namespace": "argocd"}
    scripts = {key.rpartition("_")[2]: text for key, text in made["data"].items() if key != "kept"}
    assert set(scripts) == {*(kind.kind for kind in KINDS), "Application"}
    assert {scripts[kind.kind] for kind in KINDS} == {(component / "health.lua").read_text()}


@pytest.mark.parametrize("name", CLUSTERS)
def test_flux_gets_the_health_expressions_in_every_kustomization(cluster: Cluster, name: str) -> None:
    made = of_kind(manifests(built(cluster, f"flux/{name}")), "Kustomization")
    assert {each["metadata"]["name"] for each in made} == {f"maas-{step}" for step in STEPS}
    for each in made:
        assert {check["kind"] for check in each["spec"]["healthCheckExprs"]} == {kind.kind for kind in KINDS}


@pytest.mark.parametrize("name", CLUSTERS)
def test_each_clusters_tools_read_folders_that_are_there_all_of_one_revision(cluster: Cluster, name: str) -> None:
    """What base says, patched: a step that a patch forgets would follow another branch, or stay encrypted."""
    steps = of_kind(manifests(built(cluster, f"flux/{name}")), "Kustomization")
    apps = of_kind(manifests(built(cluster, f"argo-cd/{name}")), "Application")
    sources = [source for app in apps for source in app["spec"].get("sources", [app["spec"].get("source")])]
    paths = [step["spec"]["path"] for step in steps] + [each["path"] for each in sources if "path" in each]
    assert len(paths) == 2 * len(STEPS) - 1, "all but the chart"
    assert [path for path in paths if not (GITOPS / path / "kustomization.yaml").exists()] == []
    assert len({each["targetRevision"] for each in sources if "chart" not in each}) == 1
    for step in steps:
        assert ("decryption" in step["spec"]) == ("/sops/" in step["spec"]["path"]), step["metadata"]["name"]


def test_kstatus_takes_no_new_object_for_done(with_namespaces: Cluster) -> None:
    """An object without a status would pass for Current, with Helm's --wait for example."""
    found = [
        *manifests(built(with_namespaces, "platform/staging")),
        *manifests(built(with_namespaces, "team-a/staging")),
    ]
    assert {each["kind"] for each in found} == {kind.kind for kind in KINDS}
    for each in found:
        made = with_namespaces.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(each))
        assert json.loads(made)["status"] == {"observedGeneration": -1}, each["kind"]
