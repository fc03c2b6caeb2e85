"""How the operator's pod is locked up."""

import pytest

from maas_operator.api.names import LABEL_FETCH, LABEL_SERVICE
from tests.chart.helm import CASES, CATALOGUE, GATEWAY, LEDGER, LIMITS, OPERATOR, Helm, Manifest, of_kind, the

each_case = pytest.mark.parametrize("case", CASES)


def pod_of(helm: Helm, case: str) -> Manifest:
    pod: Manifest = the(helm.case(case), "Deployment")["spec"]["template"]["spec"]
    return pod


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["containers"], *pod.get("initContainers", ())]


@each_case
def test_every_container_has_no_rights(helm: Helm, case: str) -> None:
    for container in containers(pod_of(helm, case)):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }


@each_case
def test_the_pod_is_nobody_on_its_node(helm: Helm, case: str) -> None:
    pod = pod_of(helm, case)
    context = pod["securityContext"]
    assert context["runAsNonRoot"]
    assert (context["runAsUser"], context["runAsGroup"]) == (65532, 65532)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    token = [] if case == "minimal" else [{"projected"}]  # for the ledger
    assert [set(volume) - {"name"} for volume in pod["volumes"]] == [{"configMap"}, *token, {"emptyDir"}]


@each_case
def test_only_the_operators_pods_get_a_token(helm: Helm, case: str) -> None:
    assert pod_of(helm, case)["automountServiceAccountToken"] is True
    for account in (each for each in helm.case(case) if each["kind"] == "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@each_case
def test_only_tmp_can_be_written(helm: Helm, case: str) -> None:
    (container,) = containers(pod_of(helm, case))
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]


@each_case
def test_probes(helm: Helm, case: str) -> None:
    (container,) = containers(pod_of(helm, case))
    probed = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    health, ready = {"path": "/healthz", "port": "health"}, {"path": "/readyz", "port": "health"}
    assert probed == {"startup": health, "liveness": health, "readiness": ready}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"metrics": 8080, "health": 8081}


def test_only_probes_and_metrics_come_in_and_only_those_that_are_asked_or_told_are_reached(helm: Helm) -> None:
    spec = the(helm.case("everything-on"), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    health, metrics = spec["ingress"]
    assert ([port["port"] for port in health["ports"]], "from" in health) == (["health"], False)
    assert ([port["port"] for port in metrics["ports"]], len(metrics["from"])) == (["metrics"], 1)
    dns, server, gateway, ledger, engines, receivers = spec["egress"]
    assert [port["port"] for port in dns["ports"]] == [53, 53]
    assert ([port["port"] for port in server["ports"]], len(server["to"])) == ([6443], 2)
    assert [port["port"] for each in (gateway, engines) for port in each["ports"]] == [8082, 8000]
    pods = the(helm.case("everything-on"), "Deployment", part=GATEWAY)["spec"]["template"]["metadata"]["labels"]
    assert gateway["to"][0]["podSelector"]["matchLabels"].items() <= pods.items()
    assert set(gateway["to"][0]) == {"podSelector"}, "in the release's own namespace"
    assert [each["podSelector"]["matchExpressions"] for each in engines["to"]] == [
        [{"key": LABEL_SERVICE, "operator": "Exists"}],
        [{"key": LABEL_FETCH, "operator": "Exists"}],
    ]
    selected = the(helm.case("everything-on"), "Deployment", part=LEDGER)["spec"]["selector"]
    assert ledger == {"ports": [{"port": 8080, "protocol": "TCP"}], "to": [{"podSelector": selected}]}
    assert [port["port"] for port in receivers["ports"]] == [443, 587]
    assert receivers["to"] == [{"ipBlock": {"cidr": "203.0.113.0/24"}}]


def test_m9_without_notifications_the_operator_reaches_no_receiver(helm: Helm) -> None:
    def reached(*flags: str) -> list[Manifest]:
        return list(the(helm.render(*flags), "NetworkPolicy")["spec"]["egress"])

    on, off = reached("--set", "notifications.enabled=true"), reached()
    assert [rule for rule in on if rule not in off] == [{"ports": [{"port": 443, "protocol": "TCP"}]}]


def test_m11_the_ledger_lets_the_operator_in(helm: Helm) -> None:
    manifests = helm.case("default")
    (asked, _) = the(manifests, "NetworkPolicy", part=LEDGER)["spec"]["ingress"]
    assert {"podSelector": the(manifests, "Deployment")["spec"]["selector"]} in asked["from"]


@each_case
def test_no_image_is_latest(helm: Helm, case: str) -> None:
    (container,) = containers(pod_of(helm, case))
    assert not container["image"].endswith(":latest")
    assert ":" in container["image"].rpartition("/")[2]


each_part = pytest.mark.parametrize("part", [GATEWAY, LEDGER])
each_case_with_a_gateway = pytest.mark.parametrize("case", ["default", "everything-on"])


@each_case_with_a_gateway
@each_part
def test_the_gateway_and_the_ledger_are_locked_up_as_the_operator_is(helm: Helm, case: str, part: str) -> None:
    pod = the(helm.case(case), "Deployment", part=part)["spec"]["template"]["spec"]
    operators = pod_of(helm, case)
    assert pod["securityContext"] == operators["securityContext"]
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    for container in containers(pod):
        assert container["securityContext"] == operators["containers"][0]["securityContext"]
        assert not container["image"].endswith(":latest")


@each_case_with_a_gateway
def test_the_catalogues_job_is_locked_up_as_the_operator_is_and_reaches_the_api_server_alone(
    helm: Helm, case: str
) -> None:
    manifests = helm.case(case)
    template = the(manifests, "Job", part=CATALOGUE)["spec"]["template"]
    pod, operators = template["spec"], pod_of(helm, case)
    assert pod["securityContext"] == operators["securityContext"]
    (container,) = containers(pod)
    assert container["securityContext"] == operators["containers"][0]["securityContext"]
    assert [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")] == ["/tmp"]
    policy = the(manifests, "NetworkPolicy", part=CATALOGUE)["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert (policy["policyTypes"], policy.get("ingress")) == (["Ingress", "Egress"], None)
    dns, server = policy["egress"]
    assert [port["port"] for port in dns["ports"]] == [53, 53]
    assert server == the(manifests, "NetworkPolicy")["spec"]["egress"][1]


@each_case_with_a_gateway
def test_envoy_writes_its_log_alone_and_has_no_token(helm: Helm, case: str) -> None:
    pod = the(helm.case(case), "Deployment", part=GATEWAY)["spec"]["template"]["spec"]
    (envoy,) = pod["containers"]
    writable = [mount["name"] for mount in envoy["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["log"]
    assert "ledger-token" not in {mount["name"] for mount in envoy["volumeMounts"]}


@pytest.mark.parametrize(
    ("case", "secret"), [("default", "maas-maas-operator-gateway-signing"), ("everything-on", "token-keys")]
)
def test_i1_what_signs_tokens_is_in_a_secret_that_the_agent_alone_reads(helm: Helm, case: str, secret: str) -> None:
    manifests = helm.case(case)
    pod = the(manifests, "Deployment", part=GATEWAY)["spec"]["template"]["spec"]
    (volume,) = (each for each in pod["volumes"] if each["name"] == "signing")
    assert volume["secret"] == {"secretName": secret, "optional": True, "defaultMode": 0o440}
    mounted = {each["name"]: {mount["name"]: mount for mount in each["volumeMounts"]} for each in containers(pod)}
    assert "signing" not in mounted["envoy"]
    mount = mounted["agent"]["signing"]
    assert mount["readOnly"]
    (agent,) = pod["initContainers"]
    assert f"--signing-keys={mount['mountPath']}/keys.yaml" in agent["args"]
    assert [each["kind"] for each in manifests if each["kind"] == "Secret"] == []


@each_case_with_a_gateway
def test_the_agent_begins_before_envoy_and_ends_after_it(helm: Helm, case: str) -> None:
    pod = the(helm.case(case), "Deployment", part=GATEWAY)["spec"]["template"]["spec"]
    (agent,) = pod["initContainers"]
    assert agent["restartPolicy"] == "Always"
    assert agent["startupProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    (envoy,) = pod["containers"]
    assert envoy["lifecycle"]["preStop"]["exec"]["command"] == ["bash", "/etc/maas-gateway/drain.sh"]


@each_part
def test_no_part_is_taken_for_another(helm: Helm, part: str) -> None:
    manifests = helm.case("default")
    labels = the(manifests, "Deployment", part=part)["spec"]["template"]["metadata"]["labels"]
    for other in {OPERATOR, GATEWAY, LEDGER} - {part}:
        selected = the(manifests, "Deployment", part=other)["spec"]["selector"]["matchLabels"]
        assert not selected.items() <= labels.items()


def test_the_rate_limit_service_is_locked_up_and_reaches_its_store_alone(helm: Helm) -> None:
    manifests = helm.case("everything-on")
    pod = the(manifests, "Deployment", part=LIMITS)["spec"]["template"]["spec"]
    assert pod["securityContext"] == pod_of(helm, "everything-on")["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    (container,) = containers(pod)
    assert container["securityContext"] == containers(pod_of(helm, "everything-on"))[0]["securityContext"]
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    policy = the(manifests, "NetworkPolicy", part=LIMITS)["spec"]
    (asked, *_) = policy["ingress"]
    assert asked["from"] == [
        {"podSelector": {"matchLabels": the(manifests, "Deployment", part=GATEWAY)["spec"]["selector"]["matchLabels"]}}
    ]
    dns, store = policy["egress"]
    assert [port["port"] for port in dns["ports"]] == [53, 53]
    assert [port["port"] for port in store["ports"]] == [6379, 6380]
    reached = [
        peer for rule in the(manifests, "NetworkPolicy", part=GATEWAY)["spec"]["egress"] for peer in rule.get("to", ())
    ]
    assert {"podSelector": policy["podSelector"]} in reached


def test_the_stores_password_comes_from_a_secret_alone(helm: Helm) -> None:
    manifests = helm.case("everything-on")
    (container,) = containers(the(manifests, "Deployment", part=LIMITS)["spec"]["template"]["spec"])
    variables = {each["name"]: each for each in container["env"]}
    for name, key in (("REDIS_AUTH", "password"), ("REDIS_SENTINEL_AUTH", "sentinelPassword")):
        assert variables[name]["valueFrom"]["secretKeyRef"]["name"] == "valkey-password"
        assert variables[name]["valueFrom"]["secretKeyRef"]["key"] == key
    assert container.get("args", []) == []
    assert not of_kind(helm.case("default"), "Deployment", part=LIMITS), "without an address there is no such service"
