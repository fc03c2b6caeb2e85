"""CoreDNS as a Deployment behind the cluster's DNS address; it answers for the cluster alone."""

import json
from typing import Any

from tests.cluster.kubelet import CLUSTER_DOMAIN
from tests.cluster.layout import Layout
from tests.cluster.parts import PARTS

NAMESPACE = "kube-system"
NAME = "coredns"
LABELS = {"k8s-app": "kube-dns"}
SELECTOR = ",".join(f"{key}={value}" for key, value in LABELS.items())
COREFILE = f"""\
.:53 {{
    errors
    health
    ready
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        ttl 5
    }}
    cache 5
}}
"""


def image() -> str:
    return f"localhost/maas-operator/coredns:{PARTS['coredns'].version}"


def manifests(layout: Layout) -> str:
    """All objects, as a List for kubectl."""
    items = [
        _object("v1", "ServiceAccount"),
        _object("rbac.authorization.k8s.io/v1", "ClusterRole", rules=_rules()),
        _object(
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        ),
        _object("v1", "ConfigMap", data={"Corefile": COREFILE}),
        _object(
            "apps/v1",
            "Deployment",
            spec={
                "replicas": 1,
                "selector": {"matchLabels": LABELS},
                "template": {"metadata": {"labels": LABELS}, "spec": _pod()},
            },
        ),
        _object("v1", "Service", spec=_service(layout)),
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _object(version: str, kind: str, **fields: object) -> dict[str, object]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": NAME, "namespace": NAMESPACE}, **fields}


def _rules() -> list[dict[str, list[str]]]:
    watched = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]},
    ]
    return [{**rule, "verbs": ["list", "watch"]} for rule in watched]


def _service(layout: Layout) -> dict[str, Any]:
    ports = [{"name": f"dns-{protocol.lower()}", "port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return {"clusterIP": str(layout.addresses.dns_ip), "selector": LABELS, "ports": ports}


def _pod() -> dict[str, Any]:
    container = {
        "name": NAME,
        "image": image(),
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "50Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    return {
        "serviceAccountName": NAME,
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": NAME}}],
    }
