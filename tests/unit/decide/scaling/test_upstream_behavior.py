"""How fast the number moves, as upstream's own unit tests have it: podautoscaler/horizontal_test.go, Kubernetes 1.36.

Rows bear the names of upstream's cases.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maas_operator.api.scaling import ScalingBehavior, SelectPolicy
from maas_operator.api.seen import Recommendation, ScaleEvent
from maas_operator.decide.scaling.behavior import Limit, complete, limited, stabilized

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def rules(pods: int, pods_period: int, percent: int, percent_period: int, window: int) -> dict[str, Any]:
    """Upstream's generateScalingRules."""
    policies = []
    if pods:
        policies.append({"type": "Pods", "value": pods, "periodSeconds": pods_period})
    if percent:
        policies.append({"type": "Percent", "value": percent, "periodSeconds": percent_period})
    return {"selectPolicy": "Max", "stabilizationWindowSeconds": window, "policies": policies}


def spread(changes: Sequence[int], seconds: int, sign: int) -> list[ScaleEvent]:
    """Upstream's generateEventsUniformDistribution: each event in the middle of its part of the time before now."""
    part = seconds / len(changes)
    ages = [int(seconds - part * (index + 1) + part / 2) for index in range(len(changes))]
    return [ScaleEvent(NOW - timedelta(seconds=age), sign * change) for change, age in zip(changes, ages, strict=True)]


# name: (instances now, asked for, least, most, up, down, events up, events down, comes to, limit)
SCALING_WITH_RULES: dict[str, tuple[Any, ...]] = {
    "prenormalized desired replicas within range": (5, 7, 3, 8, None, None, (), (), 7, Limit.NONE),
    "prenormalized desired replicas < minReplicas": (3, 1, 2, 8, None, None, (), (), 2, Limit.LEAST),
    "prenormalized desired replicas within range when minReplicas is 0": (
        1, 0, 0, 10, None, None, (), (), 0, Limit.NONE,
    ),
    "desired replica count is more than the maximum replica count": (
        100, 1000, 100, 150, None, None, (), (), 150, Limit.MOST,
    ),
    "scaleUpLimit is the limit because scaleUpLimit < maxReplicas with user policies": (
        3, 1000, 1, 2000, rules(0, 0, 1, 60, 0), None, (), (), 4, Limit.UP,
    ),
    "scaleDownLimit is the limit because scaleDownLimit > minReplicas with user defined policies": (
        1000, 3, 3, 2000, None, rules(20, 60, 0, 0, 0), (), (), 980, Limit.DOWN,
    ),
    "scaleUp with default behavior": (10, 50, 1, 1000, None, None, (), (), 20, Limit.UP),
    "scaleUp with pods policy larger than percent policy": (
        10, 500, 1, 1000, rules(100, 60, 100, 60, 0), None, (), (), 110, Limit.UP,
    ),
    "scaleUp with percent policy larger than pods policy": (
        10, 500, 1, 1000, rules(2, 60, 100, 60, 0), None, (), (), 20, Limit.UP,
    ),
    "scaleUp with spec MaxReplicas limitation with large pod policy": (
        10, 50, 1, 1000, rules(100, 60, 0, 0, 0), None, (), (), 50, Limit.NONE,
    ),
    "scaleUp with spec MaxReplicas limitation with large percent policy": (
        10, 50, 1, 1000, rules(10000, 60, 0, 0, 0), None, (), (), 50, Limit.NONE,
    ),
    "scaleUp with pod policy limitation": (10, 50, 1, 1000, rules(30, 60, 0, 0, 0), None, (), (), 40, Limit.UP),
    "scaleUp with percent policy limitation": (10, 50, 1, 1000, rules(0, 0, 200, 60, 0), None, (), (), 30, Limit.UP),
    "scaleDown with percent policy larger than pod policy": (
        100, 2, 1, 1000, None, rules(20, 60, 1, 60, 300), (), (), 80, Limit.DOWN,
    ),
    "scaleDown with pod policy larger than percent policy": (
        100, 2, 1, 1000, None, rules(2, 60, 1, 60, 300), (), (), 98, Limit.DOWN,
    ),
    "scaleDown with spec MinReplicas limitation with large pod policy": (
        10, 0, 1, 1000, None, rules(100, 60, 0, 0, 300), (), (), 1, Limit.LEAST,
    ),
    "scaleDown with spec MinReplicas limitation with large percent policy": (
        10, 2, 5, 1000, None, rules(0, 0, 100, 60, 300), (), (), 5, Limit.LEAST,
    ),
    "scaleDown with pod policy limitation": (10, 2, 1, 1000, None, rules(5, 60, 0, 0, 300), (), (), 5, Limit.DOWN),
    "scaleDown with percent policy limitation": (
        10, 5, 1, 1000, None, rules(0, 0, 50, 60, 300), (), (), 5, Limit.NONE,
    ),
    "scaleUp with spec MaxReplicas limitation with large pod policy and events": (
        100, 500, 1, 200, rules(300, 60, 0, 0, 0), None, (1, 5, 9), (), 200, Limit.MOST,
    ),
    "scaleUp with spec MaxReplicas limitation with large percent policy and events": (
        100, 500, 1, 200, rules(0, 0, 10000, 60, 0), None, (1, 5, 9), (), 200, Limit.MOST,
    ),
    "scaleUp with currentReplicas limitation with rate.PeriodSeconds with a lot of recent scale up events": (
        100, 500, 1, 1000, rules(5, 120, 0, 0, 0), None, (1, 5, 9), (), 100, Limit.UP,
    ),
    "scaleUp with pod policy and previous scale up events": (
        100, 500, 1, 1000, rules(150, 120, 0, 0, 0), None, (1, 5, 9), (), 235, Limit.UP,
    ),
    "scaleUp with percent policy and previous scale up events": (
        100, 500, 1, 1000, rules(0, 0, 200, 120, 0), None, (1, 5, 9), (), 255, Limit.UP,
    ),
    "scaleUp with percent policy and previous scale up and down events": (
        6, 24, 1, 1000, rules(0, 0, 300, 300, 0), None, (4,), (2,), 16, Limit.UP,
    ),
    "scaleDown with default policy and previous events": (10, 5, 1, 1000, None, None, (), (1, 5, 9), 5, Limit.NONE),
    "scaleDown with spec MinReplicas=nil limitation with large pod policy and previous events": (
        100, 0, 1, 1000, None, rules(115, 120, 0, 0, 300), (), (1, 5, 9), 1, Limit.LEAST,
    ),
    "scaleDown with spec MinReplicas limitation with large pod policy and previous events": (
        100, 0, 5, 1000, None, rules(130, 120, 0, 0, 300), (), (1, 5, 9), 5, Limit.LEAST,
    ),
    "scaleDown with spec MinReplicas limitation with large percent policy and previous events": (
        100, 2, 5, 1000, None, rules(0, 0, 100, 120, 300), (), (1, 5, 9), 5, Limit.LEAST,
    ),
    "scaleDown with pod policy limitation and previous events": (
        100, 2, 1, 1000, None, rules(5, 120, 0, 0, 300), (), (1, 5, 9), 100, Limit.DOWN,
    ),
    "scaleDown with percent policy limitation and previous events": (
        100, 0, 1, 1000, None, rules(0, 0, 50, 120, 300), (), (2, 4, 6), 56, Limit.DOWN,
    ),
    "scaleDown with percent policy and previous scale up and down events": (
        10, 1, 1, 1000, None, rules(0, 0, 50, 180, 0), (2,), (4,), 6, Limit.DOWN,
    ),
    "scaleDown with previous events preventing further scale down": (
        100, 0, 1, 1000, None, rules(0, 0, 10, 120, 300), (), (10, 10, 10), 100, Limit.DOWN,
    ),
    "scaleDown with with previous events still allowing more scale down": (
        10, 5, 1, 1000, None, rules(0, 0, 1000, 120, 300), (), (10, 10, 10), 5, Limit.NONE,
    ),
    "check 'outdated' flag for events for one behavior for up": (
        100, 200, 1, 1000, rules(1000, 60, 0, 0, 0), None, (8, 12, 9, 11), (), 200, Limit.NONE,
    ),
    "check that events were not marked 'outdated' for two different policies in the behavior for up": (
        100, 200, 1, 1000, rules(1000, 120, 100, 60, 0), None, (8, 12, 9, 11), (), 200, Limit.NONE,
    ),
    "check that events were marked 'outdated' for two different policies in the behavior for up": (
        100, 200, 1, 1000, rules(1000, 30, 100, 60, 0), None, (8, 12, 9, 11), (), 200, Limit.NONE,
    ),
    "check 'outdated' flag for events for one behavior for down": (
        100, 5, 1, 1000, None, rules(1000, 60, 0, 0, 300), (), (8, 12, 9, 11), 5, Limit.NONE,
    ),
    "check that events were not marked 'outdated' for two different policies in the behavior for down": (
        100, 5, 1, 1000, None, rules(1000, 120, 100, 60, 300), (), (8, 12, 9, 11), 5, Limit.NONE,
    ),
    "check that events were marked 'outdated' for two different policies in the behavior for down": (
        100, 5, 1, 1000, None, rules(1000, 30, 100, 60, 300), (), (8, 12, 9, 11), 5, Limit.NONE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCALING_WITH_RULES)
def test_scaling_with_rules(name: str) -> None:
    """TestScalingWithRules."""
    current, wanted, least, most, up, down, ups, downs, expected, limit = SCALING_WITH_RULES[name]
    given = {key: value for key, value in (("scaleUp", up), ("scaleDown", down)) if value}
    behavior = complete(ScalingBehavior.model_validate(given))
    events = [*(spread(ups, 120, 1) if ups else ()), *(spread(downs, 120, -1) if downs else ())]
    assert limited(current, wanted, least, most, events, behavior, NOW) == (expected, limit)


TWO_POLICIES = [
    {"type": "Pods", "value": 2, "periodSeconds": 60},
    {"type": "Percent", "value": 50, "periodSeconds": 60},
]


def test_calculate_scale_up_limit_with_scaling_rules() -> None:
    """TestCalculateScaleUpLimitWithScalingRules."""
    behavior = complete(ScalingBehavior.model_validate({"scaleUp": {"selectPolicy": "Min", "policies": TWO_POLICIES}}))
    assert limited(1, 100, 1, 1000, (), behavior, NOW) == (2, Limit.UP)


def test_calculate_scale_down_limit_with_behaviors() -> None:
    """TestCalculateScaleDownLimitWithBehaviors."""
    given = {"scaleDown": {"selectPolicy": "Min", "policies": TWO_POLICIES}}
    assert limited(5, 0, 0, 10, (), complete(ScalingBehavior.model_validate(given)), NOW) == (3, Limit.DOWN)


@pytest.mark.parametrize(("direction", "wanted"), [("scaleUp", 9), ("scaleDown", 1)])
def test_a_direction_that_is_disabled_does_not_move(direction: str, wanted: int) -> None:
    behavior = complete(ScalingBehavior.model_validate({direction: {"selectPolicy": SelectPolicy.DISABLED}}))
    assert limited(4, wanted, 1, 10, (), behavior, NOW)[0] == 4


# name: (recommendations with their minutes, instances now, asked for, window up, window down, comes to)
NORMALIZE: dict[str, tuple[Any, ...]] = {
    "empty recommendations for scaling down": ([], 100, 5, 0, 0, 5),
    "simple scale down stabilization": ([(4, 2), (5, 1)], 100, 3, 0, 180, 5),
    "simple scale up stabilization": ([(4, 2), (5, 1)], 1, 7, 300, 0, 4),
    "no scale down stabilization": ([(1, 2), (2, 1)], 100, 3, 300, 0, 3),
    "no scale up stabilization": ([(4, 2), (5, 1)], 1, 3, 0, 300, 3),
    "no scale down stabilization, reuse recommendation element": ([(10, 10), (9, 9)], 100, 3, 0, 0, 3),
    "no scale up stabilization, reuse recommendation element": ([(10, 10), (9, 9)], 1, 100, 0, 0, 100),
    "scale down stabilization, reuse one of obsolete recommendation element": (
        [(10, 10), (4, 1), (5, 2), (9, 9)], 100, 3, 0, 180, 5,
    ),
    "scale up stabilization, reuse one of obsolete recommendation element": (
        [(10, 100), (6, 1), (5, 2), (9, 3)], 1, 100, 300, 0, 5,
    ),
    "scale up and down stabilization, do not scale up when prenormalized rec goes down": (
        [(2, 100), (3, 3)], 2, 1, 300, 300, 2,
    ),
    "scale up and down stabilization, do not scale down when prenormalized rec goes up": (
        [(2, 100), (1, 3)], 2, 3, 300, 300, 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NORMALIZE)
def test_normalize_desired_replicas_with_behavior(name: str) -> None:
    """TestNormalizeDesiredReplicasWithBehavior."""
    before, current, wanted, up, down, expected = NORMALIZE[name]
    given = {"scaleUp": {"stabilizationWindowSeconds": up}, "scaleDown": {"stabilizationWindowSeconds": down}}
    behavior = complete(ScalingBehavior.model_validate(given))
    recommendations = [Recommendation(NOW - timedelta(minutes=minutes), count) for count, minutes in before]
    assert stabilized(recommendations, current, wanted, behavior, NOW) == expected


@pytest.mark.parametrize(
    ("name", "before", "wanted", "expected"),
    [
        ("empty log", [], 5, 5),
        ("stabilize", [(4, 2), (5, 1)], 3, 5),
        ("no stabilize", [(1, 2), (2, 1)], 3, 3),
        ("no stabilize - old recommendations", [(10, 10), (9, 9)], 3, 3),
        ("stabilize - old recommendations", [(10, 10), (4, 1), (5, 2), (9, 9)], 3, 5),
    ],
)
def test_normalize_desired_replicas(name: str, before: list[tuple[int, int]], wanted: int, expected: int) -> None:
    """TestNormalizeDesiredReplicas: with the windows that hold where none are given, downwards."""
    recommendations = [Recommendation(NOW - timedelta(minutes=minutes), count) for count, minutes in before]
    assert stabilized(recommendations, 100, wanted, complete(None), NOW) == expected, name


def test_the_defaults_are_those_of_autoscaling_v2() -> None:
    """pkg/apis/autoscaling/v2/defaults.go."""
    behavior = complete(None)
    assert (behavior.up.window, behavior.down.window) == (0, 300)
    assert (behavior.tolerances.up, behavior.tolerances.down) == (0.1, 0.1)
    policies = [
        (str(each.type), each.value, each.period_seconds) for each in (*behavior.up.policies, *behavior.down.policies)
    ]
    assert policies == [("Pods", 4, 15), ("Percent", 100, 15), ("Percent", 100, 15)]
