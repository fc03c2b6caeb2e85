"""What was seen of the cluster. Every change says which decisions it may alter."""

from collections.abc import Mapping
from dataclasses import replace

from maas_operator.api.kinds import API_KEY, MODEL, MODEL_SERVICE, NOTIFICATION_TOPIC, RESOURCE_POOL
from maas_operator.api.seen import (
    ApiKeySeen,
    Contest,
    Failure,
    Manifest,
    Measured,
    ModelSeen,
    NodeSeen,
    PodSeen,
    PoolSeen,
    ScalingMemory,
    ServiceSeen,
    TopicSeen,
)
from maas_operator.watch.billed import Billed
from maas_operator.watch.keys import Key
from maas_operator.watch.lines import Standings
from maas_operator.watch.measures import ServiceInstances, matters
from maas_operator.watch.objects import Altered, Objects, ours
from maas_operator.watch.versions import Versions
from maas_operator.watch.workloads import CHILD_KINDS, Children, Owner, Pods, moves_room

Contests = Mapping[tuple[str, str], Contest]
"""By (kind, name) of the child."""
Seen = ServiceSeen | PoolSeen | ModelSeen | ApiKeySeen | TopicSeen


class Store(Versions):
    """Everything that a decision may depend on; and, if somebody `bills`, what is to be told of it."""

    def __init__(self, bills: bool = False) -> None:
        super().__init__()
        self._namespaces: dict[str, dict[str, str]] = {}
        self.objects = Objects()
        self.billed = Billed() if bills else None
        self.standings = Standings()
        self._children = Children()
        self._pods = Pods()
        self._scaling: dict[Key, ScalingMemory] = {}
        self._contests: dict[Key, Contests] = {}
        self._measured: dict[Key, Measured] = {}
        self._not_set_up: Mapping[str, Failure] = {}
        """By the pod's uid: why its node cannot set it up."""
        self._refused: Mapping[Owner, str] = {}
        """By service: why hosts of its instances are not made."""
        self._absent: frozenset[str] = frozenset()

    def known(self, kind: str, there: bool) -> Altered:
        """Keep whether the cluster knows a kind that it need not know."""
        before = self._absent
        self._absent = before - {kind} if there else before | {kind}
        return set() if self._absent == before else set(self.objects.of_kind(MODEL_SERVICE.kind))

    def remember(self, service: Key, memory: ScalingMemory | None) -> None:
        """Keep what the next decision on a ModelService has to know of the last one; None: nothing."""
        if memory is not None and service in self.objects:
            self._scaling[service] = memory
        else:
            self._scaling.pop(service, None)

    def contests(self, service: Key) -> Contests:
        """How its children were taken back from others."""
        return self._contests.get(service, {})

    def remember_contests(self, service: Key, contests: Contests) -> None:
        """Keep how its children were taken back from others."""
        if contests and service in self.objects:
            self._contests[service] = contests
        else:
            self._contests.pop(service, None)

    def nodes(self) -> tuple[NodeSeen, ...]:
        """Every node, with what is requested on it."""
        return self._pods.nodes.seen()

    def services(self) -> list[ServiceInstances]:
        """Every ModelService with its pods. Walks over everything."""
        return [
            ServiceInstances(
                key,
                version.uid,
                self._pods.of(key.namespace, key.name),
                self.objects.follows_measures(key),
                self._pods.fetching_for(key.namespace, key.name),
            )
            for key, version in self.versions(MODEL_SERVICE.kind).items()
        ]

    def measured(self, key: Key, measured: Measured) -> Altered:
        """Keep what was measured of a service."""
        if key not in self.objects:
            return set()
        before = self._measured.get(key)
        self._measured[key] = measured
        return {key} if matters(before, measured, self.objects.follows_measures(key)) else set()

    def set_up(self) -> list[PodSeen]:
        """The pods of services that their nodes are setting up."""
        return self._pods.set_up()

    def not_set_up(self, failures: Mapping[str, Failure]) -> Altered:
        """Keep why nodes cannot set pods up: of each that is meant, by its uid."""
        before, self._not_set_up = self._not_set_up, failures
        return self._services(
            {
                (pod.namespace, pod.service)
                for pod in self._pods.set_up()
                if pod.service is not None and before.get(pod.uid) != failures.get(pod.uid)
            }
        )

    def lacking_hosts(self) -> list[tuple[Owner, str]]:
        """Services with a LeaderWorkerSet that has fewer pods than it asks for, and its name. Walks over all sets."""
        return [(owner, name) for owner, name, count in self._children.hosts() if self._hosts_of(owner, name) < count]

    def _hosts_of(self, owner: Owner, name: str) -> int:
        pods = (pod.group.rpartition("-")[0] for pod in self._pods.of(*owner) if pod.group and not pod.leaving)
        return sum(each == name for each in pods)

    def refused(self, words: Mapping[Owner, str]) -> Altered:
        """Keep why hosts are not made, of each service that is meant."""
        before, self._refused = self._refused, words
        changed = {owner for owner in {*before, *words} if before.get(owner) != words.get(owner)}
        return self._services(changed)

    def _failing(self, pod: PodSeen) -> PodSeen:
        """The pod, with why its node cannot set it up, where nothing else is known to be wrong with it."""
        failure = self._not_set_up.get(pod.uid)
        if failure is None or pod.failure is not None or pod.set_up_since is None:
            return pod
        return replace(pod, failure=failure)

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
                return PoolSeen(manifest, self.nodes(), _paths(users), pods, self.standings.asking(key.name))
            case MODEL.kind:
                return ModelSeen(manifest, _paths(self.objects.users(key)), self.objects.products.of(manifest))
            case API_KEY.kind:
                return ApiKeySeen(manifest, self.objects.accounts.of(key.namespace))
            case NOTIFICATION_TOPIC.kind:
                return TopicSeen(manifest)
        raise ValueError(f"nothing is decided on a {key.kind}")

    def _service(self, key: Key, manifest: Manifest) -> ServiceSeen:
        spec = manifest["spec"]
        pool = self.objects.get(Key(RESOURCE_POOL.kind, "", spec["resourcePool"]))
        has_quotas = bool(pool and pool["spec"].get("quotas"))
        return ServiceSeen(
            service=manifest,
            model=self.objects.get(Key(MODEL.kind, "", spec["model"]["name"])),
            pool=pool,
            namespace_labels=self._namespaces.get(key.namespace, {}),
            children=self._children.of(key.namespace, key.name),
            pods=tuple(map(self._failing, self._pods.of(key.namespace, key.name))),
            nodes=self.nodes(),
            scaling_memory=self._scaling.get(key),
            measured=self._measured.get(key),
            fetchers=self._pods.fetching_for(key.namespace, key.name),
            topic=self._topic(key, spec),
            priority=self.standings.priority(key),
            lines=self.standings.lines(spec["resourcePool"]),
            account=self.standings.others(key, spec["resourcePool"], self._children.replicas) if has_quotas else (),
            absent=self._absent,
            refused=self._refused.get((key.namespace, key.name)),
            contests=self.contests(key),
        )

    def _topic(self, key: Key, spec: Manifest) -> Manifest | None:
        wanted = spec.get("notifications")
        return self.objects.get(Key(NOTIFICATION_TOPIC.kind, key.namespace, wanted["topic"])) if wanted else None

    def _keep(self, key: Key, raw: Manifest) -> Altered:
        if key.kind == RESOURCE_POOL.kind and self.billed:
            self.billed.put_pool(raw)
        if ours(raw):
            altered = self.objects.put(key, raw)
            return altered | self.standings.put(key, raw) if key.kind == MODEL_SERVICE.kind else altered
        if key.kind in CHILD_KINDS:
            return self._by_children(self._children.put(key, raw))
        match key.kind:
            case "Pod":
                pods = self._pods.put(key, raw)
                if self.billed:
                    self.billed.put(pods)
                return self._by_pods(pods)
            case "Node":
                return self._by_nodes(self._pods.put_node(raw))
            case "Namespace":
                return self._by_labels(key.name, raw["metadata"].get("labels", {}))
            case "PriorityClass":
                return self.standings.put_class(key.name, raw)
        raise ValueError(f"nothing is kept of a {key.kind}")

    def _forget(self, key: Key) -> Altered:
        if key.kind in CHILD_KINDS:
            return self._by_children(self._children.drop(key))
        match key.kind:
            case "Pod":
                pods = self._pods.drop(key)
                if self.billed:
                    self.billed.drop(pods)
                return self._by_pods(pods)
            case "Node":
                return self._by_nodes(self._pods.drop_node(key.name))
            case "Namespace":
                return self._by_labels(key.name, {})
            case "PriorityClass":
                return self.standings.put_class(key.name, None)
        if key.kind == RESOURCE_POOL.kind and self.billed:
            self.billed.drop_pool(key.name)
        self._scaling.pop(key, None)
        self._contests.pop(key, None)
        self._measured.pop(key, None)
        altered = self.standings.drop(key) if key.kind == MODEL_SERVICE.kind else set()
        return altered | self.objects.drop(key)

    def _services(self, owners: set[Owner]) -> Altered:
        keys = {Key(MODEL_SERVICE.kind, *owner) for owner in owners}
        return {key for key in keys if key in self.objects}

    def _by_children(self, owners: set[Owner]) -> Altered:
        """The services, and those that wait for a quota which these use: by what is made, too, that is counted."""
        altered = self._services(owners)
        return altered | {other for key in altered for other in self.standings.for_quota_beside(key)}

    def _by_pods(self, pods: list[PodSeen]) -> Altered:
        owners = {(pod.namespace, owner) for pod in pods if (owner := pod.service or pod.fetches_for) is not None}
        altered = self._services(owners)
        if not pods or not moves_room(pods):
            return altered
        for pod in pods:
            node = self._pods.nodes.facts(pod.node) if pod.node else None
            altered |= self.objects.pools_with(frozenset(node.labels.items())) if node else set()
        for service in [key for key in altered if key.kind == MODEL_SERVICE.kind]:
            altered |= {named for named in self.objects.named_by(service) if named.kind == RESOURCE_POOL.kind}
        return altered | self._waiting(altered)

    def _by_nodes(self, nodes: list[NodeSeen]) -> Altered:
        altered = {key for node in nodes for key in self.objects.pools_with(frozenset(node.labels.items()))}
        if len({node.ready for node in nodes}) > 1:
            altered |= self._services(self._pods.on(nodes[0].name))
        return altered | self._waiting(altered)

    def _waiting(self, altered: Altered) -> Altered:
        """Those at the front of the lines of these pools: there may be room for them now."""
        pools = [key.name for key in altered if key.kind == RESOURCE_POOL.kind]
        return {key for pool in pools for key in self.standings.front(pool)}

    def _by_labels(self, namespace: str, labels: dict[str, str]) -> Altered:
        if self._namespaces.get(namespace, {}) == labels:
            return set()
        self._namespaces[namespace] = labels
        if not labels:
            del self._namespaces[namespace]
        return set(self.objects.in_namespace(MODEL_SERVICE.kind, namespace))


def _paths(users: tuple[Key, ...]) -> list[str]:
    return sorted(f"{user.namespace}/{user.name}" for user in users)
