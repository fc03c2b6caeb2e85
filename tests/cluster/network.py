"""The nodes' network: a bridge on the machine, and for each node a network namespace cabled to it.

A node has its own addresses, nftables rules and routes in there, so two clusters (and the machine's own firewall) never
meet; the machine reaches pods and Services by routes over the bridge. Removing bridge and namespaces removes all of it.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.addresses import NODES, Addresses, NodeAddresses
from tests.cluster.errors import ClusterError

NAMESPACES = Path("/run/netns")


def create(addresses: Addresses, nodes: Sequence[NodeAddresses]) -> None:
    """Make what is missing of the bridge, the namespaces and the routes."""
    if not _link_exists(addresses.bridge):
        _ip("link", "add", addresses.bridge, "type", "bridge")
    _ip("address", "replace", f"{addresses.machine_ip}/{addresses.node_subnet.prefixlen}", "dev", addresses.bridge)
    _ip("link", "set", addresses.bridge, "up")
    for node in nodes:
        _create_node(addresses, node)
        _ip("route", "replace", str(node.pod_subnet), "via", str(node.ip), "dev", addresses.bridge)
    for node in nodes:
        for other in nodes:
            if other != node:
                _ip("-n", node.network_namespace, "route", "replace", str(other.pod_subnet), "via", str(other.ip))
    _ip("route", "replace", str(addresses.service_subnet), "via", str(nodes[0].ip), "dev", addresses.bridge)


def remove(addresses: Addresses) -> None:
    """Remove it all, as far as it is there. The link goes before the namespace, with which it would go at some time."""
    for node in map(addresses.node, NODES):
        if _link_exists(node.interface):
            _ip("link", "delete", node.interface)
        if (NAMESPACES / node.network_namespace).exists():
            _ip("netns", "delete", node.network_namespace)
    if _link_exists(addresses.bridge):
        _ip("link", "delete", addresses.bridge)


def _create_node(addresses: Addresses, node: NodeAddresses) -> None:
    namespace = node.network_namespace
    if not (NAMESPACES / namespace).exists():
        _ip("netns", "add", namespace)
    if not _link_exists(node.interface):
        _ip("link", "add", node.interface, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    _ip("link", "set", node.interface, "master", addresses.bridge, "up")
    _ip("-n", namespace, "link", "set", "lo", "up")
    _ip("-n", namespace, "address", "replace", f"{node.ip}/{addresses.node_subnet.prefixlen}", "dev", "eth0")
    _ip("-n", namespace, "link", "set", "eth0", "up")
    _ip("-n", namespace, "route", "replace", "default", "via", str(addresses.machine_ip))
    _run("nsenter", f"--net={NAMESPACES / namespace}", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def _link_exists(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
