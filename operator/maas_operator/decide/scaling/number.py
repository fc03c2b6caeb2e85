"""How many instances a service that is awake has: the bounds first, then what the metrics ask for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from maas_operator.api.scaling import Scaling, SelectPolicy
from maas_operator.api.seen import PodSeen, Recommendation, ScaleEvent, ScalingMemory, ServiceSeen
from maas_operator.decide.scaling.behavior import Behavior, Limit, complete, limited, stabilized
from maas_operator.decide.scaling.metrics import MILLI, Asked, Reading, asked, read
from maas_operator.decide.scaling.schedules import Bounds


@dataclass(frozen=True, slots=True)
class Number:
    """How many, and why."""

    instances: int
    why: str | None
    """None: nothing new was to be decided on."""
    memory: ScalingMemory
    readings: Sequence[Reading] = ()


def number(
    seen: ServiceSeen, scaling: Scaling, bounds: Bounds, pods: Sequence[PodSeen], current: int, now: datetime
) -> Number:
    """The number of instances. current: what it is, 1 or more; pods: those that stay."""
    memory = _by_now(seen.scaling_memory or ScalingMemory(), now)
    behavior = complete(scaling.behavior)
    if not memory.recommendations:  # a process that has just begun does not know better than the one before
        memory = replace(memory, recommendations=(Recommendation(now, current),))
    news = seen.measured if seen.measured and seen.measured.at != memory.measured_at else None
    if news:
        memory = replace(memory, measured_at=news.at)
    if current < bounds.awake or not scaling.metrics:
        found = Number(bounds.awake, at_least(bounds), memory)
    elif current > bounds.most:
        found = Number(bounds.most, f"at most {bounds.most_by}", memory)
    elif news is None:
        found = Number(current, None, memory)
    else:
        readings = read(scaling.metrics, news, pods, current, behavior.tolerances)
        found = _by_metrics(readings, bounds, behavior, current, memory, now)
    return replace(found, memory=_noted(found, current, behavior, now))


def _by_now(memory: ScalingMemory, now: datetime) -> ScalingMemory:
    """Without what a clock that was set back has put into the future: rules would look at it until then."""
    return replace(
        memory,
        recommendations=tuple(each for each in memory.recommendations if each.at <= now),
        events=tuple(each for each in memory.events if each.at <= now),
    )


def at_least(bounds: Bounds) -> str:
    """The lower bound in words."""
    return f"at least {bounds.least_by}" if bounds.least else "one while it is awake"


def _by_metrics(
    readings: Sequence[Reading], bounds: Bounds, behavior: Behavior, current: int, memory: ScalingMemory, now: datetime
) -> Number:
    found = asked(readings, current)
    unknown = ", ".join(each.metric.type for each in readings if not each.known)
    if found is None:
        fewer = current > bounds.awake
        why = f"fewer only once {unknown} is known" if fewer else f"{at_least(bounds)}; {unknown} not known"
        return Number(current, why, memory, readings)
    stable = stabilized(memory.recommendations, current, found.instances, behavior, now)
    desired, limit = limited(current, stable, bounds.awake, bounds.most, memory.events, behavior, now)
    parts = [_asks(found), _stabilized(found.instances, stable, behavior), _limited(limit, stable, bounds, behavior)]
    if unknown:
        parts.append(f"{unknown} not wholly known")
    recommendations = (*memory.recommendations, Recommendation(now, found.instances))
    why = "; ".join(part for part in parts if part)
    return Number(desired, why, replace(memory, recommendations=recommendations), readings)


def _asks(found: Asked) -> str:
    metric, target = found.by.metric, found.by.metric.target * MILLI
    average = found.by.proposal.average if found.by.proposal else 0
    beside = "over" if average > target else "under" if average < target else "at"
    return (
        f"{metric.type} {found.by.average} per instance {beside} the target {metric.target} asks for {found.instances}"
    )


def _stabilized(wanted: int, stable: int, behavior: Behavior) -> str | None:
    if stable == wanted:
        return None
    if stable > wanted:
        return f"{stable} were asked for within the last {behavior.down.window} s"
    return f"{stable} were asked for all through the last {behavior.up.window} s"


def _limited(limit: Limit, stable: int, bounds: Bounds, behavior: Behavior) -> str | None:
    match limit:
        case Limit.MOST:
            return f"at most {bounds.most_by}"
        case Limit.LEAST:
            return at_least(bounds)
        case Limit.UP | Limit.DOWN:
            field, rules = ("scaleUp", behavior.up) if limit == Limit.UP else ("scaleDown", behavior.down)
            if rules.select == SelectPolicy.DISABLED:
                return f"{field}.selectPolicy is Disabled"
            return f"{field}.policies do not let it go to {stable} yet"
    return None


def _noted(found: Number, current: int, behavior: Behavior, now: datetime) -> ScalingMemory:
    """The memory with this change in it, and without what no rule looks at any more."""
    oldest = now - timedelta(seconds=behavior.remembered)
    change = found.instances - current
    events = (*found.memory.events, *([ScaleEvent(now, change)] if change else []))
    return replace(
        found.memory,
        recommendations=tuple(each for each in found.memory.recommendations if each.at >= oldest)
        or found.memory.recommendations[-1:],
        events=tuple(each for each in events if each.at >= oldest),
    )
