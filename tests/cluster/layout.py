"""Where a cluster keeps what, and who is who in it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.cluster.addresses import Addresses
from tests.cluster.kubeconfig import write_kubeconfig
from tests.cluster.pki import Authority

CHECKOUT = Path(__file__).parents[2]
ENTRIES = {  # all that a cluster's directory ever holds
    "audit-policy.json",
    "cluster.json",
    "env",  # what the demo leaves for its next steps
    "etcd",
    "kubeconfig",
    "kubeconfigs",
    "logs",
    "lws",
    "node-1",
    "node-2",
    "pki",
    "processes",
    "volume-plugins",
}
COMPONENTS = {  # kubeconfig, and the user that the API server's own roles are bound to
    "admin": ("kubernetes-admin", ["system:masters"]),
    "kube-controller-manager": ("system:kube-controller-manager", []),
    "kube-scheduler": ("system:kube-scheduler", []),
    "kube-proxy": ("system:kube-proxy", []),
    "kwok": ("kwok", ["system:masters"]),
    "lws": ("lws", ["system:masters"]),
}


def default_directory(number: int) -> Path:
    """.cluster in the checkout for number 0, .cluster-N for the others."""
    return CHECKOUT / (f".cluster-{number}" if number else ".cluster")


@dataclass(frozen=True)
class Layout:
    """The files of one cluster under `directory` (absolute)."""

    directory: Path
    addresses: Addresses

    @property
    def name(self) -> str:
        return f"maas-cluster-{self.addresses.number}"

    @property
    def settings_file(self) -> Path:
        return self.directory / "cluster.json"

    @property
    def audit_log(self) -> Path:
        return self.directory / "logs" / "audit.log"

    @property
    def kubeconfig(self) -> Path:
        """The admin's."""
        return self.directory / "kubeconfig"

    @cached_property
    def authority(self) -> Authority:
        return Authority(self.directory / "pki")

    def kubeconfig_of(self, component: str) -> Path:
        return self.kubeconfig if component == "admin" else self.directory / "kubeconfigs" / component

    def write_kubeconfig(self, file: Path, server: str, user: str, groups: list[str], certificate_name: str) -> Path:
        """Write a kubeconfig for `user` in `groups`, with a certificate of its own."""
        certificate, key = self.authority.issue(certificate_name, user, groups)
        return write_kubeconfig(file, self.name, server, user, self.authority.certificate_file, certificate, key)

    def write_component_kubeconfigs(self, server: str) -> None:
        for component, (user, groups) in COMPONENTS.items():
            self.write_kubeconfig(self.kubeconfig_of(component), server, user, groups, component)
