"""Nodes that are cordoned, drained and dead, under a service: real eviction, real controllers, kwok's nodes."""

import json

import pytest

from tests.api.operator_process import Operator
from tests.cluster import Cluster, ClusterError
from tests.pools.room import NPUS, NPUS_A_NODE, POOL, Room

DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data")


def test_a_drain_evicts_one_instance_at_a_time_and_never_the_last_that_answers(
    cluster: Cluster, room: Room, operator: Operator
) -> None:
    here, there = room.nodes
    cluster.kubectl("cordon", there)
    try:
        with room.serving(operator, flavor="half") as service:
            before = service.answering()
            assert set(before.values()) == {here}, "a cordoned node gets no instance"
            with pytest.raises(ClusterError, match="disruption budget"):
                cluster.kubectl("drain", here, *DRAIN, "--timeout=4s")
            service.until("Running", "1 of 2 ready", "none of the pool's 2 nodes takes pods (not ready, cordoned")
            (survivor,) = service.answering()
            assert survivor in before, "a cordoned node keeps its instances"
            cluster.kubectl("uncordon", there)
            cluster.kubectl("drain", here, *DRAIN, "--timeout=60s")
            service.until("Running", "2 of 2 ready")
            assert set(service.answering().values()) == {there}
    finally:
        cluster.kubectl("uncordon", here, there)


def test_a_drain_moves_a_lone_instance(cluster: Cluster, room: Room, operator: Operator) -> None:
    with room.serving(operator, flavor="half", instances=1) as service:
        (node,) = service.answering().values()
        try:
            cluster.kubectl("drain", node, *DRAIN, "--timeout=60s")
            service.until("Running", "1 of 1 ready")
            assert set(service.answering().values()) == set(room.nodes) - {node}
        finally:
            cluster.kubectl("uncordon", node)


def test_the_instances_of_a_dead_node_are_named_and_made_anew_elsewhere(
    cluster: Cluster, room: Room, operator: Operator
) -> None:
    """The pool waits for a node for some seconds; where it says nothing, Kubernetes waits for five minutes."""
    here, there = room.nodes
    half = NPUS_A_NODE // 2
    with room.taken(here, half), room.taken(there, half), room.serving(operator, flavor="half") as service:
        kill(cluster, there, room.account.name)
        service.until("Alarm", "1 of 2 ready", f"its node {there} is not ready")
        assert set(service.answering().values()) == {here}
        service.until("Running", "1 of 2 ready", "1 instance waiting for room in pool room")
        room.nodes += cluster.add_kwok_nodes(1, {NPUS: str(NPUS_A_NODE)}, {"pool": POOL}, prefix="spare")
        service.until("Running", "2 of 2 ready")
        assert set(service.answering().values()) == {here, "spare-0000"}
        cluster.kubectl("delete", "node", there)
        room.nodes.remove(there)


def kill(cluster: Cluster, node: str, account: str) -> None:
    """What is seen of a node that has lost power: nobody speaks for it any more, it is not ready, and its pods neither
    (the node controller says so of both, once heartbeats have been missing for 50 s)."""
    cluster.kubectl("annotate", "node", node, "kwok.x-k8s.io/node-")
    not_ready = json.dumps({"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "NodeNotReady"}]}})
    cluster.kubectl("patch", "node", node, "--subresource=status", "-p", not_ready)
    there = cluster.kubectl("get", "pods", "-n", account, f"--field-selector=spec.nodeName={node}", "-o", "name")
    for pod in there.split():
        cluster.kubectl("patch", pod, "-n", account, "--subresource=status", "-p", not_ready)
