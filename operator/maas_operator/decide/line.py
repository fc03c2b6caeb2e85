"""The line of a pool (M12): who asks for more than there is room for waits, and who came first is served first.

The scheduler would let a small late-comer have room that an earlier, larger one needs. So pods are made only for those
whose turn it is: for the first, whose pods may have to wait, so that a cluster autoscaler sees them and they get their
room while the operator is down, too; and as far behind it as all find room together. Nothing that runs is taken away.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from maas_operator.api.conditions import Reason
from maas_operator.api.names import LABEL_FLAVOR, LABEL_POOL, LINE_SHOWN
from maas_operator.api.quantities import mebibytes
from maas_operator.api.seen import Manifest, ServiceSeen, Standing
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.conditions import Verdict
from maas_operator.decide.identity import label_value
from maas_operator.decide.instances import FINISHED, Instances
from maas_operator.decide.packing import could_hold, fits_ahead
from maas_operator.decide.quota import allowance
from maas_operator.decide.room import free, pool_nodes, resource, usable
from maas_operator.decide.sources import disk
from maas_operator.decide.standing import pod_labels, standing_replicas, template_of, workloads

AHEAD_NAMED = 3
"""Services that a message names as those ahead."""
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True, slots=True)
class Turn:
    """What a service may have now, and for what it waits."""

    replicas: int
    """Instances that are made."""
    queue: Manifest | None = None
    """For status.queue; None: it has all that it asks for."""
    in_line: str = ""
    """Its place in words; "": it waits for no room."""
    quota: str = ""
    """Which quota it has reached, in words; "": none."""
    hopeless: bool = False
    """The pool's nodes could not hold what it asks for even if they were empty: it holds nobody up."""
    moves_later: bool = False
    """What runs is of another pool or flavor, and its change has to wait: the pods' template stays as it is."""
    no_place: bool = False
    """Its first instances wait for their weights, and could not be made or placed now if these were there."""

    @property
    def behind(self) -> bool:
        """Whether it stands behind others."""
        return bool(self.queue and self.queue.get("place", 0) > 1)

    @property
    def held_back(self) -> bool:
        """Whether it waits for others, or for its quota: not for room alone."""
        return self.behind or bool(self.quota)


def take_turn(
    seen: ServiceSeen, plan: Plan, instances: Instances, now: datetime, awaited: Verdict | None = None
) -> Turn:
    """How many instances of the desired ones are made now. awaited: what is known of the weights that the first of them
    wait for, with no pod made; None: they wait for none."""
    if not plan.desired:
        return Turn(0)
    elsewhere = _elsewhere(seen, plan)
    moving = elsewhere and instances.working > 0
    earlier = _earlier(seen, plan)
    granted = standing_replicas(seen)  # a roll-out may have one more, which is nobody's place
    me = _standing(seen, plan, elsewhere, earlier, min(granted, placed(seen, plan)), now)
    stands = 0 if elsewhere else min(plan.desired, granted, instances.placed)
    allowed = allowance(plan.pool, seen.namespace_labels, me, seen.account, stands)
    me = replace(me, placed=min(me.placed, allowed.instances), quota=allowed.quota)
    if me.placed >= plan.desired and not moving:
        return Turn(plan.desired)
    if me.placed < allowed.instances:
        waited = bool(earlier.get("place"))
        me, ahead, waits = _waiting(seen, plan, instances, me, allowed.instances, waited, awaited)
    else:
        waits, ahead = False, []
    served = not me.waiting or not ahead or _all_fit(seen, plan, ahead, me)
    # What the scheduler has not judged yet is not taken back: it may be just about to be placed.
    made = granted if instances.unplaced and not _judged(instances) else 0
    turn = Turn(
        replicas=allowed.instances if served else min(allowed.instances, max(me.placed, stands, made)),
        queue=_queue(me, len(ahead) + 1 if me.waiting else None),
        in_line=_in_line(me, ahead) if me.waiting else "",
        quota=allowed.message,
        hopeless=waits and not me.waiting and bool(pool_nodes(plan.pool, seen.nodes)),
        no_place=awaited is not None and (not served or not allowed.instances or _full(seen, plan)),
    )
    if moving and (not served or allowed.instances < plan.desired):
        stays = min(plan.desired, granted, max(instances.placed, made))  # what waits for room there is not made here
        return replace(turn, replicas=stays, moves_later=True)
    return turn


def left_line(seen: ServiceSeen) -> Manifest:
    """The status of a service whose spec cannot be carried out: it waits for nothing now, and keeps what it had."""
    queue = seen.service.get("status", {}).get("queue")
    kept = {key: value for key, value in (queue or {}).items() if key not in {"place", "quota"}}
    return {"queue": kept | {"instances": 0}} if queue else {}


def placed(seen: ServiceSeen, plan: Plan) -> int:
    """Instances of the plan's pool and flavor that stay, and of which every host has a node."""
    pool, hosts = label_value(plan.spec.resource_pool), plan.flavor.hosts or 1
    there = [
        pod
        for pod in seen.pods
        if pod.pool == pool and pod.flavor == plan.flavor.name and not pod.leaving and pod.phase not in FINISHED
    ]
    if hosts == 1:
        return sum(pod.node is not None for pod in there)
    groups = Counter(pod.group for pod in there if pod.node is not None)
    return sum(count >= hosts for count in groups.values())


def _elsewhere(seen: ServiceSeen, plan: Plan) -> bool:
    """Whether what stands still asks for another pool or flavor, and nothing for this one."""
    wanted = {LABEL_POOL: label_value(plan.spec.resource_pool), LABEL_FLAVOR: plan.flavor.name}
    standing = [pod_labels(template_of(live)) for live in workloads(seen)]
    return bool(standing) and all(
        any(labels.get(name, value) != value for name, value in wanted.items()) for labels in standing
    )


def _earlier(seen: ServiceSeen, plan: Plan) -> Manifest:
    """status.queue, where it speaks of this pool and flavor."""
    queue: Manifest = seen.service.get("status", {}).get("queue") or {}
    return queue if (queue.get("pool"), queue.get("flavor")) == (plan.spec.resource_pool, plan.flavor.name) else {}


def _standing(
    seen: ServiceSeen, plan: Plan, elsewhere: bool, earlier: Manifest, has_node: int, now: datetime
) -> Standing:
    """The service as it asks now. What has had a node once is its own for as long as it wants so many."""
    status, metadata = seen.service.get("status", {}), seen.service["metadata"]
    if earlier:
        known = int(earlier.get("placed", 0))
    else:
        known = 0 if elsewhere or status.get("queue") else int(status.get("instances", {}).get("desired", 0))
    return Standing(
        namespace=metadata["namespace"],
        name=metadata["name"],
        pool=plan.spec.resource_pool,
        flavor=plan.flavor.name,
        desired=plan.desired,
        placed=min(plan.desired, max(known, has_node)),
        since=str(earlier.get("since") or _instant(now)),
        resource=resource(plan.flavor),
        disk=disk(plan),
        priority=seen.priority or 0,
        created=metadata.get("creationTimestamp", ""),
    )


def _instant(now: datetime) -> str:
    """To the microsecond: of two that come within a second, one was first."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _waiting(
    seen: ServiceSeen,
    plan: Plan,
    instances: Instances,
    me: Standing,
    allowed: int,
    waited: bool,
    awaited: Verdict | None,
) -> tuple[Standing, Sequence[Standing], bool]:
    """The service as it stands in line, those ahead of it, and whether it lacks room at all. waited: it did before.
    Without pods there is no scheduler's word: the pool's figures say whether it lacks room. Whose weights cannot be had
    holds nobody up."""
    if awaited is not None and awaited.reason == Reason.FETCH_FAILING:
        return me, [], False
    line = seen.lines.get(me.resource, ())
    ahead = line[: bisect_left(line, me.order, key=lambda each: each.order)]
    if any(each.who == me.who for each in ahead):  # where it stood before its priority was lowered
        ahead = [each for each in ahead if each.who != me.who]
    if not (waited or ahead or _judged(instances) or (awaited is not None and _full(seen, plan))):
        return me, ahead, False  # its pods are just being placed
    assert seen.pool is not None  # noqa: S101 the plan was made from it
    possible = could_hold(seen.pool, plan.pool, plan.flavor, seen.nodes, me.disk) - me.placed
    return replace(me, waiting=max(0, min(allowed - me.placed, possible))), ahead, True


def _all_fit(seen: ServiceSeen, plan: Plan, ahead: Sequence[Standing], me: Standing) -> bool:
    """Whether all those ahead find room now, and the service, too."""
    if len(ahead) >= LINE_SHOWN:
        return False
    assert seen.pool is not None  # noqa: S101 the plan was made from it
    upto = (*ahead, me)
    line = seen.lines[me.resource]
    same = [each.who for each in line[: len(upto)]] == [each.who for each in upto] and line[len(ahead)] == me
    return fits_ahead(seen.pool, plan.pool, line if same else upto, seen.nodes) >= len(upto)


def _full(seen: ServiceSeen, plan: Plan) -> bool:
    """Whether the pool has no room for an instance."""
    return free(plan.flavor, usable(plan.pool, seen.nodes), disk(plan)) <= 0


def _judged(instances: Instances) -> bool:
    """Whether the scheduler has found no node for an instance."""
    return any(pod.unschedulable for pod in instances.unplaced)


def _queue(me: Standing, place: int | None) -> Manifest:
    return {
        "since": me.since,
        "pool": me.pool,
        "flavor": me.flavor,
        "resource": me.resource,
        "placed": me.placed,
        "instances": me.waiting,
        **({"ephemeralStorage": mebibytes(me.disk)} if me.disk else {}),
        **({"place": place} if place else {}),
        **({"quota": me.quota} if me.quota else {}),
    }


def _in_line(me: Standing, ahead: Sequence[Standing]) -> str:
    place = len(ahead) + 1
    if place > LINE_SHOWN:
        return f"in line for flavor {me.flavor} of pool {me.pool}, after {LINE_SHOWN} others or more"
    ordinal = _ORDINALS[place - 1] if place <= len(_ORDINALS) else f"number {place}"
    words = f"{ordinal} in line for flavor {me.flavor} of pool {me.pool}"
    if not ahead:
        return words
    named = ", ".join(each.who for each in ahead[:AHEAD_NAMED])
    more = f" and {len(ahead) - AHEAD_NAMED} more" if len(ahead) > AHEAD_NAMED else ""
    return f"{words}; before it: {named}{more}"
