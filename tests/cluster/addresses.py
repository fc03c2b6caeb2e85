"""Everything that two clusters on one machine must not share, derived from the cluster's number.

Control plane: on the machine itself, ports 20000 + 10 * number and the nine after it.
Network: 10.(200 + number).0.0/16, of which

    .0.0/24     the machine (.0.1, on the bridge) and the nodes (.0.11, .0.12)
    .64.0/18    pods, a /24 for each node
    .128.0/18   Services; the API server's is the first address, the DNS server's the tenth
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

NUMBERS = range(40)
NODES = (1, 2)


@dataclass(frozen=True)
class NodeAddresses:
    """One node's addresses and names; `index` counts from 1."""

    number: int
    index: int

    @property
    def name(self) -> str:
        return f"node-{self.index}"

    @property
    def ip(self) -> IPv4Address:
        return Addresses(self.number).network[10 + self.index]

    @property
    def pod_subnet(self) -> IPv4Network:
        return list(Addresses(self.number).pod_subnet.subnets(new_prefix=24))[self.index]

    @property
    def network_namespace(self) -> str:
        return f"maas-cluster-{self.number}-{self.name}"

    @property
    def interface(self) -> str:
        """The machine's end of the node's cable (at most 15 characters)."""
        return f"maas{self.number}n{self.index}"

    @property
    def cgroup(self) -> str:
        return f"/maas-cluster-{self.number}/{self.name}"

    @property
    def runtime_directory(self) -> Path:
        """Sockets: unix allows their paths 108 characters, and containerd its shims' directory 38."""
        return Addresses(self.number).runtime_directory / str(self.index)


@dataclass(frozen=True)
class Addresses:
    """Ports, subnets and names of cluster `number`."""

    number: int

    def __post_init__(self) -> None:
        if self.number not in NUMBERS:
            raise ValueError(f"cluster number {self.number} is not in {NUMBERS.start}..{NUMBERS.stop - 1}")

    def port(self, offset: int) -> int:
        return 20000 + 10 * self.number + offset

    @property
    def apiserver_port(self) -> int:
        return self.port(0)

    @property
    def etcd_port(self) -> int:
        return self.port(1)

    @property
    def etcd_peer_port(self) -> int:
        return self.port(2)

    @property
    def controller_manager_port(self) -> int:
        return self.port(3)

    @property
    def scheduler_port(self) -> int:
        return self.port(4)

    @property
    def kwok_port(self) -> int:
        return self.port(5)

    @property
    def lws_webhook_port(self) -> int:
        return self.port(6)

    @property
    def lws_health_port(self) -> int:
        return self.port(7)

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(f"10.{200 + self.number}.0.0/16")

    @property
    def node_subnet(self) -> IPv4Network:
        return IPv4Network(f"{self.network[0]}/24")

    @property
    def machine_ip(self) -> IPv4Address:
        return self.node_subnet[1]

    @property
    def pod_subnet(self) -> IPv4Network:
        return IPv4Network(f"10.{200 + self.number}.64.0/18")

    @property
    def service_subnet(self) -> IPv4Network:
        return IPv4Network(f"10.{200 + self.number}.128.0/18")

    @property
    def apiserver_service_ip(self) -> IPv4Address:
        return self.service_subnet[1]

    @property
    def dns_ip(self) -> IPv4Address:
        return self.service_subnet[10]

    @property
    def bridge(self) -> str:
        return f"maas{self.number}"

    @property
    def cgroup(self) -> str:
        return f"/maas-cluster-{self.number}"

    @property
    def runtime_directory(self) -> Path:
        return Path(f"/run/maas-cluster-{self.number}")

    def node(self, index: int) -> NodeAddresses:
        return NodeAddresses(self.number, index)
