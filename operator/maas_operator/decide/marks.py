"""Which instance goes first where there are to be fewer: the one with the fewest requests."""

from maas_operator.api.decision import Mark
from maas_operator.api.seen import ServiceSeen
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.instances import Instances
from maas_operator.decide.standing import standing_replicas


def marks(seen: ServiceSeen, plan: Plan, instances: Instances) -> tuple[Mark, ...]:
    """What the removal of each instance would cost: the requests in it. Nothing where none, or all, are to go, and
    nothing on instances that did not tell; but where the number follows from no measure, those alone are asked that
    have requests, and an earlier mark on another is taken back. Of instances of several hosts the last one goes first,
    whatever it costs."""
    if seen.measured is None or not 0 < plan.replicas < standing_replicas(seen):
        return ()
    told = {name: each.running + each.waiting for name, each in seen.measured.instances.items()}
    unasked = None if plan.spec.scaling else 0
    costs = [(pod, told.get(pod.name, unasked)) for pod in instances.staying if pod.group is None]
    return tuple(
        Mark(pod.namespace, pod.name, pod.uid, str(cost))
        for pod, cost in costs
        if cost is not None and str(cost) != (pod.deletion_cost or "0")
    )
