"""What was seen of the cluster. Every change says which decisions it may alter."""

from collections import OrderedDict
from typing import NamedTuple

from maas_operator.api.kinds import API_KEY, MODEL, MODEL_SERVICE, NOTIFICATION_TOPIC, RESOURCE_POOL
from maas_operator.api.seen import ApiKeySeen, Manifest, ModelSeen, NodeSeen, PodSeen, PoolSeen, ServiceSeen, TopicSeen
from maas_operator.watch.keys import Key
from maas_operator.watch.objects import Altered, Objects, ours
from maas_operator.watch.workloads import CHILD_KINDS, Children, Owner, Pods, moves_room

Seen = ServiceSeen | PoolSeen | ModelSeen | ApiKeySeen | TopicSeen
REMEMBERED_DELETIONS = 4096
"""Deleted objects whose uid is kept, so that a late answer to a write of ours does not bring them back."""


class Version(NamedTuple):
    """Which state of which object."""

    uid: str
    resource_version: int


class Store:
    """Everything that a decision may depend on."""

    def __init__(self) -> None:
        self._versions: dict[Key, Version] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._namespaces: dict[str, dict[str, str]] = {}
        self.objects = Objects()
        self._children = Children()
        self._pods = Pods()

    def put(self, raw: Manifest) -> Altered:
        """Keep an object as it was seen, or as the API server answered a write; the newer resourceVersion wins."""
        key, version = Key.of(raw), version_of(raw)
        known = self._versions.get(key)
        if version.uid in self._deleted or (known and version.resource_version <= known.resource_version):
            return set()
        altered = self.drop(key) if known and known.uid != version.uid else set()
        self._versions[key] = version
        return altered | self._keep(key, raw)

    def drop(self, key: Key, uid: str | None = None) -> Altered:
        """Forget an object; with a uid, only if it is the one."""
        known = self._versions.get(key)
        if gone := uid or (known and known.uid):
            self._deleted[gone] = None
            if len(self._deleted) > REMEMBERED_DELETIONS:
                self._deleted.popitem(last=False)
        if known is None or uid not in {None, known.uid}:
            return set()
        del self._versions[key]
        return self._forget(key)

    def versions(self, kind: str) -> dict[Key, Version]:
        """What is kept of a kind. Walks over everything."""
        return {key: version for key, version in self._versions.items() if key.kind == kind}

    def knows(self, key: Key, version: Version) -> bool:
        """Whether this state of the object, a newer one, or its end has been seen."""
        if version.uid in self._deleted:
            return True
        known = self._versions.get(key)
        return known is not None and known.resource_version >= version.resource_version

    def nodes(self) -> tuple[NodeSeen, ...]:
        """Every node, with what is requested on it."""
        return self._pods.nodes.seen()

    def snapshot(self, key: Key) -> Seen | None:
        """All that a decision on an object depends on; None if the object is not there."""
        manifest = self.objects.get(key)
        if manifest is None:
            return None
        match key.kind:
            case MODEL_SERVICE.kind:
                return self._service(key, manifest)
            case RESOURCE_POOL.kind:
                users = self.objects.users(key)
                pods = [pod for user in users for pod in self._pods.of(user.namespace, user.name)]
                return PoolSeen(manifest, self.nodes(), _paths(users), pods)
            case MODEL.kind:
                return ModelSeen(manifest, _paths(self.objects.users(key)))
            case API_KEY.kind:
                return ApiKeySeen(manifest, self.objects.accounts.of(key.namespace))
            case NOTIFICATION_TOPIC.kind:
                return TopicSeen(manifest)
        raise ValueError(f"nothing is decided on a {key.kind}")

    def _service(self, key: Key, manifest: Manifest) -> ServiceSeen:
        spec = manifest["spec"]
        return ServiceSeen(
            service=manifest,
            model=self.objects.get(Key(MODEL.kind, "", spec["model"]["name"])),
            pool=self.objects.get(Key(RESOURCE_POOL.kind, "", spec["resourcePool"])),
            namespace_labels=self._namespaces.get(key.namespace, {}),
            children=self._children.of(key.namespace, key.name),
            pods=self._pods.of(key.namespace, key.name),
            nodes=self.nodes(),
        )

    def _keep(self, key: Key, raw: Manifest) -> Altered:
        if ours(raw):
            return self.objects.put(key, raw)
        if key.kind in CHILD_KINDS:
            return self._services(self._children.put(key, raw))
        match key.kind:
            case "Pod":
                return self._by_pods(self._pods.put(key, raw))
            case "Node":
                return self._by_nodes(self._pods.put_node(raw))
            case "Namespace":
                return self._by_labels(key.name, raw["metadata"].get("labels", {}))
        raise ValueError(f"nothing is kept of a {key.kind}")

    def _forget(self, key: Key) -> Altered:
        if key.kind in CHILD_KINDS:
            return self._services(self._children.drop(key))
        match key.kind:
            case "Pod":
                return self._by_pods(self._pods.drop(key))
            case "Node":
                return self._by_nodes(self._pods.drop_node(key.name))
            case "Namespace":
                return self._by_labels(key.name, {})
        return self.objects.drop(key)

    def _services(self, owners: set[Owner]) -> Altered:
        keys = {Key(MODEL_SERVICE.kind, *owner) for owner in owners}
        return {key for key in keys if key in self.objects}

    def _by_pods(self, pods: list[PodSeen]) -> Altered:
        altered = self._services({(pod.namespace, pod.service) for pod in pods if pod.service is not None})
        if not pods or not moves_room(pods):
            return altered
        for pod in pods:
            node = self._pods.nodes.facts(pod.node) if pod.node else None
            altered |= self.objects.pools_with(frozenset(node.labels.items())) if node else set()
        for service in [key for key in altered if key.kind == MODEL_SERVICE.kind]:
            altered |= {named for named in self.objects.named_by(service) or () if named.kind == RESOURCE_POOL.kind}
        return altered

    def _by_nodes(self, nodes: list[NodeSeen]) -> Altered:
        return {key for node in nodes for key in self.objects.pools_with(frozenset(node.labels.items()))}

    def _by_labels(self, namespace: str, labels: dict[str, str]) -> Altered:
        if self._namespaces.get(namespace, {}) == labels:
            return set()
        self._namespaces[namespace] = labels
        if not labels:
            del self._namespaces[namespace]
        return set(self.objects.in_namespace(MODEL_SERVICE.kind, namespace))


def version_of(raw: Manifest) -> Version:
    """Which state of which object a manifest shows."""
    metadata = raw["metadata"]
    return Version(metadata["uid"], int(metadata["resourceVersion"]))


def _paths(users: tuple[Key, ...]) -> list[str]:
    return sorted(f"{user.namespace}/{user.name}" for user in users)
