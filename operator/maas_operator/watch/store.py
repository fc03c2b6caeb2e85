"""What was seen of the cluster. Every change says which decisions it may alter."""

from maas_operator.api.kinds import API_KEY, MODEL, MODEL_SERVICE, NOTIFICATION_TOPIC, RESOURCE_POOL
from maas_operator.api.seen import ApiKeySeen, Manifest, ModelSeen, NodeSeen, PodSeen, PoolSeen, ServiceSeen, TopicSeen
from maas_operator.watch.keys import Key
from maas_operator.watch.objects import Altered, Objects, ours
from maas_operator.watch.versions import Versions
from maas_operator.watch.workloads import CHILD_KINDS, Children, Owner, Pods, moves_room

Seen = ServiceSeen | PoolSeen | ModelSeen | ApiKeySeen | TopicSeen


class Store(Versions):
    """Everything that a decision may depend on."""

    def __init__(self) -> None:
        super().__init__()
        self._namespaces: dict[str, dict[str, str]] = {}
        self.objects = Objects()
        self._children = Children()
        self._pods = Pods()

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
                return ModelSeen(manifest, _paths(self.objects.users(key)), self.objects.products.of(manifest))
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


def _paths(users: tuple[Key, ...]) -> list[str]:
    return sorted(f"{user.namespace}/{user.name}" for user in users)
