"""Values: every one is explained, and they reach the operator."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from maas_operator.api import settings
from maas_operator.gateway import settings as gateway_settings
from tests.chart.helm import CHART, GATEWAY, Helm, the, values_of

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
README = CHART / "README.md"
START, END = "<!-- values -->\n", "<!-- end of values -->\n"
BYTES = "0" * 64


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value that has no values below it, with its path."""
    for name, child in schema["properties"].items():
        if "properties" in child:
            yield from leaves(child, f"{path}{name}.")
        else:
            yield path + name, child


def value_at(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _paths(values: dict[str, Any], known: set[str], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        if path + name in known or not isinstance(value, dict):
            yield path + name
        else:
            yield from _paths(value, known, f"{path}{name}.")


VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
LEAVES = {path: schema for path, schema in leaves(SCHEMA) if path != "global"}


def test_values_and_schema_name_the_same_values() -> None:
    assert set(_paths(VALUES, set(LEAVES))) == set(LEAVES)


def _described(schema: Any, path: str = "") -> Iterator[str]:
    """Objects that take fields nobody knows, and values without a description."""
    if path and not schema.get("description"):
        yield f"{path}: no description"
    if "properties" in schema and schema.get("additionalProperties") is not False and "required" not in schema:
        yield f"{path}: takes anything"
    for name, child in schema.get("properties", {}).items():
        yield from _described(child, f"{path}.{name}")
    if "properties" in schema.get("items", {}):
        yield from _described({**schema["items"], "description": "an item"}, f"{path}[]")


def test_the_schema_is_strict_and_explains_every_value() -> None:
    assert list(_described(SCHEMA)) == []


def test_everything_on_sets_every_value_and_none_as_by_default() -> None:
    values = yaml.safe_load(values_of("everything-on").read_text())
    same = {path for path in LEAVES if value_at(values, path) in (value_at(VALUES, path), None)}
    switches_that_are_on_by_default = {
        "gateway.enabled",
        "crds.install",
        "roles.create",
        "deletionProtection.enabled",
        "secretsGuard.enabled",
        "metrics.service.enabled",
        "networkPolicy.enabled",
        "podDisruptionBudget.enabled",
        "serviceAccount.create",
    }
    assert same == switches_that_are_on_by_default


def _table() -> str:
    rows = ["| Value | Default | What it is |", "|---|---|---|"]
    for path, schema in LEAVES.items():
        default = json.dumps(value_at(VALUES, path))
        rows.append(f"| `{path}` | `{default}` | {schema['description']} |")
    return "\n".join(rows) + "\n"


def test_the_readme_explains_every_value(request: pytest.FixtureRequest) -> None:
    before, _, rest = README.read_text().partition(START)
    table, _, after = rest.partition(END)
    if request.config.getoption("--update-golden"):
        table = _table()
        README.write_text(before + START + table + END + after)
    assert table == _table(), "run pytest tests/chart --update-golden"


@pytest.mark.parametrize("case", ["default", "everything-on"])
def test_the_operator_understands_its_settings(helm: Helm, case: str) -> None:
    values = {**VALUES, **yaml.safe_load(values_of(case).read_text())}
    text = the(helm.case(case), "ConfigMap", "-settings")["data"]["settings.yaml"]
    assert settings.parse(text) == settings.Settings.model_validate(values["settings"])


def test_settings_have_the_same_fields_bounds_and_defaults_in_the_chart_and_in_the_operator() -> None:
    ours = settings.Settings.model_json_schema(by_alias=True)["properties"]
    charts = SCHEMA["properties"]["settings"]["properties"]
    words = ("type", "minimum", "maximum", "description")
    assert {name: [field.get(word) for word in words] for name, field in charts.items()} == {
        name: [field.get(word) for word in words] for name, field in ours.items()
    }
    assert settings.Settings.model_validate(VALUES["settings"]) == settings.Settings()
    per_type = charts["accelerators"]["patternProperties"].values()
    assert [set(each["properties"]) for each in per_type] == [set(settings.AcceleratorSettings.model_fields)]


@pytest.mark.parametrize("case", ["default", "everything-on"])
def test_the_gateway_understands_its_settings(helm: Helm, case: str) -> None:
    values = yaml.safe_load(values_of(case).read_text()).get("gateway", VALUES["gateway"])
    text = the(helm.case(case), "ConfigMap", part=GATEWAY)["data"]["settings.yaml"]
    tls = {"tls": {"folder": "/etc/maas-gateway-tls"}} if values["tls"]["secretName"] else {}
    assert gateway_settings.parse(text) == gateway_settings.GatewaySettings.model_validate(values["settings"] | tls)


def test_the_gateways_settings_have_the_same_bounds_and_defaults_in_the_chart_and_in_the_gateway() -> None:
    """All but what the pod fixes, and what signs tokens: that belongs into a Secret."""
    model = gateway_settings.GatewaySettings
    ours = model.model_json_schema(by_alias=True)["properties"]
    charts = SCHEMA["properties"]["gateway"]["properties"]["settings"]["properties"]
    not_to_be_set = {"address", "port", "adminPort", "agentPort", "innerPort", "tls", "signingKeys", "tokenSeconds"}
    assert set(charts) == set(ours) - not_to_be_set
    for name, field in charts.items():
        bounds = ours[name].get("anyOf", [ours[name]])[0]
        for word in ("minimum", "maximum"):
            assert field.get(word) == bounds.get(word), name
        assert field["description"] == ours[name]["description"]
    assert charts["usageOnStreams"]["enum"] == list(gateway_settings.StreamUsage)
    assert model.model_validate(VALUES["gateway"]["settings"]) == model()


def test_changed_settings_restart_the_operator_and_nothing_else_does(helm: Helm) -> None:
    def checksum(*flags: str) -> str:
        pod = the(helm.render(*flags), "Deployment")["spec"]["template"]["metadata"]
        return str(pod["annotations"]["checksum/settings"])

    assert checksum() == checksum("--set", "replicas=3")
    assert checksum() != checksum("--set", "settings.drainSeconds=60")


def test_the_chart_is_of_the_programs_version(helm: Helm) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["appVersion"], chart["version"]) == (version, version)
    (container,) = the(helm.render(), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"maas-operator:{version}"


def test_a_digest_wins_over_the_tag(helm: Helm) -> None:
    manifests = helm.render("--set", f"image.tag=1.0,image.digest=sha256:{BYTES}")
    (container,) = the(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"maas-operator@sha256:{BYTES}"


@pytest.mark.parametrize("release", ["maas-operator", "r", "7seas", "a.b", "a" * 53, "maas-operator-" + "b" * 39])
def test_names_are_dns_labels_whatever_the_release_is_called(helm: Helm, release: str) -> None:
    for manifest in helm.render(release=release):
        name = manifest["metadata"]["name"]
        if manifest["kind"] != "CustomResourceDefinition":
            assert len(name) <= 70
            assert "." not in name
            assert name[0].isalpha()
        if manifest["kind"] == "Service":
            assert len(name) <= 63
