"""How many instances of a service its account may run in the pool (ResourcePool.spec.quotas)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maas_operator.api.resourcepool import Quota, ResourcePoolSpec
from maas_operator.api.seen import Standing
from maas_operator.api.selecting import selects

HOLDERS_NAMED = 5
"""Services that a message names as those who use a quota."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many instances a service may have, of those that it wants."""

    instances: int
    quota: str = ""
    """The quota that keeps it from having more; "": none does."""
    message: str = ""


def allowance(
    pool: ResourcePoolSpec,
    labels: Mapping[str, str],
    me: Standing,
    others: Sequence[Standing],
    stands: int,
) -> Allowance:
    """First come first served. labels: those of the account's namespace; me: as it asks now; others: the account's
    other services in the pool; stands: instances that run, which no quota takes away."""
    found = Allowance(me.desired)
    for quota in pool.quotas:
        if not selects(quota.accounts, labels) or not _counts(quota, me):
            continue
        claims = {each.who: _claim(each, me, quota) for each in others if _counts(quota, each)}
        left = max(0, quota.instances - sum(claims.values()))
        if left < found.instances:
            found = Allowance(left, quota.name, _words(quota, me, claims))
    return found if found.instances >= stands else Allowance(min(stands, me.desired), found.quota, found.message)


def _counts(quota: Quota, service: Standing) -> bool:
    return not quota.flavors or service.flavor in quota.flavors


def _claim(other: Standing, me: Standing, quota: Quota) -> int:
    """Instances that another service has, or is to have first: it asked earlier, or they are being made."""
    has = max(other.placed, other.replicas)
    if not other.since or (other.since, other.created, other.who) > (me.since, me.created, me.who):
        return has
    return max(has, other.desired if other.quota in {"", quota.name} else other.placed + other.waiting)


def _words(quota: Quota, me: Standing, claims: Mapping[str, int]) -> str:
    users = [f"{who} ({count})" for who, count in claims.items() if count]
    named = ", ".join(users[:HOLDERS_NAMED])
    more = f" and {len(users) - HOLDERS_NAMED} more" if len(users) > HOLDERS_NAMED else ""
    used = f"; used by {named}{more}" if users else ""
    flavors = f" of {', '.join(quota.flavors)}" if quota.flavors else ""
    instances = f"{quota.instances} instance{'' if quota.instances == 1 else 's'}"
    return f"quota {quota.name} of pool {me.pool} lets account {me.namespace} run {instances}{flavors}{used}"
