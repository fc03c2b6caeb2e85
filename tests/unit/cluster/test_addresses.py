"""Two clusters beside each other share no port, no subnet and no name."""

from itertools import combinations

import pytest

from tests.cluster.addresses import NODES, NUMBERS, Addresses


def ports(addresses: Addresses) -> set[int]:
    return {
        addresses.apiserver_port,
        addresses.etcd_port,
        addresses.etcd_peer_port,
        addresses.controller_manager_port,
        addresses.scheduler_port,
        addresses.kwok_port,
    }


def names(addresses: Addresses) -> set[str]:
    nodes = [addresses.node(index) for index in NODES]
    return {
        addresses.bridge,
        addresses.cgroup,
        str(addresses.runtime_directory),
        *(node.interface for node in nodes),
        *(node.network_namespace for node in nodes),
        *(node.cgroup for node in nodes),
        *(str(node.runtime_directory) for node in nodes),
    }


def test_two_clusters_share_nothing() -> None:
    for one, other in combinations([Addresses(number) for number in NUMBERS], 2):
        assert not ports(one) & ports(other)
        assert not names(one) & names(other)
        assert not one.network.overlaps(other.network)


@pytest.mark.parametrize("number", NUMBERS)
def test_one_cluster_keeps_its_subnets_apart_inside_its_network(number: int) -> None:
    addresses = Addresses(number)
    pods = [addresses.node(index).pod_subnet for index in NODES]
    subnets = [addresses.node_subnet, addresses.service_subnet, *pods]
    assert not any(one.overlaps(other) for one, other in combinations(subnets, 2))
    assert all(subnet.subnet_of(addresses.network) for subnet in subnets)
    assert all(pod.subnet_of(addresses.pod_subnet) for pod in pods)
    assert addresses.dns_ip in addresses.service_subnet


@pytest.mark.parametrize("number", NUMBERS)
def test_the_kernel_and_containerd_take_the_names(number: int) -> None:
    addresses = Addresses(number)
    assert len(ports(addresses)) == 6
    assert all(1024 < port < 30000 for port in ports(addresses))
    assert all(len(addresses.node(index).interface) <= 15 for index in NODES)
    assert all(len(f"{addresses.node(index).runtime_directory}/s") <= 38 for index in NODES)


@pytest.mark.parametrize("number", [-1, NUMBERS.stop])
def test_a_number_outside_the_range_is_refused_with_the_range(number: int) -> None:
    with pytest.raises(ValueError, match=r"is not in 0\.\.39"):
        Addresses(number)
