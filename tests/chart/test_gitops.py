"""examples/gitops' values and umbrella chart, with the real chart and helm."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from sqlalchemy import make_url

from tests.chart.helm import CHART, Helm, HelmError, Manifest
from tests.chart.release import Releases
from tests.cluster import ClusterError
from tests.gitops import CLUSTERS, GITOPS, LAYERS, ROOT, manifests, of_kind
from tests.snippets import snippet

RELEASE = "maas-operator"


def flags(cluster: str) -> list[str]:
    """As both tools put them together: those of every cluster, and over them those of this one."""
    return [f"--values={GITOPS / 'operator' / part / 'values.yaml'}" for part in ("base", cluster)]


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_charts_schema_takes_each_clusters_values(helm: Helm, name: str) -> None:
    assert helm.render(*flags(name), release=RELEASE)
    with pytest.raises(HelmError, match="additional properties"):
        helm.render(*flags(name), "--set", "gatewayy=1", release=RELEASE)


def test_argo_cds_project_allows_what_the_chart_and_the_platform_put_in_no_namespace(helm: Helm) -> None:
    (project,) = manifests((GITOPS / "argo-cd" / "base" / "project.yaml").read_text())
    allowed = {(each["group"], each["kind"]) for each in project["spec"]["clusterResourceWhitelist"]}
    rendered = [each for cluster in CLUSTERS for each in helm.render(*flags(cluster), release=RELEASE)]
    ours = [
        each
        for layer in LAYERS
        for file in sorted((GITOPS / layer).rglob("*.yaml"))
        for each in manifests(file.read_text())
        if each.get("kind") in {"Namespace", "Model", "ResourcePool", "ClusterSecretStore"}
    ]
    assert {_kind(each) for each in [*rendered, *ours] if "namespace" not in each["metadata"]} == allowed


def _kind(manifest: Manifest) -> tuple[str, str]:
    """Group and kind."""
    return manifest["apiVersion"].rpartition("/")[0], manifest["kind"]


def test_the_umbrella_chart_brings_the_operator(helm: Helm, tmp_path: Path) -> None:
    """With its dependency from this checkout instead of a registry."""
    chart = shutil.copytree(GITOPS / "umbrella", tmp_path / "umbrella")
    said = yaml.safe_load((chart / "Chart.yaml").read_text())
    said["dependencies"][0]["repository"] = f"file://{CHART}"
    (chart / "Chart.yaml").write_text(yaml.safe_dump(said))
    helm("dependency", "update", str(chart))
    made = manifests(helm.text(chart=chart, release="platform"))
    (image,) = {
        container["image"]
        for each in made
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "platform-maas-operator"
        for container in each["spec"]["template"]["spec"]["containers"]
    }
    assert image.startswith("registry.example.com/maas-operator:")
    with pytest.raises(HelmError, match="additional properties"):
        helm.text("--set", "maas-operator.gatewayy=1", chart=chart, release="platform")


def chart_of(folder: Path, template: str) -> Path:
    """A chart with this template alone."""
    chart = folder / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "one", "version": "0.1.0"}))
    (chart / "templates" / "one.yaml").write_text(template)
    return chart


def test_the_pages_command_gives_argo_cds_chart_every_health_script(helm: Helm, tmp_path: Path) -> None:
    """With real helm, and a chart that makes of the value what Argo CD's makes of it: a ConfigMap's data."""
    chart = chart_of(tmp_path, "kind: ConfigMap\ndata: {{ toJson .Values.configs.cm }}\n")
    written = "helm upgrade argo-cd argo/argo-cd -n argocd --reuse-values"
    command = snippet(ROOT / "docs" / "gitops.md", "Argo CD", "bash")
    assert written in command
    line = ["bash", "-c", command.replace(written, f"{helm.binary} template argo-cd {chart}")]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    health = GITOPS / "argo-cd" / "health"
    (generator,) = yaml.safe_load((health / "kustomization.yaml").read_text())["configMapGenerator"]
    files = dict(each.split("=") for each in generator["files"])
    assert yaml.safe_load(done.stdout)["data"] == {key: (health / file).read_text() for key, file in files.items()}


def test_the_databases_url_is_read_as_it_was_meant_whatever_the_password(helm: Helm, tmp_path: Path) -> None:
    """External Secrets has the template language of Helm."""
    found = manifests((GITOPS / "secrets/external-secrets/system/secrets.yaml").read_text())
    (url,) = (
        each["spec"]["target"]["template"]["data"]["url"]
        for each in of_kind(found, "ExternalSecret")
        if each["metadata"]["name"] == "ledger-database"
    )
    chart = chart_of(tmp_path, "kind: ConfigMap\ndata:\n{{ range .Values.logins }}- '" + url + "'\n{{ end }}")
    logins = [{"user": "a b+c", "password": "ä b+c"}, {"user": "p@q", "password": "x:/?#[]%20&=''"}]
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({"logins": logins}))
    (made,) = manifests(helm.text(f"--values={tmp_path / 'values.yaml'}", chart=chart))
    read = [make_url(each) for each in made["data"]]
    assert [{"user": each.username, "password": each.password} for each in read] == logins
    assert {(each.host, each.database) for each in read} == {("ledger-db.example.com", "ledger")}


@pytest.mark.api
def test_a_release_that_stands_shows_no_drift(releases: Releases) -> None:
    """What Flux's drift detection asks: applied anew, would an object be another one?"""
    releases.install(*flags("production"), release=RELEASE)
    rendered = releases.helm("get", "manifest", RELEASE, "--namespace=maas-system")
    asked = ("diff", "--server-side", "--field-manager=another", "--force-conflicts", "-f", "-")
    assert releases.cluster.kubectl(*asked, stdin=rendered) == ""
    releases.cluster.kubectl("scale", "deployment/maas-operator", "--namespace=maas-system", "--replicas=7")
    with pytest.raises(ClusterError, match="kubectl diff"):
        releases.cluster.kubectl(*asked, stdin=rendered)
