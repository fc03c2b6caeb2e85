"""M4, M6: the chart brings the catalogue, keeps what users changed, and is told by value what to bring."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.conftest import NUMBER
from tests.chart.helm import CATALOGUE, CHART, Helm, HelmError, Manifest, of_kind, the
from tests.chart.release import Releases
from tests.cluster import Cluster
from tests.processes import CHECKOUT

FILES = {path.name: path.read_text() for path in sorted((CHART / "files" / "catalogue").iterdir())}
NAMES = {name.removesuffix(".yaml") for name in FILES}
JOB_SECONDS = 60.0
PRINTED = 10
"""Times; without the order, seldom twice alike."""


def brought(helm: Helm, *flags: str) -> dict[str, str]:
    """The files, by the names of their Models."""
    data: dict[str, str] | None = the(helm.render(*flags), "ConfigMap", part=CATALOGUE)["data"]
    named = {f"{yaml.safe_load(text)['metadata']['name']}.yaml": text for text in (data or {}).values()}
    assert len(named) == len(data or {})
    return named


def changed(helm: Helm, **values: Any) -> dict[str, Manifest]:
    """The Models of a catalogue with these values, read."""
    flags = [part for name, value in values.items() for part in ("--set-json", f"catalogue.{name}={json.dumps(value)}")]
    return {name.removesuffix(".yaml"): yaml.safe_load(text) for name, text in brought(helm, *flags).items()}


def job(helm: Helm, *flags: str) -> str:
    return str(the(helm.render(*flags), "Job", part=CATALOGUE)["metadata"]["name"])


def test_m4_all_models_are_brought_word_for_word(helm: Helm) -> None:
    assert brought(helm) == {name: text.rstrip("\n") for name, text in FILES.items()}
    for name, text in FILES.items():
        assert yaml.safe_load(text)["metadata"]["name"] == name.removesuffix(".yaml")


def test_kubectl_prints_the_files_in_one_order(helm: Helm) -> None:
    """As `kubectl diff` has to: what it sorts by is no order where a number is followed by a letter, 72b < 7b < 14b."""
    config = json.dumps(the(helm.render(), "ConfigMap", part=CATALOGUE))
    command = [str(Cluster(NUMBER).binary("kubectl")), "label", "--local", "--filename=-", "--output=yaml", "a=b"]
    printed = {
        subprocess.run(command, input=config, capture_output=True, text=True, check=True).stdout for _ in range(PRINTED)
    }
    assert len(printed) == 1
    assert "qwen2.5-7_b-instruct.yaml" in printed.pop()


def test_the_job_reads_what_the_configmap_has(helm: Helm) -> None:
    pod = the(helm.render(), "Job", part=CATALOGUE)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,) = (each for each in container["volumeMounts"] if each["name"] == "models")
    assert container["args"][:2] == ["catalogue", f"--models={mount['mountPath']}"]
    (volume,) = (each for each in pod["volumes"] if each["name"] == "models")
    assert volume["configMap"]["name"] == the(helm.render(), "ConfigMap", part=CATALOGUE)["metadata"]["name"]


def test_a_job_is_made_anew_when_something_of_it_changes_and_only_then(helm: Helm) -> None:
    assert job(helm) == job(helm, "--set", "replicas=3,settings.drainSeconds=60")
    different = [
        job(helm, *flags)
        for flags in (
            (),
            ("--set", "catalogue.exclude={qwq-32b}"),
            ("--set", "image.tag=v2"),
            ("--set", "podLabels.a=b"),
            ("--set", "nodeSelector.a=b"),
        )
    ]
    assert len(set(different)) == len(different)
    long = the(helm.render(release="a" * 53), "Job", part=CATALOGUE)["metadata"]["name"]
    assert len(long) <= 63, "its pods carry its name as a label"


def test_the_catalogue_can_be_left_out(helm: Helm) -> None:
    manifests = helm.render("--set", "catalogue.enabled=false")
    assert not [each for each in manifests if each["metadata"]["labels"]["app.kubernetes.io/name"] == CATALOGUE]
    assert of_kind(manifests, "CustomResourceDefinition")


def test_models_are_chosen_by_name(helm: Helm) -> None:
    assert set(changed(helm, include=["qwq-32b", "qwen3-8b"])) == {"qwq-32b", "qwen3-8b"}
    assert set(changed(helm, exclude=["qwq-32b"])) == NAMES - {"qwq-32b"}
    assert set(changed(helm, include=["qwq-32b", "qwen3-8b"], exclude=["qwq-32b"])) == {"qwen3-8b"}


@pytest.mark.parametrize("value", ["include", "exclude"])
def test_a_name_that_is_none_is_refused_with_those_that_there_are(helm: Helm, value: str) -> None:
    with pytest.raises(HelmError, match=r"there is no model qwen3-9b; there are .*qwen3-8b"):
        helm.render("--set", f"catalogue.{value}={{qwen3-9b}}")
    with pytest.raises(HelmError, match=r"the chart brings no model qwen3-9b .*: to add one, say all of it in spec"):
        helm.render("--set", "catalogue.models.qwen3-9b.source=pvc://weights")


def test_a_mirror_is_named_once_for_all_versions(helm: Helm) -> None:
    model = changed(helm, models={"deepseek-v3": {"source": "pvc://weights/v3"}})["deepseek-v3"]
    assert [version["source"] for version in model["spec"]["versions"]] == ["pvc://weights/v3"] * 4
    assert model["spec"]["versions"][0]["architecture"]["parameters"] == 671026419200
    assert isinstance(model["spec"]["versions"][0]["architecture"]["parameters"], int), "no 6.7e+11"


def test_versions_are_changed_by_name_and_a_new_one_is_the_newest(helm: Helm) -> None:
    versions = [{"name": "4k", "args": ["--a"]}, {"name": "128k", "source": "hf://a/b", "contextLength": 131072}]
    own = {"spec": {"license": "reviewed", "versions": versions}}
    spec = changed(helm, models={"llama-3.1-8b-instruct": own})["llama-3.1-8b-instruct"]["spec"]
    shipped = yaml.safe_load(FILES["llama-3.1-8b-instruct.yaml"])["spec"]
    assert spec["license"] == "reviewed"
    assert spec["versions"] == [shipped["versions"][0], shipped["versions"][1] | {"args": ["--a"]}, versions[1]]
    assert {key: value for key, value in spec.items() if key not in {"license", "versions"}} == {
        key: value for key, value in shipped.items() if key not in {"license", "versions"}
    }


def test_a_model_of_ones_own_is_added(helm: Helm) -> None:
    spec = {"series": "Own", "versions": [{"name": "8k", "source": "pvc://weights/own", "contextLength": 8192}]}
    models = changed(helm, models={"own": {"spec": spec}})
    assert set(models) == NAMES | {"own"}
    assert models["own"] == {
        "apiVersion": "maas-operator.io/v1alpha1",
        "kind": "Model",
        "metadata": {"name": "own"},
        "spec": spec,
    }


class Carried:
    """A release whose Job is carried out by the test: the same program, on the same files, with the same rights."""

    def __init__(self, releases: Releases, folder: Path) -> None:
        self._releases = releases
        self._folder = folder

    def out(self) -> list[Manifest]:
        """Run the Job; what it logged."""
        labels = ("-l", f"app.kubernetes.io/name={CATALOGUE}", "-n", "maas-system")
        (config,) = self._releases.get("configmap", *labels)["items"]
        (standing,) = self._releases.get("job", *labels)["items"]
        models = self._folder / standing["metadata"]["name"]
        models.mkdir()
        for name, text in config["data"].items():
            (models / name).write_text(text)
        pod = standing["spec"]["template"]["spec"]
        (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "models")
        arguments = [each.replace(mount["mountPath"], str(models)) for each in pod["containers"][0]["args"]]
        user = f"system:serviceaccount:maas-system:{pod['serviceAccountName']}"
        kubeconfig = self._releases.cluster.user_kubeconfig(user)
        command = [sys.executable, "-m", "maas_operator.main", *arguments, f"--kubeconfig={kubeconfig}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=JOB_SECONDS, cwd=CHECKOUT, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stderr.splitlines()]

    def models(self) -> dict[str, Manifest]:
        return {each["metadata"]["name"]: each for each in self._releases.get("models.maas-operator.io")["items"]}


@pytest.mark.api
def test_m4_m5_install_brings_the_catalogue_and_upgrades_keep_what_users_changed(
    releases: Releases, tmp_path: Path
) -> None:
    releases.install()
    job_ = Carried(releases, tmp_path)
    job_.out()
    first = job_.models()
    assert set(first) == NAMES
    assert {name: model["spec"] for name, model in first.items()} == {
        path.removesuffix(".yaml"): yaml.safe_load(text)["spec"] for path, text in FILES.items()
    }

    releases.cluster.kubectl("patch", "maasmodel", "qwen3-8b", "--type=merge", "-p", '{"spec":{"license":"reviewed"}}')
    releases.cluster.kubectl(
        "patch", "maasmodel", "qwen3-32b", "--type=json", "-p", '[{"op":"remove","path":"/spec/versions/0"}]'
    )
    releases.cluster.kubectl("delete", "maasmodel", "qwen3-14b")
    mirrors = {name: {"source": "pvc://weights/here"} for name in ("qwen3-8b", "qwen3-32b", "deepseek-r1")}
    releases.upgrade("--set-json", f"catalogue.models={json.dumps(mirrors)}", "--set", "catalogue.exclude={qwq-32b}")
    said = {entry["name"]: entry for entry in job_.out()}
    assert {name: entry["event"] for name, entry in said.items()} == {
        "deepseek-r1": "model updated",
        "qwen3-8b": "model kept",
        "qwen3-14b": "model created",
        "qwen3-32b": "model kept",
        "qwq-32b": "model deleted",
    }
    assert said["qwen3-8b"]["why"] == "somebody changed it since"
    second = job_.models()
    assert set(second) == NAMES - {"qwq-32b"}
    assert second["qwen3-8b"]["spec"] == first["qwen3-8b"]["spec"] | {"license": "reviewed"}
    assert [version["name"] for version in second["qwen3-32b"]["spec"]["versions"]] == ["4k"], "nor what they removed"
    assert {version["source"] for version in second["deepseek-r1"]["spec"]["versions"]} == {"pvc://weights/here"}
    untouched = NAMES - {"qwq-32b", "deepseek-r1", "qwen3-8b", "qwen3-14b", "qwen3-32b"}
    for name in untouched:
        assert second[name]["metadata"]["resourceVersion"] == first[name]["metadata"]["resourceVersion"]

    filters = ["models", "--series=qwen3", "--context-length=<16K", f"--kubeconfig={releases.cluster.kubeconfig}"]
    command = [sys.executable, "-m", "maas_operator.cli.main", *filters]
    listed = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert listed.stderr == ""
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["NAME", "qwen3-14b", "qwen3-32b"]

    releases.uninstall()
    assert set(job_.models()) == set(second), "services that use them go on, and the next release takes them over"


@pytest.mark.api
def test_the_job_says_what_it_may_not_and_fails(releases: Releases, tmp_path: Path) -> None:
    """Without its rights, the Job tries again, and its log names what is missing."""
    releases.install("--set", "catalogue.include={qwq-32b}")
    releases.cluster.kubectl("delete", "clusterrolebinding", "maas-maas-operator-catalogue")
    with pytest.raises(AssertionError, match='cannot list resource "models"'):
        Carried(releases, tmp_path).out()
