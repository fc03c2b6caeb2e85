"""How fast the number of instances may move: what upstream's podautoscaler/horizontal.go (Kubernetes 1.36) makes of
spec.behavior, with autoscaling/v2's defaults where it is left out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from maas_operator.api.scaling import PolicyType, ScalingBehavior, ScalingPolicy, ScalingRules, SelectPolicy
from maas_operator.api.seen import Recommendation, ScaleEvent
from maas_operator.decide.scaling.algorithm import Tolerances

UP = (
    ScalingPolicy(type=PolicyType.PODS, value=4, period_seconds=15),
    ScalingPolicy(type=PolicyType.PERCENT, value=100, period_seconds=15),
)
"""Policies upwards, where none are given."""
DOWN = (ScalingPolicy(type=PolicyType.PERCENT, value=100, period_seconds=15),)
UP_WINDOW = 0
"""Seconds of stabilization upwards, where none are given."""
DOWN_WINDOW = 300


@dataclass(frozen=True, slots=True)
class Rules:
    """One direction's rules, complete."""

    window: int
    """Seconds of stabilization."""
    select: SelectPolicy
    policies: Sequence[ScalingPolicy]


@dataclass(frozen=True, slots=True)
class Behavior:
    """How the number moves."""

    up: Rules
    down: Rules
    tolerances: Tolerances

    @property
    def remembered(self) -> int:
        """Seconds for which what was recommended and done has to be known."""
        periods = [policy.period_seconds for rules in (self.up, self.down) for policy in rules.policies]
        return max(self.up.window, self.down.window, *periods)


class Limit(StrEnum):
    """What keeps the number from what is asked for; upstream's reasons of the condition ScalingLimited."""

    NONE = "DesiredWithinRange"
    MOST = "TooManyReplicas"
    LEAST = "TooFewReplicas"
    UP = "ScaleUpLimit"
    DOWN = "ScaleDownLimit"


def complete(behavior: ScalingBehavior | None) -> Behavior:
    """The rules with what was left out."""
    given = behavior or ScalingBehavior()
    up, down = given.scale_up or ScalingRules(), given.scale_down or ScalingRules()
    return Behavior(
        up=_rules(up, UP_WINDOW, UP),
        down=_rules(down, DOWN_WINDOW, DOWN),
        tolerances=Tolerances(
            up=0.1 if up.tolerance is None else float(up.tolerance),
            down=0.1 if down.tolerance is None else float(down.tolerance),
        ),
    )


def _rules(given: ScalingRules, window: int, policies: Sequence[ScalingPolicy]) -> Rules:
    said = given.stabilization_window_seconds
    return Rules(
        window=window if said is None else said,
        select=given.select_policy or SelectPolicy.MAX,
        policies=policies if given.policies is None else given.policies,
    )


def stabilized(before: Sequence[Recommendation], current: int, wanted: int, behavior: Behavior, now: datetime) -> int:
    """The present number, moved no further than every recommendation within the windows asks for.
    Upstream's stabilizeRecommendationWithBehaviors."""
    up_from, down_from = (now - timedelta(seconds=rules.window) for rules in (behavior.up, behavior.down))
    lowest = min([wanted, *(each.instances for each in before if each.at > up_from)])
    highest = max([wanted, *(each.instances for each in before if each.at > down_from)])
    return min(max(current, lowest), highest)


def limited(
    current: int, wanted: int, least: int, most: int, events: Sequence[ScaleEvent], behavior: Behavior, now: datetime
) -> tuple[int, Limit]:
    """What the bounds and the policies leave of what is wanted, and what it was that took most.
    Upstream's convertDesiredReplicasWithBehaviorRate."""
    if wanted > current:
        fast = max(current, _up(current, events, behavior.up, now))
        bound, limit = (fast, Limit.UP) if most > fast else (most, Limit.MOST)
        return (bound, limit) if wanted > bound else (wanted, Limit.NONE)
    if wanted < current:
        fast = min(current, _down(current, events, behavior.down, now))
        bound, limit = (fast, Limit.DOWN) if least < fast else (least, Limit.LEAST)
        return (bound, limit) if wanted < bound else (wanted, Limit.NONE)
    return wanted, Limit.NONE


def _up(current: int, events: Sequence[ScaleEvent], rules: Rules, now: datetime) -> int:
    """Upstream's calculateScaleUpLimitWithScalingRules."""
    if rules.select == SelectPolicy.DISABLED:
        return current
    bounds = []
    for policy in rules.policies:
        start = _at_start(current, events, policy, now)
        pods = policy.type == PolicyType.PODS
        bounds.append(start + policy.value if pods else math.ceil(start * (1 + policy.value / 100)))
    return min(bounds) if rules.select == SelectPolicy.MIN else max(bounds)


def _down(current: int, events: Sequence[ScaleEvent], rules: Rules, now: datetime) -> int:
    """Upstream's calculateScaleDownLimitWithBehaviors."""
    if rules.select == SelectPolicy.DISABLED:
        return current
    bounds = []
    for policy in rules.policies:
        start = _at_start(current, events, policy, now)
        pods = policy.type == PolicyType.PODS
        bounds.append(start - policy.value if pods else int(start * (1 - policy.value / 100)))
    return max(bounds) if rules.select == SelectPolicy.MIN else min(bounds)


def _at_start(current: int, events: Sequence[ScaleEvent], policy: ScalingPolicy, now: datetime) -> int:
    """The number when the policy's period began."""
    began = now - timedelta(seconds=policy.period_seconds)
    return current - sum(event.change for event in events if event.at > began)
