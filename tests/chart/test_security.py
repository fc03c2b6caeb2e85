"""How the operator's pod is locked up."""

import pytest

from tests.chart.helm import CASES, Helm, Manifest, the

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
    assert [set(volume) - {"name"} for volume in pod["volumes"]] == [{"configMap"}, {"emptyDir"}]


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


def test_only_probes_and_metrics_come_in_and_only_dns_and_the_api_server_are_reached(helm: Helm) -> None:
    spec = the(helm.case("everything-on"), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    health, metrics = spec["ingress"]
    assert ([port["port"] for port in health["ports"]], "from" in health) == (["health"], False)
    assert ([port["port"] for port in metrics["ports"]], len(metrics["from"])) == (["metrics"], 1)
    dns, server = spec["egress"]
    assert [port["port"] for port in dns["ports"]] == [53, 53]
    assert ([port["port"] for port in server["ports"]], len(server["to"])) == ([6443], 2)


@each_case
def test_no_image_is_latest(helm: Helm, case: str) -> None:
    (container,) = containers(pod_of(helm, case))
    assert not container["image"].endswith(":latest")
    assert ":" in container["image"].rpartition("/")[2]
