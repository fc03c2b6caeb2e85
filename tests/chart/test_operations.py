"""What keeps a release running and tells how it does: budgets, spreading, rollouts, metrics, certificates."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.chart.helm import GATEWAY, LEDGER, OPERATOR, Helm, Manifest, of_kind, the

several = pytest.mark.parametrize(
    ("case", "part"),
    [(case, part) for case in ("default", "everything-on") for part in (OPERATOR, GATEWAY)]
    + [("everything-on", LEDGER)],
)


def template(manifests: list[Manifest], part: str) -> Manifest:
    made: Manifest = the(manifests, "Deployment", part=part)["spec"]["template"]
    return made


def selected(selector: Mapping[str, str], manifests: list[Manifest]) -> list[str]:
    """The parts whose pods have these labels."""
    return [
        part
        for part in (OPERATOR, GATEWAY, LEDGER)
        if selector.items() <= template(manifests, part)["metadata"]["labels"].items()
    ]


@several
def test_pods_of_several_are_evicted_one_after_another_and_spread_over_the_nodes(
    helm: Helm, case: str, part: str
) -> None:
    manifests = helm.case(case)
    budget = the(manifests, "PodDisruptionBudget", part=part)["spec"]
    assert selected(budget["selector"]["matchLabels"], manifests) == [part]
    assert budget["maxUnavailable"] in {1, "50%"}
    (spread,) = template(manifests, part)["spec"]["topologySpreadConstraints"]
    if case == "default" or part != OPERATOR:  # the operator's are the administrator's in the other case
        assert (spread["topologyKey"], spread["maxSkew"]) == ("kubernetes.io/hostname", 1)
        assert selected(spread["labelSelector"]["matchLabels"], manifests) == [part]


@pytest.mark.parametrize("case", ["default", "everything-on"])
def test_a_rollout_takes_no_replica_of_the_gateway_away_before_another_is_there(helm: Helm, case: str) -> None:
    manifests = helm.case(case)
    deployment = the(manifests, "Deployment", part=GATEWAY)["spec"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    drain = the(manifests, "ConfigMap", part=GATEWAY)["data"]["drain.sh"]
    grace = deployment["template"]["spec"]["terminationGracePeriodSeconds"]
    assert f"-lt {grace - 30} ]" in drain, "the agent has 30 s for the ledger after the last request"


def test_sqlite_has_one_writer_at_a_time_and_a_database_several(helm: Helm) -> None:
    one = the(helm.case("default"), "Deployment", part=LEDGER)["spec"]
    assert (one["replicas"], one["strategy"]) == (1, {"type": "Recreate"})
    several_ = the(helm.case("everything-on"), "Deployment", part=LEDGER)["spec"]
    assert (several_["replicas"], several_["strategy"]["type"]) == (2, "RollingUpdate")


def test_the_ledger_reaches_its_database_and_only_where_it_has_one(helm: Helm) -> None:
    def rules(case: str) -> list[Any]:
        egress: list[Any] = the(helm.case(case), "NetworkPolicy", part=LEDGER)["spec"]["egress"]
        return egress

    to_database = {
        "ports": [{"port": 6432, "protocol": "TCP"}],
        "to": [{"ipBlock": {"cidr": "198.51.100.7/32"}}],
    }
    assert to_database in rules("everything-on")
    assert len(rules("default")) == len(rules("everything-on")) - 1


@pytest.mark.parametrize(
    ("part", "paths"), [(OPERATOR, ["/metrics"]), (GATEWAY, ["/metrics", "/metrics/envoy"]), (LEDGER, ["/metrics"])]
)
def test_a_monitor_finds_the_port_that_the_pods_show_their_metrics_on(helm: Helm, part: str, paths: list[str]) -> None:
    manifests = helm.case("everything-on")
    monitor = the(manifests, "ServiceMonitor", part=part)
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    wanted = monitor["spec"]["selector"]["matchLabels"]
    found = [
        (service, port)
        for service in manifests
        if service["kind"] == "Service" and wanted.items() <= service["metadata"]["labels"].items()
        for port in service["spec"]["ports"]
        if port["name"] == monitor["spec"]["endpoints"][0]["port"]
    ]
    ((service, port),) = found
    assert selected(service["spec"]["selector"], manifests) == [part]
    pod = template(manifests, part)["spec"]
    shown = [
        each["containerPort"]
        for container in (*pod.get("initContainers", ()), *pod["containers"])
        for each in container["ports"]
        if each["name"] == port["targetPort"]
    ]
    assert shown == [port["port"]]
    assert [endpoint["path"] for endpoint in monitor["spec"]["endpoints"]] == paths
    (allowed,) = (
        rule
        for rule in the(manifests, "NetworkPolicy", part=part)["spec"]["ingress"]
        if rule["ports"] == [{"port": "metrics", "protocol": "TCP"}]
    )
    prometheus, *operator = allowed["from"]
    assert prometheus == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert [selected(each["podSelector"]["matchLabels"], manifests) for each in operator] == (
        [[OPERATOR]] if part == GATEWAY else []
    )


def test_no_service_leads_to_envoys_admin_port(helm: Helm) -> None:
    for case in ("default", "everything-on"):
        manifests = helm.case(case)
        ports = [port for each in of_kind(manifests, "Service", part=GATEWAY) for port in each["spec"]["ports"]]
        assert {port["targetPort"] for port in ports} == {"http", "metrics"}


def test_cert_manager_fills_the_secret_that_envoy_mounts(helm: Helm) -> None:
    manifests = helm.case("everything-on")
    certificate = the(manifests, "Certificate", part=GATEWAY)["spec"]
    volumes = template(manifests, GATEWAY)["spec"]["volumes"]
    assert {"name": "tls", "secret": {"secretName": certificate["secretName"]}} in volumes
    assert certificate["issuerRef"] == {"name": "example", "kind": "ExampleIssuer", "group": "issuers.example.com"}
    assert certificate["dnsNames"] == ["models.example.com"]
    assert not of_kind(helm.case("default"), "Certificate", part=GATEWAY)


def test_m16_grafanas_sidecar_finds_the_dashboard_where_it_is_wanted(helm: Helm) -> None:
    manifests = helm.render("--set", "metrics.dashboards.enabled=true")
    found = the(manifests, "ConfigMap", "-dashboards")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(found["data"]["maas.json"])["title"] == "Models as a service"
    assert of_kind(helm.render(), "ConfigMap", "-dashboards") == []
