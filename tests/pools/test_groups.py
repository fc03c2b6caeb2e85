"""Instances of several hosts, by the real LeaderWorkerSet controller, scheduler and disruption controller."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.operator_process import Account, Operator, custom
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.pools.room import MODEL, NPUS, NPUS_A_NODE, SEEN_SECONDS, Room, Service

POOL = "racks"
RACK = "example.com/rack"
LWS = "leaderworkerset.sigs.k8s.io"


@pytest.fixture(scope="module")
def service(cluster: Cluster, account: Account, room: Room, operator: Operator) -> Iterator[Service]:
    """Two instances of two hosts, on two racks of two nodes, each of which holds one host."""
    for rack in ("a", "b"):
        cluster.add_kwok_nodes(2, {NPUS: str(NPUS_A_NODE)}, {"pool": POOL, RACK: rack}, prefix=f"{POOL}-{rack}")
    devices = {"type": "ascend-910b", "count": NPUS_A_NODE}
    flavor = {"name": "wide", "accelerator": devices, "hosts": 2, "topologyKey": RACK, "cpu": "1", "memory": "1Gi"}
    account.apply(custom("ResourcePool", POOL, spec={"nodeSelector": {"pool": POOL}, "flavors": [flavor]}))
    with cluster.leader_worker_sets():
        spec = {"model": {"name": MODEL, "version": "good"}, "resourcePool": POOL, "flavor": "wide", "instances": 2}
        account.serve(Service.name, **spec)
        made = Service(account, operator)
        made.until("Running", "2 of 2 ready")
        yield made
        account.delete("msvc", made.name)
        wait_until(lambda: not left(account), SEEN_SECONDS, "all of it to be gone", lambda: str(left(account)))


def left(account: Account) -> list[str]:
    kinds = "pods,statefulsets,services,leaderworkersets,poddisruptionbudgets"
    found = json.loads(account.cluster.kubectl("get", kinds, "-n", account.name, "-o", "json"))["items"]
    return [each["metadata"]["name"] for each in found if each["metadata"]["name"].startswith(Service.name)]


def groups(service: Service) -> dict[str, dict[str, dict[str, Any]]]:
    """The pods that stay, by instance and place."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for pod in service.pods():
        labels = pod["metadata"]["labels"]
        if "deletionTimestamp" not in pod["metadata"]:
            found.setdefault(labels[f"{LWS}/group-index"], {})[labels[f"{LWS}/worker-index"]] = pod
    return found


def uids(group: dict[str, dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in group.values()}


def test_all_hosts_of_an_instance_are_on_one_rack_and_the_service_finds_leaders(
    cluster: Cluster, account: Account, service: Service
) -> None:
    there = groups(service)
    assert {number: sorted(group) for number, group in there.items()} == {"0": ["0", "1"], "1": ["0", "1"]}
    racks = [{pod["spec"]["nodeName"].rpartition("-")[0] for pod in group.values()} for group in there.values()]
    assert sorted(map(sorted, racks)) == [[f"{POOL}-a"], [f"{POOL}-b"]]

    def addresses() -> set[str]:
        selector = f"kubernetes.io/service-name={service.name}"
        found = cluster.kubectl("get", "endpointslices", "-n", account.name, "-l", selector, "-o", "json")
        endpoints = (each for item in json.loads(found)["items"] for each in item["endpoints"] or ())
        return {address for each in endpoints for address in each["addresses"]}

    leaders = {group["0"]["status"]["podIP"] for group in there.values()}
    wait_until(lambda: addresses() == leaders, SEEN_SECONDS, "the slices to hold the leaders", lambda: str(addresses()))


def test_of_all_hosts_one_may_be_evicted_at_a_time(account: Account, service: Service) -> None:
    def status() -> dict[str, Any]:
        return dict((account.get("pdb", service.name) or {}).get("status", {}))

    def whole() -> bool:
        return (status().get("expectedPods"), status().get("disruptionsAllowed")) == (4, 1)

    wait_until(whole, SEEN_SECONDS, "the budget to know all hosts", lambda: str(status()))


def test_m9_a_host_that_goes_takes_its_instance_with_it_and_no_other(account: Account, service: Service) -> None:
    before = groups(service)
    account.cluster.kubectl("delete", "pod", "-n", account.name, "--wait=false", before["1"]["1"]["metadata"]["name"])

    def made_anew() -> bool:
        now = groups(service).get("1", {})
        return len(now) == 2 and not uids(now) & uids(before["1"])

    wait_until(made_anew, SEEN_SECONDS, "the whole instance to be made anew")
    service.until("Running", "2 of 2 ready")
    assert uids(groups(service)["0"]) == uids(before["0"])


def test_m14_fewer_instances_are_whole_groups_fewer(service: Service) -> None:
    before = groups(service)
    service.change(instances=1)
    wait_until(lambda: groups(service).keys() == {"0"}, SEEN_SECONDS, "one instance to be left")
    service.until("Running", "1 of 1 ready")
    assert uids(groups(service)["0"]) == uids(before["0"])


def test_m11_a_quota_of_the_namespace_that_no_further_host_may_be_made_for_is_told(
    account: Account, service: Service
) -> None:
    metadata, spec = {"name": "hosts", "namespace": account.name}, {"hard": {"pods": "2"}}
    account.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec})
    service.change(instances=2)
    service.until("Running", "1 of 2 ready; 1 of 2 instances cannot be made", "exceeded quota: hosts")
    account.delete("resourcequota", "hosts")
    service.change(instances=1)
    service.until("Running", "1 of 1 ready")


def test_m15_where_there_is_room_the_new_instance_answers_before_the_old_one_goes(service: Service) -> None:
    (before,) = groups(service).values()
    service.change(engine={"args": ["--newer"]})
    seen: list[tuple[int, int]] = []

    def replaced() -> bool:
        ready = service.answering().keys()
        old = sum(uid in uids(before) for uid in ready)
        seen.append((old, len(ready) - old))
        return not old and len(ready) == 2

    wait_until(replaced, SEEN_SECONDS, "the new instance alone to be there", lambda: str(seen))
    service.until("Running", "1 of 1 ready")
    assert all(old == 2 or new >= 2 for old, new in seen), f"one whole instance was always there: {seen}"
