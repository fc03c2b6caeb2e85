"""What the Deployment says is what the operator's command line understands."""

from pathlib import Path
from typing import Any

import pytest

from maas_operator.api.settings import Settings
from maas_operator.main import cli
from tests.chart.helm import CASES, Helm, Manifest, the

GIVEN_BY_THE_KUBELET = {"metadata.name": "operator-1", "metadata.namespace": "maas-system"}


def _container(helm: Helm, case: str) -> Manifest:
    pod = the(helm.case(case), "Deployment")["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    (container,) = pod["containers"]
    assert isinstance(container, dict)
    return container


def _value(variable: Manifest) -> str:
    if "value" in variable:
        return str(variable["value"])
    return GIVEN_BY_THE_KUBELET[variable["valueFrom"]["fieldRef"]["fieldPath"]]


@pytest.mark.parametrize("case", CASES)
def test_every_variable_is_an_option_and_every_option_is_understood(
    helm: Helm, case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    container = _container(helm, case)
    (command,) = container["args"]
    run = cli.commands[command]
    given = {each["name"]: _value(each) for each in container["env"] if each["name"].startswith("MAAS_")}
    options = {f"MAAS_{option.name}".upper() for option in run.params if option.name}
    assert set(given) == options - {"MAAS_KUBECONFIG", "MAAS_LEADER_ELECTION"}
    assert _mounted(container, given["MAAS_SETTINGS"])

    given["MAAS_SETTINGS"] = str(tmp_path / "settings.yaml")
    text = the(helm.case(case), "ConfigMap", "-settings")["data"]["settings.yaml"]
    Path(given["MAAS_SETTINGS"]).write_text(text)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    understood: dict[str, Any] = run.make_context(command, [], auto_envvar_prefix="MAAS").params
    assert isinstance(understood["settings"], Settings)
    assert understood["namespace"] == "maas-system"
    assert understood["leader_election"] is True
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"metrics": understood["metrics_port"], "health": understood["health_port"]}
    for option in ("lease_name", "log_format", "log_level"):
        assert understood[option] == given[f"MAAS_{option.upper()}"]


def _mounted(container: Manifest, file: str) -> bool:
    return str(Path(file).parent) in {mount["mountPath"] for mount in container["volumeMounts"]}
