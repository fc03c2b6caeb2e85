"""A pool with several services over time: decided on, carried out, placed by a scheduler that knows no line."""

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.api.names import LABEL_FLAVOR, LABEL_TEMPLATE
from maas_operator.api.seen import Manifest, NodeSeen, PodSeen, PoolSeen, ServiceSeen
from maas_operator.api.settings import Settings
from maas_operator.decide import decide_pool, decide_service
from maas_operator.watch.keys import Key
from maas_operator.watch.lines import Standings
from tests.unit.decide.apiserver import children_after
from tests.unit.decide.facts import node, pod

GPU = "nvidia.com/gpu"
GPUS = 4
FLAVORS = {"small": 1, "large": GPUS, "giant": 2 * GPUS, "cpu": 0}
"""Devices of each."""
MODEL = {
    "metadata": {"name": "tiny", "uid": "m", "generation": 1},
    "spec": {"versions": [{"name": "4k", "source": "hf://acme/tiny", "contextLength": 4096}]},
}
LOOKS = 40
"""Rounds of decisions by which all has come to rest."""


class PoolLife:
    """Nodes of GPUS devices each, and the services that share them. `team-a/x` is service x of account team-a."""

    def __init__(self, nodes: int = 2, **spec: Any) -> None:
        flavors = [
            {"name": name, "cpu": "1", "memory": "1Gi"}
            | ({"accelerator": {"type": "nvidia", "count": count}} if count else {})
            for name, count in FLAVORS.items()
        ]
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)
        self.settings = Settings.model_validate({"sources": {"image": "maas-operator:0.1.0"}})
        self.pool: Manifest = {"metadata": {"name": "pool-a", "uid": "p"}, "spec": {"flavors": flavors} | spec}
        self.nodes = [f"n{number}" for number in range(nodes)]
        self.closed: set[str] = set()
        """Nodes that take no pods."""
        self.taken: dict[str, int] = {}
        """Devices that other tenants' pods hold, by node."""
        self.services: dict[str, Manifest] = {}
        self.children: dict[str, dict[tuple[str, str], Manifest]] = {}
        self.pods: dict[str, list[PodSeen]] = {}
        self.standings = Standings()
        self.priority_classes: dict[str, Manifest] = {}
        self.writes = 0
        self._made = 0

    def add(self, who: str, flavor: str = "small", instances: int = 1, **spec: Any) -> None:
        """Somebody makes a service. It is decided on once."""
        namespace, _, name = who.partition("/")
        self.now += timedelta(seconds=1)
        self._made += 1
        metadata = {"name": name, "namespace": namespace, "uid": f"u{self._made}", "generation": 1}
        metadata |= {"creationTimestamp": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        given = {"model": {"name": "tiny"}, "resourcePool": "pool-a", "flavor": flavor, "instances": instances}
        kind = {"apiVersion": "maas-operator.io/v1alpha1", "kind": MODEL_SERVICE.kind}
        self.services[who] = {**kind, "metadata": metadata, "spec": given | spec}
        self.children[who], self.pods[who] = {}, []
        self.standings.put(key(who), self.services[who])
        self.look(who)

    def change(self, who: str, **spec: Any) -> None:
        """Its user changes its spec."""
        self.services[who]["spec"] |= spec
        self.services[who]["metadata"]["generation"] += 1
        self.standings.put(key(who), self.services[who])

    def delete(self, who: str) -> None:
        """Its user deletes it; the garbage collector takes its pods."""
        self.standings.drop(key(who))
        del self.services[who], self.children[who], self.pods[who]

    def seen(self, who: str) -> ServiceSeen:
        return ServiceSeen(
            service=copy.deepcopy(self.services[who]),
            model=MODEL,
            pool=self.pool,
            namespace_labels={"account": who.partition("/")[0]},
            children=self.children[who],
            pods=self.pods[who],
            nodes=self.seen_nodes(),
            priority=self.standings.priority(key(who)),
            lines=self.standings.lines("pool-a"),
            account=self.standings.others(
                key(who), "pool-a", {each: self.replicas("/".join(each)) for each in map(owner, self.services)}
            ),
        )

    def seen_nodes(self) -> list[NodeSeen]:
        made = []
        for name in self.nodes:
            there = [each for each in self.all_pods() if each.node == name]
            ours = sum(each.requests[GPU] for each in there)
            devices = {GPU: ours + self.taken.get(name, 0)}
            seen = node(name, cordoned=name in self.closed, allocatable={"cpu": 64, "memory": "64Gi", GPU: GPUS})
            made.append(
                replace(
                    seen, requested=devices, requested_by_models={GPU: ours}, pods=len(there), model_pods=len(there)
                )
            )
        return made

    def look(self, who: str) -> None:
        """Decide on a service, and carry that out."""
        self.now += timedelta(milliseconds=10)
        decision = decide_service(self.seen(who), self.settings, self.now)
        self.children[who] = children_after(decision, self.children[who].values())
        written = json.loads(json.dumps(decision.status))
        self.writes += written != self.services[who].get("status")
        self.services[who]["status"] = written
        self.standings.put(key(who), self.services[who])

    def die(self, who: str) -> None:
        """The operator is killed between what it makes for a service and the status that tells of it; another begins
        with what stands in the cluster."""
        self.now += timedelta(milliseconds=10)
        decision = decide_service(self.seen(who), self.settings, self.now)
        self.children[who] = children_after(decision, self.children[who].values())
        self.begin_anew()

    def begin_anew(self) -> None:
        """Another operator takes over: what was in memory is gone."""
        self.standings = Standings()
        for name, each in self.priority_classes.items():
            self.standings.put_class(name, each)
        for who in sorted(self.services, reverse=True):
            self.standings.put(key(who), self.services[who])

    def round(self, order: Callable[[Iterable[str]], list[str]] = sorted) -> bool:
        """Everyone does his part once, in this order. Returns whether anything changed."""
        before = self.writes, json.dumps([repr(pods) for pods in self.pods.values()])
        for who in order(self.services):
            self.look(who)
        for who in order(self.services):
            self.controller(who)
        for each in order(each.name for each in self.all_pods()):
            self.scheduler(each)
        return before != (self.writes, json.dumps([repr(pods) for pods in self.pods.values()]))

    def settle(self, order: Callable[[Iterable[str]], list[str]] = sorted) -> None:
        """Until nothing changes any more."""
        for _ in range(LOOKS):
            if not self.round(order):
                return
        raise AssertionError(f"it does not come to rest: {self.told()}")

    def controller(self, who: str) -> None:
        """As many pods as the Deployment asks for; those without a node go first, and old ones once new ones answer."""
        there = self.children[who].get(("Deployment", owner(who)[1]))
        if there is None:
            self.pods[who] = []
            return
        labels = there["spec"]["template"]["metadata"]["labels"]
        pods, wanted = self.pods[who], int(there["spec"]["replicas"])
        new = [each for each in pods if each.template == labels[LABEL_TEMPLATE]]
        old = [each for each in pods if each.template != labels[LABEL_TEMPLATE]]
        new.sort(key=lambda each: (each.node is None, not each.ready))
        new = new[:wanted]
        surge = 1 if there["spec"]["strategy"]["rollingUpdate"]["maxSurge"] else 0
        old = old[: max(0, wanted - sum(each.ready for each in new))]
        if not surge and old and not any(each.node is None for each in new):
            old = old[1:]
        while len(new) < wanted and len(new) + len(old) < wanted + (surge if old else 0):
            new.append(self._pod(who, labels))
        self.pods[who] = [*old, *new]

    def scheduler(self, name: str) -> None:
        """Places a pod where it finds room, whoever came first."""
        who, each = next((who, each) for who, pods in self.pods.items() for each in pods if each.name == name)
        if each.node is not None:
            now = replace(each, ready=True, phase="Running")
        else:
            fits = [
                seen.name
                for seen in self.seen_nodes()
                if not seen.cordoned and seen.requested[GPU] + each.requests[GPU] <= GPUS
            ]
            now = replace(each, node=fits[0], unschedulable=None) if fits else replace(each, unschedulable="no room")
        self.pods[who] = [now if pod.name == name else pod for pod in self.pods[who]]

    def fetched(self, who: str, how: str = "Complete") -> None:
        """The Job that fetches the service's weights ends; `how`: or has Failed."""
        for (kind, _), child in self.children[who].items():
            if kind == "Job":
                child["status"] = {"conditions": [{"type": how, "status": "True", "message": "it ended"}]}

    def lose(self, name: str) -> None:
        """A node goes, with all that is on it."""
        self.nodes.remove(name)
        self.pods = {who: [each for each in pods if each.node != name] for who, pods in self.pods.items()}

    def classes(self, **values: int) -> None:
        """PriorityClasses."""
        for name, value in values.items():
            self.priority_classes[name] = {"metadata": {"name": name}, "value": value}
            self.standings.put_class(name, self.priority_classes[name])

    def replicas(self, who: str) -> int:
        """As its Deployment says."""
        there = self.children[who].get(("Deployment", owner(who)[1]))
        return int(there["spec"]["replicas"]) if there else 0

    def running(self) -> dict[str, int]:
        """Instances that have a node, of those services that have one."""
        found = {who: sum(each.node is not None for each in pods) for who, pods in self.pods.items()}
        return {who: count for who, count in found.items() if count}

    def queue(self, who: str) -> Manifest:
        found: Manifest = self.services[who]["status"].get("queue", {})
        return found

    def places(self) -> dict[str, int]:
        """Of those in line."""
        found = {who: self.queue(who).get("place") for who in self.services}
        return {who: place for who, place in found.items() if place}

    def phase(self, who: str) -> str:
        return str(self.services[who]["status"]["phase"])

    def condition(self, who: str, kind: str = "Scheduled") -> str:
        found = next(each for each in self.services[who]["status"]["conditions"] if each["type"] == kind)
        return f"{found['status']} {found['reason']}: {found['message']}"

    def figures(self) -> Manifest:
        """status.flavors of the pool, by name."""
        asking = self.standings.asking("pool-a")
        status = decide_pool(PoolSeen(self.pool, self.seen_nodes(), [], self.all_pods(), asking), self.now).status
        return {row["name"]: row for row in status["flavors"]}

    def all_pods(self) -> list[PodSeen]:
        return [each for pods in self.pods.values() for each in pods]

    def told(self) -> dict[str, Any]:
        return {who: (self.phase(who), self.replicas(who), self.queue(who)) for who in self.services}

    def _pod(self, who: str, labels: Manifest) -> PodSeen:
        self._made += 1
        flavor, label = labels[LABEL_FLAVOR], labels[LABEL_TEMPLATE]
        devices = {GPU: FLAVORS[flavor]}
        facts = {"namespace": owner(who)[0], "service": owner(who)[1], "flavor": flavor, "template": label}
        return pod(f"p{self._made}", node=None, phase="Pending", template_hash=label, requests=devices, **facts)


def owner(who: str) -> tuple[str, str]:
    namespace, _, name = who.partition("/")
    return namespace, name


def key(who: str) -> Key:
    return Key(MODEL_SERVICE.kind, *owner(who))
