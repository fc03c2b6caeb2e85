"""Releases of the chart on a real API server. Nothing runs there: what counts is what the API server holds."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from tests.chart.helm import CHART, Helm, Manifest
from tests.cluster import Cluster, ClusterError
from tests.cluster.waiting import wait_until

LIMIT = 30.0
SERVICE = """
apiVersion: maas-operator.io/v1alpha1
kind: ModelService
metadata: {name: assistant, namespace: default}
spec: {model: {name: tiny}, resourcePool: cpu, flavor: small}
"""


@dataclass
class Releases:
    """Installs, upgrades and uninstalls."""

    cluster: Cluster
    helm: Helm
    _installed: list[tuple[str, str]] = field(default_factory=list)
    _used: bool = False

    def install(self, *flags: str, release: str = "maas", namespace: str = "maas-system", chart: Path = CHART) -> str:
        """What `helm install` prints: the notes among it. Raises HelmError.

        The first one takes over the CRDs that the test before may have left.
        """
        left = ["--take-ownership"] if not self._used and self.names("crd") else []
        self._used = True
        made = self.helm("install", release, str(chart), "--namespace", namespace, "--create-namespace", *flags, *left)
        self._installed.append((release, namespace))
        self.cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        return made

    def upgrade(self, *flags: str, release: str = "maas", namespace: str = "maas-system", chart: Path = CHART) -> str:
        return self.helm("upgrade", release, str(chart), "--namespace", namespace, *flags)

    def uninstall(self, release: str = "maas", namespace: str = "maas-system") -> str:
        self._installed.remove((release, namespace))
        return self.helm("uninstall", release, "--namespace", namespace)

    def get(self, *what: str) -> Manifest:
        """An object, or a list."""
        shown: Manifest = json.loads(self.cluster.kubectl("get", *what, "-o", "json"))
        return shown

    def names(self, *what: str) -> list[str]:
        return sorted(self.cluster.kubectl("get", *what, "-o", "name", "--ignore-not-found").split())

    def apply(self, manifest: str) -> None:
        """Apply, as soon as the API server knows the kind."""

        def applied() -> bool:
            try:
                self.cluster.kubectl("apply", "-f", "-", stdin=manifest)
            except ClusterError as error:
                if "no matches for kind" in str(error):
                    return False
                raise
            return True

        wait_until(applied, LIMIT, "the API server to know our kinds")

    def create(self, manifest: Manifest) -> None:
        """Ask the API server to create an object, without leaving it there."""
        self.cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))

    def generations(self) -> dict[str, int]:
        """The generation of each object that has one: it grows with every change of a spec."""
        kinds = "crd,deployment,networkpolicy,poddisruptionbudget,validatingadmissionpolicies"
        listed = self.get(kinds, "-A")["items"]
        return {f"{each['kind']}/{each['metadata']['name']}": each["metadata"].get("generation", 0) for each in listed}

    def clean(self) -> None:
        """Uninstall everything, and remove what was made. CRDs stay: removing young ones can take minutes."""
        for release, namespace in list(self._installed):
            self.uninstall(release, namespace)
        if self.names("crd"):
            wait_until(self._emptied, LIMIT, "our objects to go")

    def _emptied(self) -> bool:
        """A policy that is gone is obeyed for a moment longer, and kubectl may remember a cluster without our kinds."""
        try:
            self.cluster.kubectl("delete", "maas", "--all", "-A")
        except ClusterError as error:
            if "is used by" in str(error) or "doesn't have a resource type" in str(error):
                return False
            raise
        return True
