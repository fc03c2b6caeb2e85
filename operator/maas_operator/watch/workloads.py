"""What stands in the cluster for the services: their children, pods, and the nodes."""

import json

from maas_operator.api.names import LABEL_SERVICE
from maas_operator.api.seen import Manifest, NodeSeen, PodSeen
from maas_operator.watch import trim
from maas_operator.watch.groups import Groups
from maas_operator.watch.keys import Key
from maas_operator.watch.nodes import Nodes, holds_room
from maas_operator.watch.pods import node_seen, pod_seen

CHILD_KINDS = ("Deployment", "Service", "PodDisruptionBudget", "ConfigMap")
Owner = tuple[str, str]
"""Namespace and name of a ModelService, whether or not it exists."""


class Children:
    """Deployments, Services, PodDisruptionBudgets and ConfigMaps, by key."""

    def __init__(self) -> None:
        self._kept: dict[Key, bytes] = {}
        self._labelled: dict[Key, str] = {}
        self._of: Groups[Owner, Key] = Groups()

    def put(self, key: Key, raw: Manifest) -> set[Owner]:
        """Keep a child, or whose a stranger's object is. Returns the services that it may concern, if it changed."""
        packed = trim.pack(trim.child(raw))
        if self._kept.get(key) == packed:
            return set()
        before = self._owners(key)
        self._label(key, raw)
        self._kept[key] = packed
        return before | self._owners(key)

    def drop(self, key: Key) -> set[Owner]:
        """Forget a child."""
        if self._kept.pop(key, None) is None:
            return set()
        owners = self._owners(key)
        if (label := self._labelled.pop(key, None)) is not None:
            self._of.remove((key.namespace, label), key)
        return owners

    def of(self, namespace: str, service: str) -> dict[tuple[str, str], Manifest]:
        """(kind, name) -> what is labelled with the service's name, or has its name."""
        keys = {Key(kind, namespace, service): None for kind in CHILD_KINDS}
        keys |= dict.fromkeys(self._of.of((namespace, service)))
        return {(key.kind, key.name): json.loads(self._kept[key]) for key in keys if key in self._kept}

    def _label(self, key: Key, raw: Manifest) -> None:
        before, label = self._labelled.pop(key, None), raw["metadata"].get("labels", {}).get(LABEL_SERVICE)
        if before is not None:
            self._of.remove((key.namespace, before), key)
        if label is not None and trim.managed(raw):
            self._labelled[key] = label
            self._of.add((key.namespace, label), key)

    def _owners(self, key: Key) -> set[Owner]:
        """The service that the child is labelled with, and the one of the same name, in whose way it may stand."""
        owners = {(key.namespace, key.name)}
        if key in self._labelled:
            owners.add((key.namespace, self._labelled[key]))
        return owners


class Pods:
    """Pods by key, and the nodes that carry them."""

    def __init__(self) -> None:
        self.nodes = Nodes()
        self._kept: dict[Key, PodSeen] = {}
        self._of: Groups[Owner, Key] = Groups()

    def put(self, key: Key, raw: Manifest) -> list[PodSeen]:
        """Keep a pod. Returns it as it was and as it is, or nothing where nothing changed."""
        now, before = pod_seen(raw), self._kept.get(key)
        if now == before:
            return []
        self._forget(key)
        self._kept[key] = now
        self.nodes.add(now)
        if now.service is not None:
            self._of.add((now.namespace, now.service), key)
        return [now] if before is None else [before, now]

    def drop(self, key: Key) -> list[PodSeen]:
        """Forget a pod. Returns it."""
        before = self._forget(key)
        return [] if before is None else [before]

    def of(self, namespace: str, service: str) -> tuple[PodSeen, ...]:
        """The pods of a service."""
        return tuple(self._kept[key] for key in self._of.of((namespace, service)))

    def put_node(self, raw: Manifest) -> list[NodeSeen]:
        """Keep a node. Returns it as it was and as it is, or nothing where nothing changed."""
        now = node_seen(raw)
        before = self.nodes.facts(now.name)
        if not self.nodes.put(now):
            return []
        return [now] if before is None else [before, now]

    def drop_node(self, name: str) -> list[NodeSeen]:
        """Forget a node. Returns it."""
        before = self.nodes.facts(name)
        self.nodes.drop(name)
        return [] if before is None else [before]

    def _forget(self, key: Key) -> PodSeen | None:
        pod = self._kept.pop(key, None)
        if pod is not None:
            self.nodes.remove(pod)
            if pod.service is not None:
                self._of.remove((pod.namespace, pod.service), key)
        return pod


def moves_room(pods: list[PodSeen]) -> bool:
    """Whether a change of a pod changes the figures of its pool: it came, went, found a node or finished."""
    return len(pods) == 1 or _room(pods[0]) != _room(pods[1])


def _room(pod: PodSeen) -> tuple[object, ...]:
    return (pod.node, holds_room(pod), pod.phase in {"Succeeded", "Failed"}, pod.leaving, pod.flavor, pod.requests)
