"""examples/gitops hangs together: what one file names, another has; and nothing in it is secret or somebody's."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from maas_operator.cli.cluster import WRITER
from tests.gitops import CLUSTERS, GITOPS, OWNERS, ROOT, SECRETS, STEPS, Manifest, files, manifests, of_kind

CHART = yaml.safe_load((ROOT / "charts" / "maas-operator" / "Chart.yaml").read_text())
PLACEHOLDER = "REPLACE"
KNOWN_HOSTS = re.compile(r"(^|\.)example\.com$|^kubernetes\.default\.svc$")


def objects(folder: str) -> list[Manifest]:
    """All objects in the folder's files, those of kustomize left out."""
    found = sorted(file for file in (GITOPS / folder).rglob("*.yaml") if file.name != "kustomization.yaml")
    return [each for file in found for each in manifests(file.read_text()) if "kind" in each]


def named(found: list[Manifest], kind: str) -> dict[str, Manifest]:
    made = {each["metadata"]["name"]: each for each in of_kind(found, kind)}
    assert len(made) == len(of_kind(found, kind)), "an object stands twice"
    return made


FLUX, ARGO = objects("flux/base"), objects("argo-cd/base")


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(GITOPS)))
def test_no_file_names_a_host_that_might_be_somebodys(file: Path) -> None:
    hosts = re.findall(r"(?:[a-z]+://|@)([\w.-]+)", re.sub(r"#.*", "", file.read_text()))
    assert [host for host in hosts if not KNOWN_HOSTS.search(host) and not host.startswith("HuggingFace")] == []
    assert "localhost" not in file.read_text()


def test_every_yaml_file_is_named_by_a_kustomization_or_read_by_a_tool() -> None:
    """One that is not would be written, and applied by nobody."""
    used = {GITOPS / "umbrella" / "Chart.yaml", GITOPS / "umbrella" / "values.yaml", GITOPS / "secrets/sops/.sops.yaml"}
    for file in GITOPS.rglob("kustomization.yaml"):
        said = yaml.safe_load(file.read_text())
        named_there = [
            *said.get("resources", ()),
            *(each["path"] for each in said.get("patches", ()) if "path" in each),
        ]
        named_there += [name for each in said.get("configMapGenerator", ()) for name in each["files"]]
        used |= {file, *(file.parent / name.rpartition("=")[2] for name in named_there)}
    assert set(files()) - used == set()


@pytest.mark.parametrize("step", STEPS)
def test_flux_has_each_step_in_its_turn(step: str) -> None:
    every = named(FLUX, "Kustomization")
    assert set(every) == {f"maas-{each}" for each in STEPS}
    spec = every[f"maas-{step}"]["spec"]
    (source,) = named(FLUX, "GitRepository")
    assert spec["sourceRef"] == {"kind": "GitRepository", "name": source}
    assert (GITOPS / spec["path"] / "kustomization.yaml").exists()
    assert (spec["prune"], spec["wait"]) == (True, True), "what waits for it waits for what it made"
    assert {each["name"].removeprefix("maas-") for each in spec.get("dependsOn", ())} == STEPS[step]


WAVES = {"namespaces": "0", "secrets": "1", "operator": "2", "platform": "3", "team-a-secrets": "4", "team-a": "4"}
"""The accounts' come last, side by side: a wave waits for all that is before it, whose ever it is."""


@pytest.mark.parametrize("step", STEPS)
def test_argo_cd_has_each_step_in_its_wave(step: str) -> None:
    every = named(ARGO, "Application")
    assert set(every) == {f"maas-{each}" for each in STEPS}
    app = every[f"maas-{step}"]
    assert app["metadata"]["annotations"] == {
        "argocd.argoproj.io/compare-options": "ServerSideDiff=true",
        "argocd.argoproj.io/sync-wave": WAVES[step],
    }
    spec = app["spec"]
    assert spec["project"] in named(ARGO, "AppProject")
    assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert spec["syncPolicy"]["syncOptions"] == ["ServerSideApply=true"]
    retry = spec["syncPolicy"]["retry"]
    assert (retry["limit"], retry["refresh"]) == (-1, True), "tries that are used up come back with a commit alone"
    assert "ignoreDifferences" not in spec, "the operator writes no spec"
    if step != "operator":
        assert (GITOPS / spec["source"]["path"] / "kustomization.yaml").exists()


@pytest.mark.parametrize("way", SECRETS)
@pytest.mark.parametrize("owner", OWNERS)
def test_each_folder_of_secrets_has_those_of_one_owner(way: str, owner: str) -> None:
    found = [each for each in objects(f"secrets/{way}/{owner}") if each["kind"] in {"Secret", "ExternalSecret"}]
    assert {each["metadata"]["namespace"] for each in found} == {"maas-system" if owner == "system" else owner}


def test_what_one_account_lacks_holds_back_nobody_else() -> None:
    accounts = {"maas-team-a", "maas-team-a-secrets"}
    awaited = {
        name: {dependency["name"] for dependency in each["spec"].get("dependsOn", ())}
        for name, each in named(FLUX, "Kustomization").items()
    }
    assert {name for name in awaited if awaited[name] & accounts} == {"maas-team-a"}
    waves = {
        name: int(each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
        for name, each in named(ARGO, "Application").items()
    }
    assert {name for name, wave in waves.items() if wave == max(waves.values())} == accounts


def test_argo_cds_project_allows_where_its_applications_come_from_and_go() -> None:
    (project,) = named(ARGO, "AppProject").values()
    for app in named(ARGO, "Application").values():
        sources = app["spec"].get("sources") or [app["spec"]["source"]]
        assert {each["repoURL"] for each in sources} <= set(project["spec"]["sourceRepos"])
        assert app["spec"]["destination"] in project["spec"]["destinations"]


def test_the_chart_is_the_same_and_of_this_version_by_every_way() -> None:
    release = objects("operator/base")
    (repository,), (helm,) = of_kind(release, "OCIRepository"), of_kind(release, "HelmRelease")
    chart, values = named(ARGO, "Application")["maas-operator"]["spec"]["sources"]
    (dependency,) = yaml.safe_load((GITOPS / "umbrella" / "Chart.yaml").read_text())["dependencies"]
    assert repository["spec"]["url"] == f"oci://{chart['repoURL']}/{chart['chart']}"
    assert dependency["repository"] == f"oci://{chart['repoURL']}"
    assert {chart["chart"], dependency["name"]} == {CHART["name"]}
    versions = {repository["spec"]["ref"]["tag"], chart["targetRevision"], dependency["version"]}
    assert versions == {CHART["version"]}
    assert helm["metadata"]["name"] == chart["helm"]["releaseName"], (
        "who goes from one tool to the other has one release"
    )
    assert values["ref"] == "repository"
    for file in chart["helm"]["valueFiles"]:
        assert (GITOPS / file.removeprefix("$repository/")).exists()
    generated = [
        yaml.safe_load((GITOPS / f"operator/{part}/kustomization.yaml").read_text()) for part in ("base", *CLUSTERS)
    ]
    names = {each["name"] for part in generated for each in part["configMapGenerator"]}
    assert {each["name"] for each in helm["spec"]["valuesFrom"]} == names


def test_both_ways_bring_every_secret_that_is_named_with_its_keys() -> None:
    values = yaml.safe_load((GITOPS / "operator/base/values.yaml").read_text())
    gateway = values["gateway"]
    (topic,) = of_kind(objects("team-a/base"), "NotificationTopic")
    wanted: dict[tuple[str, str], set[str]] = {
        ("maas-system", gateway["tls"]["secretName"]): {"tls.crt", "tls.key"},
        ("maas-system", gateway["tokens"]["secretName"]): {"keys.yaml"},
        ("maas-system", values["ledger"]["databaseSecretName"]): {"url"},
    }
    for channel in topic["spec"]["channels"]:
        for reference in (channel["webhook"]["urlFrom"], channel["webhook"]["signingKeyFrom"]):
            wanted.setdefault(("team-a", reference["name"]), set()).add(reference["key"])
    assert {way: _keys(way) for way in SECRETS} == dict.fromkeys(SECRETS, wanted)


def _keys(way: str) -> dict[tuple[str, str], set[str]]:
    """By namespace and name, the keys of each Secret that this folder brings."""
    found: dict[tuple[str, str], set[str]] = {}
    for each in objects(f"secrets/{way}"):
        place = (each["metadata"].get("namespace", ""), each["metadata"].get("name", ""))
        if each["kind"] == "Secret":
            found[place] = set(each["stringData"])
        if each["kind"] == "ExternalSecret":
            template: dict[str, Any] = each["spec"].get("target", {}).get("template", {})
            found[place] = set(template.get("data") or [one["secretKey"] for one in each["spec"]["data"]])
    return found


def test_no_secret_stands_in_git_and_of_a_key_its_hash_alone() -> None:
    secrets = [each for each in objects(".") if each["kind"] == "Secret"]
    assert {value for each in secrets for value in each["stringData"].values()} == {PLACEHOLDER}
    assert not any("data" in each for each in secrets)
    keys = of_kind(objects("team-a"), "ApiKey")
    assert all("sha256" in each["spec"] for each in keys)
    assert [file for file in GITOPS.rglob("*") if file.is_file() and "sk-maas-" in file.read_text()] == []


def test_no_namespace_is_pruned() -> None:
    for each in of_kind(objects("namespaces"), "Namespace"):
        assert each["metadata"]["annotations"] == {
            "kustomize.toolkit.fluxcd.io/prune": "disabled",
            "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
        }


def test_flux_does_not_take_the_command_line_for_kubectl() -> None:
    """Of a field manager whose name begins so Flux takes away what it set, also what Git says nothing of."""
    assert not WRITER.startswith("kubectl")
