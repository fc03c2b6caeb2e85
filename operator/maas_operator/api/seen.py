"""What was seen: the values that watch/ keeps, and from which decide/ decides. Trimmed to what a decision needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]
"""An object as the API server speaks of it, in JSON terms."""
Amounts = Mapping[str, int]
"""Resource name -> amount. cpu in thousandths, everything else in units (bytes, devices)."""


def age(manifest: Manifest) -> tuple[str, str, str]:
    """What sorts objects from old to new: the time of creation, then namespace and name."""
    metadata = manifest["metadata"]
    return metadata.get("creationTimestamp", ""), metadata.get("namespace", ""), metadata["name"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a container does not run, as the kubelet says it."""

    reason: str
    message: str = ""
    exit_code: int | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A pod, of ours or of another tenant."""

    namespace: str
    name: str
    uid: str
    service: str | None
    """The ModelService it belongs to, from its labels; None for other tenants' pods."""
    pool: str | None
    flavor: str | None
    model_version: str | None
    template_hash: str | None
    """Which ReplicaSet it is of (label pod-template-hash): differs also where someone else changed the template."""
    node: str | None
    phase: str
    ready: bool
    leaving: bool
    """It has a deletion timestamp."""
    unschedulable: str | None
    """The scheduler's message, while it finds no node."""
    failure: Failure | None
    requests: Amounts
    template: str | None = None
    """Which template of ours it was made from (label maas-operator.io/template)."""


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node, and what the pods on it request."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[tuple[str, str, str], ...]
    """(key, value, effect)"""
    ready: bool
    cordoned: bool
    allocatable: Amounts
    requested: Amounts
    """By all pods that are bound to it and not finished."""
    requested_by_models: Amounts
    """By pods of ModelServices among them."""
    pods: int
    """Pods bound to it and not finished."""
    model_pods: int
    """Pods of ModelServices among them."""


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """All that a decision on one ModelService depends on, read once."""

    service: Manifest
    model: Manifest | None
    pool: Manifest | None
    namespace_labels: Mapping[str, str]
    children: Mapping[tuple[str, str], Manifest]
    """(kind, name) -> what stands there now: Deployment, Service, PodDisruptionBudget and ConfigMap under the names
    that the service's children would have, whoever owns them."""
    pods: Sequence[PodSeen]
    nodes: Sequence[NodeSeen]
    """Every node of the cluster."""


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """All that a ResourcePool's status depends on."""

    pool: Manifest
    nodes: Sequence[NodeSeen]
    users: Sequence[str]
    """ModelServices that name the pool, NAMESPACE/NAME, sorted."""
    pods: Sequence[PodSeen]
    """The pods of its services."""


@dataclass(frozen=True, slots=True)
class ModelSeen:
    """All that a Model's status depends on."""

    model: Manifest
    users: Sequence[str]
    same_product: Sequence[Manifest]
    """The Models whose product has the same id (itself among them), trimmed to name and time of creation."""


@dataclass(frozen=True, slots=True)
class ApiKeySeen:
    """A key, and all keys of its account (itself among them), trimmed to name, times and tag."""

    key: Manifest
    account: Sequence[Manifest]


@dataclass(frozen=True, slots=True)
class TopicSeen:
    """A NotificationTopic."""

    topic: Manifest


@dataclass(frozen=True, slots=True)
class WriteFailure:
    """A write that did not succeed: what, and in the API server's words why."""

    what: str
    """For example "Deployment team-a/assistant"."""
    reason: str
    """A member of api.conditions.Reason."""
    message: str
    retry: bool = True
    """Whether trying again can help without anybody's act."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How carrying out a decision went."""

    failures: tuple[WriteFailure, ...] = field(default=())
    learned: Mapping[str, Any] = field(default_factory=dict)
    """Parts of the object's status that only carrying it out could tell. Once they are written they are facts."""
