"""The whole platform on one real node, as a user installs it, for benchmarks with real vLLM."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import Cluster
from tests.installation import install, load_images

NUMBER = int(os.environ.get("MAAS_BENCH_CLUSTER", "38"))
ACCOUNT = "team-a"
READY_SECONDS = 900
"""Limit for a service to be as asked: two busy cores load a model slowly."""
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Platform:
    """A cluster with the operator, the gateway and a catalogue."""

    cluster: Cluster

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """In the account."""
        return self.cluster.kubectl("-n", ACCOUNT, *arguments, stdin=stdin)

    def apply(self, name: str, **spec: Any) -> None:
        """A ModelService of this name."""
        about = {"apiVersion": "maas-operator.io/v1alpha1", "kind": "ModelService", "metadata": {"name": name}}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(about | {"spec": spec}))

    def patch(self, name: str, **spec: Any) -> None:
        """Change some fields of a ModelService's spec."""
        self.kubectl("patch", "msvc", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def service(self, name: str) -> Manifest:
        """The ModelService as it is."""
        found: Manifest = json.loads(self.kubectl("get", "msvc", name, "-o", "json"))
        return found

    def pods(self, service: str) -> list[Manifest]:
        """Its pods, leaving ones among them."""
        selector = f"maas-operator.io/service={service}"
        found: list[Manifest] = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return found

    def ready_pods(self, service: str) -> list[Manifest]:
        """Those that answer and stay."""
        return [pod for pod in self.pods(service) if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]

    def wait_ready(self, service: str) -> None:
        """Until the service is as its spec asks."""
        generation = self.service(service)["metadata"]["generation"]
        limit = f"--timeout={READY_SECONDS}s"
        seen = f"--for=jsonpath={{.status.observedGeneration}}={generation}"
        self.kubectl("wait", f"msvc/{service}", seen, limit)
        self.kubectl("wait", f"msvc/{service}", "--for=condition=Ready", limit)


def is_ready(pod: Manifest) -> bool:
    """Whether it answers."""
    conditions = pod["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@contextmanager
def platform(model_image: str, manifests: Path, *values: str) -> Iterator[Platform]:
    """Bring it up, and leave nothing. model_image: of the catalogue's model; values: helm's KEY=VALUE."""
    cluster = Cluster(NUMBER)
    images: Sequence[str] = ("operator", "engine-cpu", model_image)
    try:
        cluster.up("node")
        load_images(cluster, images)
        install(cluster, *values)
        cluster.kubectl("apply", "-f", str(manifests))
        yield Platform(cluster)
    finally:
        cluster.down()
