"""How a change reaches the instances: new ones first where the pool has room, else one by one."""

from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.instances import Instances
from maas_operator.decide.room import free, usable

NEW_FIRST: Manifest = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
ONE_BY_ONE: Manifest = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def strategy(seen: ServiceSeen, plan: Plan, live: Manifest | None, instances: Instances, changing: bool) -> Manifest:
    """The Deployment's strategy. It is chosen when a change begins, and once more when a new instance finds no room
    after all: otherwise every pod that comes or goes in the pool would have all of its services written again."""
    if live is None:
        return NEW_FIRST
    if changing:
        return NEW_FIRST if free(plan.flavor, usable(plan.pool, seen.nodes)) > 0 else ONE_BY_ONE
    if instances.unplaced and instances.mixed:
        return ONE_BY_ONE
    rolling = live["spec"].get("strategy", {}).get("rollingUpdate", {})
    return ONE_BY_ONE if rolling.get("maxUnavailable") == 1 else NEW_FIRST
