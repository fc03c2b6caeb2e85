"""A machine that lacks something is told what, and what to do, before anything is built."""

from dataclasses import replace

import pytest

from tests.cluster.addresses import Addresses
from tests.cluster.prerequisites import CGROUP_CONTROLLERS, Facts, complaints, gather

ADDRESSES = Addresses(7)
READY = Facts(
    system="Linux",
    architecture="x86_64",
    root=True,
    go="go1.26.3",
    go_may_fetch_newer=False,
    cryptography=True,
    missing=frozenset(),
    apt=True,
    cgroup_controllers=frozenset(CGROUP_CONTROLLERS),
    taken_subnet="",
    foreign_kubelet=False,
    cache_writable=True,
)


@pytest.mark.parametrize("profile", ["api", "kwok", "node"])
def test_a_ready_machine_hears_nothing(profile: str) -> None:
    assert complaints(READY, profile, ADDRESSES) == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(READY, system="Darwin", architecture="arm64"), "it runs Darwin on arm64: use a Linux machine"),
        (replace(READY, go=None), "there is no Go: install Go 1.26 or newer"),
        (replace(READY, go="go1.19.8"), "Go is go1.19.8: install Go 1.26 or newer"),
        (replace(READY, go="go1.25.1"), "Go is go1.25.1: install Go 1.26 or newer"),
        (replace(READY, go="unknown"), "Go is unknown: install Go 1.26 or newer"),
        (replace(READY, cryptography=False), "Python lacks the package cryptography: install the project with its dev"),
        (replace(READY, cache_writable=False), "cannot be written: set MAAS_CACHE"),
        (replace(READY, root=False), "this user is not root, and a node needs root: use sudo"),
        (
            replace(READY, missing=frozenset({"nft", "runc"}), apt=False),
            "it lacks nft, runc: install Debian's nftables runc",
        ),
        (
            replace(READY, cgroup_controllers=frozenset(CGROUP_CONTROLLERS - {"memory"})),
            "it lacks the cgroup controllers memory",
        ),
        (replace(READY, taken_subnet="10.207.0.0/24"), "it has a route to 10.207.0.0/24, inside 10.207.0.0/16: use an"),
        (replace(READY, foreign_kubelet=True), "another cluster's kubelet runs on it"),
    ],
)
def test_what_a_node_lacks_is_said_once_with_what_to_do(facts: Facts, said: str) -> None:
    found = complaints(facts, "node", ADDRESSES)
    assert len(found) == 1
    assert said in found[0]


def test_all_that_is_missing_is_said_at_once() -> None:
    facts = replace(READY, go=None, cryptography=False, root=False)
    assert len(complaints(facts, "node", ADDRESSES)) == 3


def test_an_older_go_that_fetches_a_newer_by_itself_will_do() -> None:
    assert complaints(replace(READY, go="go1.23.0", go_may_fetch_newer=True), "api", ADDRESSES) == []


def test_root_with_apt_is_not_asked_to_install_packages() -> None:
    assert complaints(replace(READY, missing=frozenset({"nft"})), "node", ADDRESSES) == []


def test_an_api_server_alone_needs_neither_root_nor_packages_nor_cgroups() -> None:
    facts = replace(READY, root=False, missing=frozenset({"runc"}), cgroup_controllers=frozenset(), taken_subnet="10/8")
    assert complaints(facts, "api", ADDRESSES) == []


def test_gathering_takes_this_machine_as_it_is() -> None:
    assert gather(ADDRESSES).system == "Linux"
