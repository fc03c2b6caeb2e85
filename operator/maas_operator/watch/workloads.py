"""What stands in the cluster for the services: their children, pods, and the nodes."""

import json
from collections.abc import Iterator

from maas_operator.api.names import LABEL_SERVICE, LWS_KIND
from maas_operator.api.seen import Manifest, NodeSeen, PodSeen
from maas_operator.watch import trim
from maas_operator.watch.groups import Groups
from maas_operator.watch.keys import Key
from maas_operator.watch.nodes import Nodes, holds_room
from maas_operator.watch.pods import node_seen, pod_seen

CHILD_KINDS = ("Deployment", LWS_KIND, "Service", "PodDisruptionBudget", "ConfigMap", "Job")
REPLICATED = frozenset({"Deployment", LWS_KIND})
"""Those of them that make a service's instances."""
Owner = tuple[str, str]
"""Namespace and name of a ModelService, whether or not it exists."""


class Children:
    """Deployments, LeaderWorkerSets, Services, PodDisruptionBudgets, ConfigMaps and Jobs, by key."""

    def __init__(self) -> None:
        self._kept: dict[Key, bytes] = {}
        self._labelled: dict[Key, str] = {}
        self._of: Groups[Owner, Key] = Groups()
        self.replicas: dict[Owner, int] = {}
        """Instances that are made of each service, as that of its workloads says that makes most."""
        self._replicas: dict[Key, int] = {}
        self._hosts: dict[Key, int] = {}
        """Pods that each LeaderWorkerSet asks for, those of workers among them."""

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
        self._hosts.pop(key, None)
        if (label := self._labelled.pop(key, None)) is not None:
            self._of.remove((key.namespace, label), key)
            self._count(key, label, None)
        return owners

    def of(self, namespace: str, service: str) -> dict[tuple[str, str], Manifest]:
        """(kind, name) -> what is labelled with the service's name, or has its name."""
        keys = {Key(kind, namespace, service): None for kind in CHILD_KINDS}
        keys |= dict.fromkeys(self._of.of((namespace, service)))
        return {(key.kind, key.name): json.loads(self._kept[key]) for key in keys if key in self._kept}

    def hosts(self) -> Iterator[tuple[Owner, str, int]]:
        """Of each service with LeaderWorkerSets, for each of these: its name, and the pods that it asks for."""
        for key, count in self._hosts.items():
            if key in self._labelled:
                yield (key.namespace, self._labelled[key]), key.name, count

    def _label(self, key: Key, raw: Manifest) -> None:
        before, label = self._labelled.pop(key, None), raw["metadata"].get("labels", {}).get(LABEL_SERVICE)
        if before is not None:
            self._of.remove((key.namespace, before), key)
            self._count(key, before, None)
        if label is not None and trim.managed(raw):
            self._labelled[key] = label
            self._of.add((key.namespace, label), key)
            self._count(key, label, raw.get("spec", {}).get("replicas"))
            if key.kind == LWS_KIND:
                spec = raw.get("spec", {})
                self._hosts[key] = spec.get("replicas", 1) * spec.get("leaderWorkerTemplate", {}).get("size", 1)

    def _count(self, key: Key, service: str, replicas: int | None) -> None:
        """Note how many instances a workload makes; None: none any more."""
        if key.kind not in REPLICATED:
            return
        self._replicas.pop(key, None)
        if replicas is not None:
            self._replicas[key] = replicas
        owner = (key.namespace, service)
        made = [self._replicas[each] for each in self._of.of(owner) if each in self._replicas]
        self.replicas.pop(owner, None)
        if made:
            self.replicas[owner] = max(made)

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
        self._set_up: dict[Key, PodSeen] = {}
        self._fetching_for: Groups[Owner, Key] = Groups()

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
        if now.set_up_since is not None and not now.leaving:
            self._set_up[key] = now
        if now.fetches_for is not None:
            self._fetching_for.add((now.namespace, now.fetches_for), key)
        return [now] if before is None else [before, now]

    def drop(self, key: Key) -> list[PodSeen]:
        """Forget a pod. Returns it."""
        before = self._forget(key)
        return [] if before is None else [before]

    def of(self, namespace: str, service: str) -> tuple[PodSeen, ...]:
        """The pods of a service."""
        return tuple(self._kept[key] for key in self._of.of((namespace, service)))

    def set_up(self) -> list[PodSeen]:
        """The pods of services that their nodes are setting up."""
        return list(self._set_up.values())

    def fetching_for(self, namespace: str, service: str) -> tuple[PodSeen, ...]:
        """The pods of Jobs that fetch a service's weights."""
        return tuple(self._kept[key] for key in self._fetching_for.of((namespace, service)))

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

    def on(self, node: str) -> set[Owner]:
        """The services that have a pod on the node."""
        return {(pod.namespace, pod.service) for pod in self._kept.values() if pod.node == node and pod.service}

    def _forget(self, key: Key) -> PodSeen | None:
        pod = self._kept.pop(key, None)
        self._set_up.pop(key, None)
        if pod is not None:
            self.nodes.remove(pod)
            if pod.service is not None:
                self._of.remove((pod.namespace, pod.service), key)
            if pod.fetches_for is not None:
                self._fetching_for.remove((pod.namespace, pod.fetches_for), key)
        return pod


def moves_room(pods: list[PodSeen]) -> bool:
    """Whether a change of a pod changes the figures of its pool: it came, went, found a node or finished."""
    return len(pods) == 1 or _room(pods[0]) != _room(pods[1])


def _room(pod: PodSeen) -> tuple[object, ...]:
    return (pod.node, holds_room(pod), pod.phase in {"Succeeded", "Failed"}, pod.leaving, pod.flavor, pod.requests)
