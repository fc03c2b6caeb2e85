"""Pods of instances of several hosts that a dead node keeps: their successors bear their names, and wait for them."""

from maas_operator.api.decision import Remove
from maas_operator.api.seen import ServiceSeen


def stranded(seen: ServiceSeen) -> tuple[Remove, ...]:
    """The removal, without waiting, of those that are to leave a node that is not ready: nobody there carries it out.
    A StatefulSet, of which a LeaderWorkerSet is made, waits for ever, since two pods of one name might write to the
    same volume; these have none, and when the node comes back it ends what is left of them."""
    dead = {node.name for node in seen.nodes if not node.ready}
    return tuple(
        Remove("Pod", pod.namespace, pod.name, pod.uid, 0)
        for pod in seen.pods
        if pod.group is not None and pod.leaving and pod.node in dead
    )
