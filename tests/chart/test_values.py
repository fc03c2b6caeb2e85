"""Values: every one is explained, and they reach the operator."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from maas_operator.api import settings
from maas_operator.api.usage import LEDGER_AUDIENCE
from maas_operator.gateway import settings as gateway_settings
from tests.chart.helm import CHART, GATEWAY, LEDGER, LIMITS, Helm, the, values_of

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
        "gateway.contentControl.input",
        "gateway.wakeGuard.enabled",
        "gateway.portsGuard.enabled",
        "crds.install",
        "catalogue.enabled",
        "roles.create",
        "deletionProtection.enabled",
        "secretsGuard.enabled",
        "podsGuard.enabled",
        "accessRules.enabled",
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
    (gateway,) = (each for each in helm.case(case) if each["metadata"]["name"] == "maas-gateway-metrics")
    (port,) = gateway["spec"]["ports"]
    asked = f"{gateway['metadata']['name']}.{gateway['metadata']['namespace']}.svc:{port['port']}"
    told = {"notifications": values["notifications"], "ledger": "http://maas-ledger.maas-system.svc:8080"}
    (container,) = the(helm.case(case), "Deployment")["spec"]["template"]["spec"]["containers"]
    sources = values["settings"].get("sources", VALUES["settings"]["sources"])
    told["sources"] = sources | {"image": container["image"]}
    assert settings.parse(text) == settings.Settings.model_validate(values["settings"] | {"gateways": [asked]} | told)


def test_every_replica_of_the_gateway_is_asked_also_one_that_leaves(helm: Helm) -> None:
    for case in ("default", "everything-on", "minimal"):
        found = [each for each in helm.case(case) if each["metadata"]["name"] == "maas-gateway-metrics"]
        text = the(helm.case(case), "ConfigMap", "-settings")["data"]["settings.yaml"]
        assert len(found) == len(settings.parse(text).gateways) == (case != "minimal")
        for each in found:
            assert (each["spec"]["clusterIP"], each["spec"]["publishNotReadyAddresses"]) == ("None", True)


def test_without_a_ledger_the_operator_is_told_of_none_and_gets_no_token_for_it(helm: Helm) -> None:
    manifests = helm.render("--set", "gateway.enabled=false")
    assert settings.parse(the(manifests, "ConfigMap", "-settings")["data"]["settings.yaml"]).ledger is None
    assert "ledger" not in str(the(manifests, "Deployment"))


def test_m11_the_operators_token_for_the_ledger_is_where_the_operator_looks_for_it(helm: Helm) -> None:
    pod = the(helm.render(), "Deployment")["spec"]["template"]["spec"]
    (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "ledger-token")
    (volume,) = (each for each in pod["volumes"] if each["name"] == "ledger-token")
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == LEDGER_AUDIENCE
    token = f"{mount['mountPath']}/{source['serviceAccountToken']['path']}"
    assert str(settings.Settings().ledger_token) == token


def test_m11_the_ledger_takes_events_from_the_operators_service_account(helm: Helm) -> None:
    manifests = helm.render("--set", "serviceAccount.name=another")
    arguments = the(manifests, "Deployment", part=LEDGER)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--operator=another" in arguments


def test_settings_have_the_same_fields_bounds_and_defaults_in_the_chart_and_in_the_operator() -> None:
    ours = settings.Settings.model_json_schema(by_alias=True)["properties"]
    charts = SCHEMA["properties"]["settings"]["properties"]
    for name in ("ledger", "ledgerToken"):  # follow from the release
        del ours[name]
    assert ours.pop("notifications")  # values of their own
    sources = charts["sources"]["properties"]
    del ours["sources"]  # compared below
    charts = {name: field for name, field in charts.items() if name != "sources"}
    words = ("type", "minimum", "maximum", "description")
    assert {name: [field.get(word) for word in words] for name, field in charts.items()} == {
        name: [field.get(word) for word in words]
        for name, field in ours.items()
        if name != "gateways"  # which the chart knows itself
    }
    assert settings.Settings.model_validate(VALUES["settings"]) == settings.Settings()
    notifications = settings.NotificationSettings.model_json_schema(by_alias=True)["properties"]
    theirs = SCHEMA["properties"]["notifications"]["properties"]
    assert {name: [field.get(word) for word in words] for name, field in theirs.items()} == {
        name: [field.get(word) for word in words] for name, field in notifications.items()
    }
    assert settings.NotificationSettings.model_validate(VALUES["notifications"]) == settings.NotificationSettings()
    assert {*sources, "image"} == set(settings.SourceSettings.model_json_schema(by_alias=True)["properties"])
    parts: dict[str, type[BaseModel]] = {"s3": settings.S3Settings, "caBundle": settings.CaBundleSettings}
    for part in ("huggingFace", "modelScope", "s3", "caBundle"):
        schema = parts.get(part, settings.HubSettings).model_json_schema(by_alias=True)["properties"]
        assert {name: field["pattern"] for name, field in sources[part]["properties"].items()} == {
            name: field["pattern"] for name, field in schema.items()
        }
    (per_type,) = charts["accelerators"]["patternProperties"].values()
    of_a_type = settings.AcceleratorSettings.model_json_schema(by_alias=True)["properties"]
    assert {name: field["description"] for name, field in per_type["properties"].items()} == {
        name: field["description"] for name, field in of_a_type.items()
    }


@pytest.mark.parametrize("case", ["default", "everything-on"])
def test_the_gateway_understands_its_settings(helm: Helm, case: str) -> None:
    values = yaml.safe_load(values_of(case).read_text()).get("gateway", VALUES["gateway"])
    text = the(helm.case(case), "ConfigMap", part=GATEWAY)["data"]["settings.yaml"]
    tls = {"tls": {"folder": "/etc/maas-gateway-tls"}} if values["tls"]["secretName"] else {}
    control = values.get("contentControl", VALUES["gateway"]["contentControl"])
    asked = {"contentControl": _control_settings(control)} if control["url"] else {}
    shared = values.get("rateLimit", VALUES["gateway"]["rateLimit"])["redis"]["address"]
    service = (
        f"{the(helm.case(case), 'Service', part=LIMITS)['metadata']['name']}.maas-system.svc:8081" if shared else None
    )
    expected = values["settings"] | tls | asked | {"rateLimitService": service}
    assert gateway_settings.parse(text) == gateway_settings.GatewaySettings.model_validate(expected)


def _control_settings(values: dict[str, Any]) -> dict[str, Any]:
    """What the gateway is told of content control's values: not its Secret's name, but where that is mounted."""
    told = {name: value for name, value in values.items() if name not in ("secretName", "ports")}
    return told | ({"tokenFile": "/etc/maas-gateway-control/token"} if values["secretName"] else {})


def test_81011_content_controls_values_have_the_same_bounds_and_defaults_in_the_chart_and_in_the_gateway() -> None:
    model = gateway_settings.ContentControl
    ours = model.model_json_schema(by_alias=True)
    charts = SCHEMA["properties"]["gateway"]["properties"]["contentControl"]["properties"]
    assert set(charts) - {"secretName", "ports"} == set(ours["properties"]) - {"tokenFile"}
    for name in set(charts) & set(ours["properties"]):
        for word in ("type", "minimum", "maximum", "maxLength"):
            if "$ref" not in ours["properties"][name]:
                assert charts[name].get(word) == ours["properties"][name].get(word), name
        assert charts[name]["description"].startswith(ours["properties"][name]["description"])
    assert charts["url"]["pattern"] == f"^({ours['properties']['url']['pattern'][1:-1]})?$"
    assert charts["onFailure"]["enum"] == list(gateway_settings.OnFailure)
    chosen = VALUES["gateway"]["contentControl"] | {"url": "http://control"}
    assert model.model_validate(_control_settings(chosen)) == model(url="http://control")


TOKEN = "gateway.contentControl.secretName=control-token"


@pytest.mark.parametrize(
    ("url", "ports", "open_"),
    [
        ("http://control.moderation.svc/check", "", [80]),
        ("https://control.example.com", "", [443]),
        ("http://control:9000/check", "", [9000]),
        ("https://[fd00::1]:8443/", "", [8443]),
        ("https://[fd00::1]/", "", [443]),
        ("http://control/", "8080,8081", [8080, 8081]),
    ],
)
def test_81011_the_gateway_reaches_content_control_and_envoy_its_token(
    helm: Helm, url: str, ports: str, open_: list[int]
) -> None:
    flags = f"gateway.contentControl.url={url},{TOKEN},gateway.contentControl.ports={{{ports}}}"
    manifests = helm.render("--set", flags if ports else flags.rpartition(",")[0])
    *_, egress = the(manifests, "NetworkPolicy", part=GATEWAY)["spec"]["egress"]
    assert egress == {"ports": [{"port": port, "protocol": "TCP"} for port in open_]}
    pod = the(manifests, "Deployment", part=GATEWAY)["spec"]["template"]["spec"]
    mounted = {
        container["name"]: [mount["name"] for mount in container["volumeMounts"]]
        for container in (*pod["initContainers"], *pod["containers"])
    }
    assert "content-control" in mounted["envoy"]
    assert "content-control" not in mounted["agent"]
    (volume,) = (each for each in pod["volumes"] if each["name"] == "content-control")
    assert volume["secret"] == {"secretName": "control-token", "items": [{"key": "token", "path": "token"}]}


def test_81011_without_content_control_nothing_of_it_is_there(helm: Helm) -> None:
    manifests = helm.render("--set", TOKEN)
    assert "control-token" not in str(manifests)
    assert len(the(manifests, "NetworkPolicy", part=GATEWAY)["spec"]["egress"]) == 4


def test_the_gateways_settings_have_the_same_bounds_and_defaults_in_the_chart_and_in_the_gateway() -> None:
    """All but what the pod fixes."""
    model = gateway_settings.GatewaySettings
    ours = model.model_json_schema(by_alias=True)["properties"]
    charts = SCHEMA["properties"]["gateway"]["properties"]["settings"]["properties"]
    not_to_be_set = {"address", "port", "adminPort", "agentPort", "innerPort", "onwardPort", "latePort", "tls"}
    not_to_be_set |= {"contentControl", "rateLimitService"}  # they have values of their own
    assert set(charts) == set(ours) - not_to_be_set
    holding = gateway_settings.Holding.model_json_schema(by_alias=True)["properties"]
    assert set(charts["holding"]["properties"]) == set(holding)
    for name, field in (charts | charts["holding"]["properties"]).items():
        schema = (ours | holding)[name]
        bounds = schema.get("anyOf", [schema])[0]
        for word in ("minimum", "maximum"):
            assert field.get(word) == bounds.get(word), name
        assert field["description"] == schema["description"]
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
