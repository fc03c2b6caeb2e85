"""What the API server makes of a manifest that is applied: as near to the real one as the decisions can tell."""

import copy
from collections.abc import Iterable
from decimal import ROUND_CEILING
from typing import Any

from maas_operator.api.decision import Decision
from maas_operator.api.quantities import parse
from maas_operator.api.seen import Manifest

DEFAULTS: dict[str, Manifest] = {
    "Service": {
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "sessionAffinity": "None",
        "clusterIP": "10.0.0.9",
    },
    "Deployment": {"minReadySeconds": 0},
    "LeaderWorkerSet": {
        "networkConfig": {"subdomainPolicy": "Shared"},
        "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": {"maxUnavailable": 1}},
    },
}
POD_DEFAULTS: Manifest = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
}
CONTAINER_DEFAULTS: Manifest = {"terminationMessagePath": "/dev/termination-log"}
PROBE_DEFAULTS: Manifest = {"successThreshold": 1}


def stored(manifest: Manifest) -> Manifest:
    """The manifest as it is read back: empty fields dropped, quantities canonical, defaults there."""
    made: Manifest = _canonical(copy.deepcopy(manifest))
    metadata = made["metadata"]
    metadata |= {"uid": f"uid-{manifest['kind']}-{metadata['name']}", "creationTimestamp": "2026-01-01T00:00:00Z"}
    metadata["labels"]["someone.example/else"] = "here"
    metadata["annotations"]["deployment.kubernetes.io/revision"] = "1"
    if "spec" in made:
        made["spec"] = DEFAULTS.get(made["kind"], {}) | made["spec"]
    if made["kind"] == "Service":
        for port in made["spec"]["ports"]:
            port["nodePort"] = 30000
    if made["kind"] == "Deployment":
        _pod(made["spec"]["template"]["spec"])
    if made["kind"] == "LeaderWorkerSet":
        for each in ("leaderTemplate", "workerTemplate"):
            _pod(made["spec"]["leaderWorkerTemplate"][each]["spec"])
    return made


def _pod(spec: Manifest) -> None:
    for field, value in POD_DEFAULTS.items():
        spec.setdefault(field, value)
    for container in spec["containers"]:
        container.update(CONTAINER_DEFAULTS)
        for port in container.get("ports", ()):
            port["protocol"] = "TCP"
        for variable in container["env"]:
            if "fieldRef" in variable.get("valueFrom", {}):
                variable["valueFrom"]["fieldRef"]["apiVersion"] = "v1"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                container[probe] |= PROBE_DEFAULTS
            if "httpGet" in container.get(probe, ()):
                container[probe]["httpGet"]["scheme"] = "HTTP"
    for volume in spec["volumes"]:
        if "configMap" in volume:
            volume["configMap"]["defaultMode"] = 420
    spec["containers"].append({"name": "someone-elses-sidecar", "image": "mesh"})


def _canonical(value: Any, quantities: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            key: _canonical(item, quantities or key in {"limits", "requests"}) if key != "sizeLimit" else quantity(item)
            for key, item in value.items()
            if item not in ("", [], {}, None) or key == "emptyDir"
        }
    if isinstance(value, list):
        return [_canonical(item, quantities) for item in value]
    return quantity(value) if quantities else value


def quantity(text: str) -> str:
    """A quantity in the API server's own words: no fraction finer than a thousandth, the largest unit that is even."""
    value = (parse(text) * 1000).to_integral_value(rounding=ROUND_CEILING) / 1000
    if text.endswith("i") and value == value.to_integral_value() and value >= 1024:
        return _largest(int(value), 1024, ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))
    return _largest(int(value * 1000), 1000, ("m", "", "k", "M", "G", "T", "P", "E"))


def _largest(number: int, step: int, units: tuple[str, ...]) -> str:
    unit = 0
    while number and number % step == 0 and unit < len(units) - 1:
        number, unit = number // step, unit + 1
    return f"{number}{units[unit]}" if number else "0"


def children_after(decision: Decision, before: Iterable[Manifest] = ()) -> dict[tuple[str, str], Manifest]:
    """What stands there once a decision has been carried out."""
    there = {(each["kind"], each["metadata"]["name"]): each for each in before}
    for each in decision.apply:
        there[each.manifest["kind"], each.manifest["metadata"]["name"]] = stored(each.manifest)
    for gone in decision.remove:
        there.pop((gone.kind, gone.name), None)
    return there
