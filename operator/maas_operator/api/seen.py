"""What was seen: the values that watch/ keeps, and from which decide/ decides. Trimmed to what a decision needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from maas_operator.api.fetching import FetchProgress

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
    back_off: str = ""
    """The pause before the next try, as the kubelet writes it (5m0s)."""
    memory_limit: str = ""
    """What it had used up, where it was killed for its memory."""
    image: str = ""
    """The image, where that is what cannot be had."""
    start_seconds: int | None = None
    """The time that it had to become ready, where that was not enough."""
    node: str = ""
    """The node, where that is what cannot set the pod up."""


class FetchState(StrEnum):
    """How a pod's fetching of weights stands."""

    RUNNING = "Running"
    DONE = "Done"
    FAILING = "Failing"


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
    address: str | None = None
    """Its IP address, once it has one; None for other tenants' pods."""
    fetch: FetchState | None = None
    """How its fetching of weights stands; None: it fetches none, or has not begun."""
    fetches_for: str | None = None
    """The ModelService whose weights it fetches, of a Job's pod: it is no instance."""
    deletion_cost: str | None = None
    """What Kubernetes goes by when it chooses which pod to remove (names.ANNOTATION_DELETION_COST)."""
    set_up_since: str | None = None
    """When it was given its node (RFC 3339), while that has not set up its volumes and its network."""
    group: str | None = None
    """Of an instance of several hosts: which instance, in its leader's name (SET-INDEX); None: it is an instance by
    itself."""
    worker_index: int = 0
    """Which host of the instance: 0 leads, the others take no requests."""
    scheduled_at: int | None = None
    """When it got its node (condition PodScheduled), in seconds since 1970; None: not yet, or another tenant's."""
    finished_at: int | None = None
    """When the last of its containers ended, where all have ended for good and said when."""
    leaving_by: int | None = None
    """When it has to be gone at the latest (its deletionTimestamp, which counts the grace period in)."""

    @property
    def leads(self) -> bool:
        """Whether it is the pod of its instance that takes requests."""
        return self.worker_index == 0


@dataclass(frozen=True, slots=True)
class InstanceEnded:
    """A pod of ours that has left its node."""

    pod: PodSeen
    """As it was seen last."""
    at: int | None
    """When it was seen to go or to finish, in seconds since 1970; None: it had finished before it was first seen."""


@dataclass(frozen=True, slots=True)
class PoolEdit:
    """A ResourcePool's spec, as somebody has edited it."""

    name: str
    uid: str
    generation: int
    since: int
    """When it was edited, in seconds since 1970."""
    spec: Manifest


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
class InstanceMeasured:
    """What an engine, and the gateways, say of one instance."""

    running: int
    """Requests that the engine works on."""
    waiting: int
    """Requests that wait inside the engine."""
    kv_cache: int
    """Per cent of the key-value cache in use, rounded up."""
    stuck_since: datetime | None = None
    """Since when it has had requests, and none of its counters of tokens and requests has moved; None: it moves, or
    has nothing to do."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a service at a moment."""

    at: datetime
    instances: Mapping[str, InstanceMeasured]
    """By pod name: of the ready instances those that answered."""
    queries_per_second: float | None
    """Requests that came, on average over the last minute; None while that is not known."""
    held: int | None
    """Requests that the gateways hold; None: not every gateway answered."""
    last_request: datetime | None
    """When the last request came, as far as is known."""
    since: datetime | None
    """From when on every gateway's requests are known without a gap: only since then can the service be called idle.
    None: not every gateway answered."""
    fetching: Mapping[str, FetchProgress] = field(default_factory=dict)
    """By pod name: how far those that fetch weights have come."""
    called: datetime | None = None
    """When the last request came at the gateways that are there, by their clocks; what goes past them is none."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """How many instances the metrics asked for at a moment."""

    at: datetime
    instances: int


@dataclass(frozen=True, slots=True)
class ScaleEvent:
    """By how many instances scaling changed their number at a moment: up above 0, down below."""

    at: datetime
    change: int


@dataclass(frozen=True, slots=True)
class ScalingMemory:
    """What decisions on the number of instances have to know of those before. It lasts as long as the process leads."""

    measured_at: datetime | None = None
    """Of the Measured that was decided upon last: the next decision needs a newer one."""
    recommendations: tuple[Recommendation, ...] = ()
    events: tuple[ScaleEvent, ...] = ()
    busy_at: datetime | None = None
    """When the service was last seen to have requests, or to be asked for."""


@dataclass(frozen=True, slots=True)
class Overruled:
    """A write that took fields of an object of ours back from another field manager."""

    kind: str
    name: str
    by: str
    """The others and their fields, for people: kubectl (.spec.replicas)."""


@dataclass(frozen=True, slots=True)
class Contest:
    """How an object of ours was taken back from others. It is known as long as the process leads."""

    by: str
    """Who they were the last time, and their fields."""
    times: tuple[datetime, ...]
    """When, from old to new."""
    generation: int
    """The service's metadata.generation then."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a ModelService has of its pool and what it asks for, as decided upon last."""

    namespace: str
    name: str
    pool: str
    flavor: str
    desired: int
    """Instances."""
    placed: int
    """Those of them that have had a node: their places are its own."""
    replicas: int = 0
    """Instances that its Deployment asks for."""
    since: str = ""
    """Since when it asks for more than it has; "": it does not."""
    resource: str = ""
    """What its line is for: the accelerator's resource, or cpu."""
    waiting: int = 0
    """Instances that wait in line for room, and that the pool's nodes could hold. 0: it holds nobody up."""
    quota: str = ""
    """The quota for which some wait; "": none."""
    disk: int = 0
    """Bytes of ephemeral storage that each instance asks for beside its flavor."""
    priority: int = 0
    """Of its PriorityClass."""
    created: str = ""

    @property
    def who(self) -> str:
        """NAMESPACE/NAME."""
        return f"{self.namespace}/{self.name}"

    @property
    def order(self) -> tuple[int, str, str, str]:
        """What sorts a line from its front to its end: priority, then who came first, then age."""
        return -self.priority, self.since, self.created, self.who


Lines = Mapping[str, Sequence[Standing]]
"""By resource: the services of a pool that wait for room, the first first, LINE_SHOWN at most."""


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """All that a decision on one ModelService depends on, read once."""

    service: Manifest
    model: Manifest | None
    pool: Manifest | None
    namespace_labels: Mapping[str, str]
    children: Mapping[tuple[str, str], Manifest]
    """(kind, name) -> what stands there now: Deployment, Service, PodDisruptionBudget, ConfigMap and Job under the
    names that the service's children would have, whoever owns them, and its LeaderWorkerSets."""
    pods: Sequence[PodSeen]
    nodes: Sequence[NodeSeen]
    """Every node of the cluster."""
    measured: Measured | None = None
    """What was measured last; None before the first time."""
    scaling_memory: ScalingMemory | None = None
    """As the decision before left it; None for the first decision of this process."""
    fetchers: Sequence[PodSeen] = ()
    """The pods of Jobs that fetch its weights."""
    topic: Manifest | None = None
    """The NotificationTopic that spec.notifications names."""
    settled: frozenset[tuple[str, str]] | None = None
    """(event's id, TOPIC/CHANNEL): notifications that need no further try, delivered or given up. None: this operator
    sends none."""
    priority: int | None = 0
    """Of its PriorityClass; None: there is none of the name."""
    lines: Lines = field(default_factory=dict)
    """Of its pool. It may stand in one of them itself."""
    account: Sequence[Standing] = ()
    """Its account's other services in the pool, where the pool has quotas."""
    absent: frozenset[str] = frozenset()
    """Kinds that the operator could make use of, and that this cluster does not know."""
    refused: str | None = None
    """Why hosts of its instances are not made, in Kubernetes' words; None: nothing is known to be in their way."""
    contests: Mapping[tuple[str, str], Contest] = field(default_factory=dict)
    """(kind, name) -> the child's, where others have written what is the operator's."""


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """All that a ResourcePool's status depends on."""

    pool: Manifest
    nodes: Sequence[NodeSeen]
    users: Sequence[str]
    """ModelServices that name the pool, NAMESPACE/NAME, sorted."""
    pods: Sequence[PodSeen]
    """The pods of its services."""
    asking: Sequence[Standing] = ()
    """Those of its services that ask for more than they have."""


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
class ChannelTold:
    """What became of messages on a channel since the topic's status was last written."""

    deliveries: int = 0
    failures: int = 0
    last_delivery: datetime | None = None
    error: str | None = None
    """Why the last attempt failed; None: it succeeded."""


@dataclass(frozen=True, slots=True)
class TopicTested:
    """What became of a test."""

    requested_at: str
    errors: Mapping[str, str | None]
    """By channel: why it failed; None: it was delivered."""


@dataclass(frozen=True, slots=True)
class TopicSeen:
    """A NotificationTopic, and what became of its messages since its status was last written."""

    topic: Manifest
    told: Mapping[str, ChannelTold] = field(default_factory=dict)
    """By channel."""
    test: TopicTested | None = None


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
    overruled: tuple[Overruled, ...] = ()
