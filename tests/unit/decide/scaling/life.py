"""A service with spec.scaling over time: decided on, carried out as a cluster would, measured."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from maas_operator.api.decision import Decision
from maas_operator.api.seen import InstanceMeasured, Manifest, Measured, PodSeen, ScalingMemory, ServiceSeen
from maas_operator.api.settings import Settings
from maas_operator.decide import decide_service
from tests.unit.decide.apiserver import children_after
from tests.unit.decide.facts import pod

BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)
MODEL = {
    "metadata": {"name": "tiny", "uid": "m", "generation": 1},
    "spec": {"versions": [{"name": "4k", "source": "hf://acme/tiny", "contextLength": 4096}]},
}
POOL = {
    "metadata": {"name": "pool-a", "uid": "p", "generation": 1},
    "spec": {"flavors": [{"name": "one", "cpu": "1", "memory": "1Gi"}]},
}


class Life:
    """A service, and the little cluster that it runs in."""

    def __init__(self, scaling: Manifest | None, **spec: Any) -> None:
        given = {"model": {"name": "tiny"}, "resourcePool": "pool-a", "flavor": "one"}
        self.now = BEGAN
        self.settings = Settings(gateways=["gateway:8082"])
        self.service: Manifest = {
            "apiVersion": "maas-operator.io/v1alpha1",
            "kind": "ModelService",
            "metadata": {"name": "assistant", "namespace": "team-a", "uid": "0a1b", "generation": 1, "annotations": {}},
            "spec": given | ({"scaling": scaling} if scaling else {}) | spec,
        }
        self.children: dict[tuple[str, str], Manifest] = {}
        self.pods: list[PodSeen] = []
        self.memory: ScalingMemory | None = None
        self.measured: Measured | None = None
        self.last_request: datetime | None = None
        self.since: datetime | None = BEGAN
        self.told: list[str] = []
        self.writes = 0
        self.loads = True
        """Whether instances that are asked for become ready at once."""

    @property
    def scaling(self) -> Manifest:
        """status.scaling."""
        found: Manifest = self.status.get("scaling", {})
        return found

    @property
    def status(self) -> Manifest:
        found: Manifest = self.service.get("status", {})
        return found

    @property
    def replicas(self) -> int:
        """As the Deployment says."""
        return int(self.children["Deployment", "assistant"]["spec"]["replicas"])

    @property
    def why(self) -> str:
        return str(self.scaling.get("reason"))

    def seen(self) -> ServiceSeen:
        return ServiceSeen(
            service=json.loads(json.dumps(self.service)),  # a copy, and ten times as fast as copy.deepcopy
            model=MODEL,
            pool=POOL,
            namespace_labels={},
            children=self.children,
            pods=self.pods,
            nodes=[],
            measured=self.measured,
            scaling_memory=self.memory,
        )

    def look(self, seconds: float = 0) -> Decision:
        """Let time pass, decide, carry out."""
        self.now += timedelta(seconds=seconds)
        decision = decide_service(self.seen(), self.settings, self.now)
        self.children = children_after(decision, self.children.values())
        written = json.loads(json.dumps(decision.status))
        self.writes += written != self.service.get("status")
        self.service["status"] = written
        self.memory = decision.scaling_memory
        self.told += [f"{event.reason}: {event.message}" for event in decision.events]
        if self.loads and ("Deployment", "assistant") in self.children:
            self.fill()
        return decision

    def settle(self) -> None:
        """Look until what was begun is there."""
        for _ in range(3):
            self.look()

    def fill(self) -> None:
        """As many ready pods as the Deployment asks for."""
        template = self.children["Deployment", "assistant"]["spec"]["template"]["metadata"]["labels"]
        label = template["maas-operator.io/template"]
        self.pods = [pod(f"p{number}", ready=True, template=label) for number in range(self.replicas)]

    def measure(
        self, running: int = 0, waiting: int = 0, held: int | None = 0, qps: float | None = 0.0, kv_cache: int = 0
    ) -> None:
        """What is measured now, each instance having so much."""
        if running or waiting or held:
            self.last_request = self.now
        self.measured = Measured(
            at=self.now,
            instances={each.name: InstanceMeasured(running, waiting, kv_cache) for each in self.pods if each.ready},
            queries_per_second=qps,
            held=held,
            last_request=self.last_request,
            since=self.since if held is not None else None,
            called=self.last_request,
        )

    def call(self) -> None:
        """A request has come and was not held; measured a moment later."""
        self.last_request = self.now + timedelta(seconds=1)
        self.now += timedelta(seconds=2)
        self.measure()

    def run(self, seconds: int, **load: Any) -> None:
        """Let time pass, measured every 15 seconds under this load."""
        for _ in range(seconds // 15):
            self.now += timedelta(seconds=15)
            self.measure(**load)
            self.look()

    def restart(self) -> None:
        """Another operator takes over: what was in memory is gone."""
        self.memory, self.measured = None, None

    def change(self, scaling: Manifest | None = None, **spec: Any) -> None:
        """A user changes the spec."""
        self.service["spec"] |= ({"scaling": scaling} if scaling else {}) | spec
        self.service["metadata"]["generation"] += 1

    def annotate(self, name: str, value: str) -> None:
        self.service["metadata"]["annotations"][f"maas-operator.io/{name}"] = value

    def without_figures(self, *names: str) -> None:
        """These instances did not answer."""
        assert self.measured
        left = {name: each for name, each in self.measured.instances.items() if name not in names}
        self.measured = replace(self.measured, instances=left)
