"""What each of our processes may do in the cluster, a table each: the chart grants it; the operator checks itself."""

from dataclasses import dataclass

from maas_operator.api.kinds import API_KEY, KINDS, MODEL, MODEL_SERVICE
from maas_operator.api.names import GROUP


@dataclass(frozen=True, slots=True)
class Permission:
    """One resource, the verbs that are used on it, and what stops working without them."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    needed_for: str
    own_namespace: bool = False
    """Only in the operator's own namespace (a Role, no ClusterRole)."""


_WATCH = ("get", "list", "watch")

PERMISSIONS: tuple[Permission, ...] = (
    *(Permission(GROUP, kind.plural, _WATCH, f"seeing {kind.kind} objects") for kind in KINDS),
    *(Permission(GROUP, f"{kind.plural}/status", ("patch",), f"reporting on {kind.kind} objects") for kind in KINDS),
    Permission("apps", "deployments", (*_WATCH, "create", "patch", "delete"), "running the instances of services"),
    Permission("", "services", (*_WATCH, "create", "patch"), "giving each service an address"),
    Permission("policy", "poddisruptionbudgets", (*_WATCH, "create", "patch"), "draining nodes one instance at a time"),
    Permission("", "configmaps", ("get", "list", "create", "patch", "delete"), "giving chat templates to the engine"),
    Permission("", "secrets", ("create", "delete"), "delivering keys that the operator makes"),
    Permission("", "pods", _WATCH, "telling why an instance does not run, and counting what nodes hold"),
    Permission("", "nodes", _WATCH, "counting the room in resource pools"),
    Permission("", "namespaces", _WATCH, "deciding which accounts may use a pool"),
    Permission("", "events", ("create",), "telling what happened as Kubernetes events"),
    Permission("coordination.k8s.io", "leases", ("get", "create", "update"), "electing a leader", own_namespace=True),
)

_SEE = ("get", *_WATCH)
"""With get, an object whose event is late can be fetched."""

GATEWAY_PERMISSIONS: tuple[Permission, ...] = (
    Permission(GROUP, MODEL_SERVICE.plural, _SEE, "finding the services that can be called"),
    Permission(GROUP, API_KEY.plural, _SEE, "knowing who may call"),
    Permission(GROUP, MODEL.plural, _SEE, "offering the catalogue's products to clients of Intel's API"),
    Permission("discovery.k8s.io", "endpointslices", _SEE, "finding the instances of services, and its own replicas"),
    Permission("", "namespaces", _SEE, "seeing which accounts and services are frozen"),
)
"""Of the gateway's service account. It changes nothing in the cluster, and sees no Secret."""

LEDGER_PERMISSIONS: tuple[Permission, ...] = (
    Permission("authentication.k8s.io", "tokenreviews", ("create",), "asking whose token came with a request"),
)
"""Of the ledger's service account."""
