"""examples/gitops on the local cluster, as somebody has it who added a cluster of their own, applied over and over."""

import shutil
import threading
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import ACCOUNT, Account
from tests.e2e.repository import API, NAMESPACED, ROUND_SECONDS, differs, kubectl
from tests.gitops import GITOPS

CLUSTER = "local"
"""What this cluster is called in the repository, beside staging and production."""
SERVICES, QUOTA = ("assistant", "batch"), "keys"
APPLIED = ("--server-side", "--force-conflicts", "--field-manager=examples")
COUNTED_SECONDS = 330
"""Kubernetes looks for new kinds every 30 s, and has counted those of earlier quotas within 5 minutes."""
TINY = [
    {"op": "replace", "path": "/spec/versions/0/source", "value": "oci://localhost/maas-operator/model-tiny:1"},
    {"op": "replace", "path": "/spec/versions/0/contextLength", "value": 1536},
    {"op": "replace", "path": "/spec/versions/0/args/0", "value": "--kv-cache-memory-bytes=67108864"},
    {"op": "remove", "path": "/spec/versions/0/weights"},
    {"op": "remove", "path": "/spec/versions/0/architecture"},
]
"""No hub can be reached from here: another model under the same name."""
SMALL = [
    {"op": "replace", "path": "/spec/flavors/0/cpu", "value": "100m"},
    {"op": "replace", "path": "/spec/flavors/0/memory", "value": "2Gi"},
]


@dataclass
class Examples:
    """The layers that are not other tools', applied together. `folder`: where the copy is made."""

    cluster: Cluster
    folder: Path
    drifts: list[str] = field(default_factory=list)
    """What `kubectl diff` printed, round by round."""
    generations: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """By kind and name, of the account's objects."""

    def __post_init__(self) -> None:
        self.account = Account(self.cluster, ACCOUNT)
        shutil.copytree(GITOPS, self.folder)
        patches = [{"target": {"kind": "Model"}, "patch": _yaml(TINY)}]
        patches.append({"target": {"kind": "ResourcePool"}, "patch": _yaml(SMALL)})
        self._layer(f"platform/{CLUSTER}", {"resources": ["../base"], "patches": patches})
        self._layer(f"team-a/{CLUSTER}", {"resources": ["../base"]})
        self._layer(CLUSTER, {"resources": ["../namespaces", f"../platform/{CLUSTER}", f"../team-a/{CLUSTER}"]})

    def run(self, stop: threading.Event) -> None:
        """Apply; then compare and apply, until told to stop."""
        self._apply("namespaces")
        wait_until(self._is_counted, COUNTED_SECONDS, "the quota to be counted: it lets no key in before")
        self._apply(CLUSTER)
        while not stop.wait(ROUND_SECONDS):
            self.drifts.append(differs(self.cluster, *APPLIED, "-k", str(self.folder / CLUSTER)))
            self._apply(CLUSTER)
            self._look()

    def remove(self) -> None:
        """All but the namespaces. The pool and the model are protected as long as the operator knows of services."""
        platform = str(self.folder / "platform" / CLUSTER)
        self.cluster.kubectl("annotate", "-k", platform, "maas-operator.io/allow-deletion=true")
        for layer in (str(self.folder / "team-a" / CLUSTER), platform):
            self.cluster.kubectl("delete", "--ignore-not-found", "-k", layer)
        self.account.kubectl("delete", "resourcequota", QUOTA, "--ignore-not-found")

    def _layer(self, name: str, content: dict[str, Any]) -> None:
        kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
        (self.folder / name).mkdir()
        (self.folder / name / "kustomization.yaml").write_text(_yaml(kustomization | content))

    def _is_counted(self) -> bool:
        quota = self.account.get("resourcequota", QUOTA)
        return set(quota["spec"]["hard"]) == set(quota.get("status", {}).get("used", {}))

    def _apply(self, folder: str) -> None:
        kubectl(self.cluster, "apply", *APPLIED, "-k", str(self.folder / folder))

    def _look(self) -> None:
        with closing(self.cluster.client()) as client:
            for plural in NAMESPACED:
                for each in client.request("GET", f"{API}/namespaces/{ACCOUNT}/{plural}")["items"]:
                    metadata = each["metadata"]
                    self.generations[f"{plural}/{metadata['name']}"].add(metadata["generation"])


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False)
