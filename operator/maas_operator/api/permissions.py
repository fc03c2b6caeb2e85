"""What each of our processes may do in the cluster, a table each: the chart grants it; the operator checks itself."""

from dataclasses import dataclass
from typing import NamedTuple

from maas_operator.api.kinds import API_KEY, KINDS, MODEL, MODEL_SERVICE
from maas_operator.api.names import GROUP, LWS_GROUP


@dataclass(frozen=True, slots=True)
class Permission:
    """One resource, the verbs that are used on it, and what stops working without them."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    needed_for: str
    own_namespace: bool = False
    """Only in the operator's own namespace (a Role, no ClusterRole)."""
    value: str = ""
    """The chart's value that asks for it; empty: every release does."""

    def lacks(self) -> "list[Lack]":
        """What may be missing of it."""
        return [Lack(self.group, self.resource, verb) for verb in self.verbs]


class Lack(NamedTuple):
    """A verb on a resource that is needed and may not be used."""

    group: str
    resource: str
    verb: str

    @property
    def title(self) -> str:
        """The resource as kubectl calls it: modelservices.maas-operator.io/status."""
        plural, slash, subresource = self.resource.partition("/")
        return ".".join(part for part in (plural, self.group) if part) + slash + subresource


_WATCH = ("get", "list", "watch")
"""With get, an object whose event is late can be fetched."""
_GATEWAY = "gateway.enabled"

PERMISSIONS: tuple[Permission, ...] = (
    *(Permission(GROUP, kind.plural, _WATCH, f"seeing {kind.kind} objects") for kind in KINDS),
    *(Permission(GROUP, f"{kind.plural}/status", ("patch",), f"reporting on {kind.kind} objects") for kind in KINDS),
    Permission("apps", "deployments", (*_WATCH, "create", "patch", "delete"), "running the instances of services"),
    Permission("batch", "jobs", (*_WATCH, "create", "patch", "delete"), "fetching weights into a shared cache"),
    Permission(
        LWS_GROUP,
        "leaderworkersets",
        (*_WATCH, "create", "patch", "delete"),
        "running instances that spread over several hosts",
    ),
    Permission("", "services", (*_WATCH, "create", "patch"), "giving each service an address"),
    Permission("policy", "poddisruptionbudgets", (*_WATCH, "create", "patch"), "draining nodes one instance at a time"),
    Permission("", "configmaps", ("get", "list", "create", "patch", "delete"), "giving chat templates to the engine"),
    Permission("", "secrets", ("create", "delete"), "delivering keys that the operator makes"),
    Permission("", "pods", _WATCH, "telling why an instance does not run, and counting what nodes hold"),
    Permission("", "pods", ("patch",), "removing the least busy instance first"),
    Permission("", "pods", ("delete",), "replacing instances that hang"),
    Permission("", "nodes", _WATCH, "counting the room in resource pools"),
    Permission("", "namespaces", _WATCH, "deciding which accounts may use a pool"),
    Permission("scheduling.k8s.io", "priorityclasses", _WATCH, "ordering the services that wait for room"),
    Permission("", "events", ("create",), "telling what happened as Kubernetes events"),
    Permission(
        "", "events", ("list",), "telling what a node lacks that cannot set an instance up, and why hosts are not made"
    ),
    Permission("coordination.k8s.io", "leases", ("get", "create", "update"), "electing a leader", own_namespace=True),
)

NOTIFICATION_PERMISSIONS: tuple[Permission, ...] = (
    Permission("", "secrets", ("get",), "sending notifications to where Secrets say", value="notifications.enabled"),
)
"""Of the operator, beside the others, where notifications are on."""

GATEWAY_PERMISSIONS: tuple[Permission, ...] = (
    Permission(GROUP, MODEL_SERVICE.plural, _WATCH, "finding the services that can be called", value=_GATEWAY),
    Permission(GROUP, MODEL_SERVICE.plural, ("patch",), "waking services that sleep, by an annotation", value=_GATEWAY),
    Permission(GROUP, API_KEY.plural, _WATCH, "knowing who may call", value=_GATEWAY),
    Permission(
        GROUP, MODEL.plural, _WATCH, "offering products, and refusing what a model does not support", value=_GATEWAY
    ),
    Permission(
        "discovery.k8s.io",
        "endpointslices",
        _WATCH,
        "finding the instances of services, and its own replicas",
        value=_GATEWAY,
    ),
    Permission("", "namespaces", _WATCH, "seeing which accounts and services are frozen", value=_GATEWAY),
)
"""Of the gateway's service account. It sees no Secret, and changes nothing but one annotation of ModelServices, to
which the chart's policy holds it."""

LEDGER_PERMISSIONS: tuple[Permission, ...] = (
    Permission(
        "authentication.k8s.io", "tokenreviews", ("create",), "asking whose token came with a request", value=_GATEWAY
    ),
)
"""Of the ledger's service account."""

CATALOGUE_PERMISSIONS: tuple[Permission, ...] = (
    Permission(
        GROUP,
        MODEL.plural,
        ("list", "create", "patch", "delete"),
        "keeping the chart's catalogue",
        value="catalogue.enabled",
    ),
)
"""Of the Job that writes the chart's Models: nobody else of us writes a spec."""
