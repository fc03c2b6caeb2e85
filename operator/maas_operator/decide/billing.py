"""What the ledger is told of instances and prices (M16).

An instance is billed from the moment it has its node until its pod is gone or finished: the accelerators are held also
while it loads, crashes or drains. Each time is one that any operator reads alike, as far as there is one.
"""

from collections.abc import Container, Iterable, Sequence

from maas_operator.api.billing import FlavorPrice, Interval, Package, Tariff
from maas_operator.api.resourcepool import Prepaid, ResourcePoolSpec
from maas_operator.api.seen import InstanceEnded, PodSeen, PoolEdit
from maas_operator.api.times import moment
from maas_operator.decide.identity import label_value


def running(pod: PodSeen, now: int) -> Interval:
    """An instance that has its node. Raises pydantic.ValidationError where its pod says what cannot be billed.

    One that should have been gone by now (its node does not answer, say) is billed no longer: its successor may run.
    """
    overdue = pod.leaving_by is not None and pod.leaving_by <= now
    return _interval(pod, now, pod.leaving_by if overdue else None)


def ended(instance: InstanceEnded) -> Interval:
    """An instance that has left its node. Where nobody knows when, it is lost: billed until it was last known there.
    Raises as `running` does."""
    pod = instance.pod
    known = pod.finished_at if pod.finished_at is not None else instance.at
    ends = [end for end in (known, pod.leaving_by) if end is not None]
    if not ends:
        return _interval(pod, _start(pod), None).model_copy(update={"lost": True})
    return _interval(pod, min(ends), min(ends))


def lost(open_: Iterable[Interval], here: Container[str]) -> list[Interval]:
    """Of the intervals that the ledger has open, those whose instance is not there (`here`: the uids of those that
    are). They ended while no operator ran, and count until they were last seen: that errs to the customer's favour."""
    return [each.model_copy(update={"lost": True}) for each in open_ if each.uid not in here]


def tariff(edit: PoolEdit) -> Tariff:
    """What a pool's spec says of money. Raises pydantic.ValidationError where that cannot be read: then what it said
    before stands."""
    spec = ResourcePoolSpec.model_validate(edit.spec)
    return Tariff(
        pool=label_value(edit.name),
        uid=edit.uid,
        generation=edit.generation,
        since=edit.since,
        dedicated=bool(spec.dedicated),
        flavors=[flavor.name for flavor in spec.flavors],
        prices=[FlavorPrice(flavor=each.name, price=each.price) for each in spec.flavors if each.price],
        packages=_packages(spec.prepaid),
    )


def _packages(prepaid: Sequence[Prepaid]) -> list[Package]:
    """A package whose times are none is left out: the API server takes no such one. So is one that ended before 1970,
    which pays for nothing; one that merely began then has begun at 0."""
    found = []
    for each in prepaid:
        start, end = moment(each.start), moment(each.end)
        if start is None or (each.end is not None and end is None):
            continue
        first, last = max(0, int(start.timestamp())), int(end.timestamp()) if end else None
        if last is not None and last <= 0:
            continue
        facts = {"name": each.name, "account": each.account, "flavor": each.flavor, "hours": each.hours}
        found.append(Package(**facts, start=first, end=last))
    return found


def _start(pod: PodSeen) -> int:
    return pod.scheduled_at or 0


def _interval(pod: PodSeen, seen: int, end: int | None) -> Interval:
    """No time is before the start: clocks of nodes and of the API server differ."""
    start = _start(pod)
    return Interval(
        uid=pod.uid,
        account=pod.namespace,
        service=f"{pod.namespace}/{pod.service}",
        pool=pod.pool or "",
        flavor=pod.flavor or "",
        start=start,
        seen=max(start, seen),
        end=None if end is None else max(start, end),
    )
