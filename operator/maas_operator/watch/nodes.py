"""Nodes, and what the pods on them request: kept up to date pod by pod, never counted anew."""

from dataclasses import dataclass, field, replace
from types import MappingProxyType

from maas_operator.api.seen import Amounts, NodeSeen, PodSeen
from maas_operator.watch.pods import FINISHED


@dataclass(slots=True)
class _Load:
    """What the pods on one node request together."""

    requested: dict[str, int] = field(default_factory=dict)
    by_models: dict[str, int] = field(default_factory=dict)
    pods: int = 0
    model_pods: int = 0

    def count(self, pod: PodSeen, sign: int) -> None:
        self.pods += sign
        _count(self.requested, pod.requests, sign)
        if pod.service is not None:
            self.model_pods += sign
            _count(self.by_models, pod.requests, sign)


def _count(total: dict[str, int], requests: Amounts, sign: int) -> None:
    for name, amount in requests.items():
        total[name] = total.get(name, 0) + sign * amount
        if not total[name]:
            del total[name]


def holds_room(pod: PodSeen) -> bool:
    """Whether the pod takes room on a node."""
    return pod.node is not None and pod.phase not in FINISHED


class Nodes:
    """Every node, with what is requested on it."""

    def __init__(self) -> None:
        self._facts: dict[str, NodeSeen] = {}
        self._loads: dict[str, _Load] = {}
        self._seen: dict[str, NodeSeen] = {}
        self._all: tuple[NodeSeen, ...] | None = ()

    def put(self, facts: NodeSeen) -> bool:
        """Keep a node's facts. Returns whether they changed."""
        if self._facts.get(facts.name) == facts:
            return False
        self._facts[facts.name] = facts
        self._changed(facts.name)
        return True

    def drop(self, name: str) -> None:
        """Forget a node. What its pods request is still kept: they may be seen to go later than it."""
        self._facts.pop(name, None)
        self._changed(name)

    def facts(self, name: str) -> NodeSeen | None:
        """A node's facts, without its load."""
        return self._facts.get(name)

    def add(self, pod: PodSeen) -> None:
        """Count a pod."""
        self._move(pod, 1)

    def remove(self, pod: PodSeen) -> None:
        """Count a pod no longer."""
        self._move(pod, -1)

    def seen(self) -> tuple[NodeSeen, ...]:
        """All nodes as they are now. The same tuple as before where nothing changed."""
        if self._all is None:
            for name in self._facts.keys() - self._seen.keys():
                self._seen[name] = self._with_load(self._facts[name])
            self._all = tuple(self._seen[name] for name in self._facts)
        return self._all

    def _move(self, pod: PodSeen, sign: int) -> None:
        if pod.node is None or not holds_room(pod):
            return
        load = self._loads.setdefault(pod.node, _Load())
        load.count(pod, sign)
        if not load.pods:
            del self._loads[pod.node]
        self._changed(pod.node)

    def _changed(self, name: str) -> None:
        self._seen.pop(name, None)
        self._all = None

    def _with_load(self, facts: NodeSeen) -> NodeSeen:
        load = self._loads.get(facts.name)
        if load is None:
            return facts
        return replace(
            facts,
            requested=MappingProxyType(dict(load.requested)),
            requested_by_models=MappingProxyType(dict(load.by_models)),
            pods=load.pods,
            model_pods=load.model_pods,
        )
