"""What is watched, and what a decision on each kind has to have seen."""

from collections.abc import Mapping
from dataclasses import dataclass

from maas_operator.api.kinds import API_KEY, KINDS, MODEL, MODEL_SERVICE, NOTIFICATION_TOPIC, RESOURCE_POOL
from maas_operator.api.names import GROUP, LWS_GROUP, LWS_KIND, LWS_VERSION, VERSION


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind whose objects are seen all over the cluster."""

    group: str
    version: str
    plural: str
    kind: str
    optional: bool = False
    """A cluster need not know it. What is decided without it is said then."""

    @property
    def api(self) -> str:
        """Where the API server says which kinds there are beside it."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def path(self) -> str:
        """Where the API server lists it."""
        return f"{self.api}/{self.plural}"


WATCHED = (
    *(Watched(GROUP, VERSION, kind.plural, kind.kind) for kind in KINDS),
    Watched("apps", "v1", "deployments", "Deployment"),
    Watched("batch", "v1", "jobs", "Job"),
    Watched(LWS_GROUP, LWS_VERSION, "leaderworkersets", LWS_KIND, optional=True),
    Watched("", "v1", "services", "Service"),
    Watched("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    Watched("", "v1", "pods", "Pod"),
    Watched("", "v1", "nodes", "Node"),
    Watched("", "v1", "namespaces", "Namespace"),
    Watched("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass"),
)
CONFIG_MAPS = Watched("", "v1", "configmaps", "ConfigMap")
"""Ours alone are listed, and none watched: a cluster has thousands that are nothing to us, and nobody edits these."""

_CHILDREN = ("Deployment", LWS_KIND, "Service", "PodDisruptionBudget", "ConfigMap")
NEEDED: Mapping[str, frozenset[str]] = {
    MODEL_SERVICE.kind: frozenset(
        {
            *(MODEL_SERVICE.kind, MODEL.kind, RESOURCE_POOL.kind, NOTIFICATION_TOPIC.kind),
            *("Pod", "Node", "Namespace", "PriorityClass", *_CHILDREN),
        }
    ),
    RESOURCE_POOL.kind: frozenset({RESOURCE_POOL.kind, MODEL_SERVICE.kind, "Pod", "Node"}),
    MODEL.kind: frozenset({MODEL.kind, MODEL_SERVICE.kind}),
    API_KEY.kind: frozenset({API_KEY.kind}),
    NOTIFICATION_TOPIC.kind: frozenset({NOTIFICATION_TOPIC.kind}),
}
"""Nothing is decided on a kind before all of these have been listed: what was not seen yet would look as if it were
not there. A kind that may not be listed stops only the decisions that need it. Jobs stop none: few services have one,
and one that was not seen is applied once more, which changes nothing, and is seen by the answer."""


@dataclass(frozen=True, slots=True)
class View:
    """What a process has to see. `listed`: without a watch, by comparing now and then alone."""

    watched: tuple[Watched, ...]
    listed: tuple[Watched, ...]
    needed: Mapping[str, frozenset[str]]
    """What can be done -> the kinds that have to have been seen before."""

    @property
    def all(self) -> tuple[Watched, ...]:
        """Everything that is seen."""
        return (*self.watched, *self.listed)


OPERATORS = View(WATCHED, (CONFIG_MAPS,), NEEDED)
