"""Children of a service that others write, too: put right and told of, and after a few times left alone for a while."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from maas_operator.api.conditions import Reason
from maas_operator.api.seen import Contest, Manifest, Overruled, ServiceSeen, WriteFailure
from maas_operator.decide.conditions import Verdict

TOLD_SECONDS = 600
"""How long it is told, and counts, that a child was taken back."""
MOST_TIMES = 3
"""How often within that time. Instances come and go with each: then both stop."""

Contests = Mapping[tuple[str, str], Contest]


def remembered(before: Contests, overruled: Sequence[Overruled], generation: int, now: datetime) -> Contests:
    """What is to be known of a service's contests once these children were taken back."""
    known = _recent(before, generation, now)
    for each in overruled:
        at = (each.kind, each.name)
        known[at] = Contest(each.by, (*(known[at].times if at in known else ()), now), generation)
    return known


def recent(seen: ServiceSeen, now: datetime) -> ServiceSeen:
    """What was seen, with the contests that still count: a change of the service ends them."""
    return replace(seen, contests=_recent(seen.contests, seen.service["metadata"].get("generation", 0), now))


def _recent(contests: Contests, generation: int, now: datetime) -> dict[tuple[str, str], Contest]:
    since = now - timedelta(seconds=TOLD_SECONDS)
    kept = {
        at: replace(each, times=tuple(time for time in each.times if time > since))
        for at, each in contests.items()
        if each.generation == generation
    }
    return {at: each for at, each in kept.items() if each.times}


def left_alone(seen: ServiceSeen, child: Manifest) -> WriteFailure | None:
    """Why a child that is not as it should be is left so; None: it is taken back."""
    contest = seen.contests.get((child["kind"], child["metadata"]["name"]))
    if contest is None or len(contest.times) < MOST_TIMES:
        return None
    what = f"{child['kind']} {child['metadata']['namespace']}/{child['metadata']['name']}"
    message = (
        f"{what} is written by {contest.by}, too, over and over: it was put right {MOST_TIMES} times and is left as it "
        "is for some minutes; end that, and have it write the ModelService instead. A change of the ModelService is "
        "carried out at once"
    )
    return WriteFailure(what, Reason.CONFLICT, message, retry=False)


def verdict(seen: ServiceSeen) -> Verdict | None:
    """What the condition Reconciled says while the cluster holds what it should; None: nothing of contests."""
    if not seen.contests:
        return None
    told = "; ".join(f"{kind} {name} by {each.by}" for (kind, name), each in sorted(seen.contests.items()))
    message = (
        f"the cluster holds what the spec asks for, but others wrote into what the operator makes, and it was put "
        f"right: {told}. Write the ModelService instead"
    )
    return Verdict(True, Reason.CONFLICT, message)


def look_again(seen: ServiceSeen, now: datetime) -> float | None:
    """Seconds until one of them is over."""
    ends = [each.times[0] + timedelta(seconds=TOLD_SECONDS) for each in seen.contests.values()]
    return max(0.0, (min(ends) - now).total_seconds()) if ends else None
