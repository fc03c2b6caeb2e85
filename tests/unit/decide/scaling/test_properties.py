"""What holds of every number of instances, whatever is measured."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.scaling import Scaling
from maas_operator.api.seen import InstanceMeasured, Measured, ScalingMemory, ServiceSeen
from maas_operator.decide.scaling.behavior import complete
from maas_operator.decide.scaling.number import Number, number
from maas_operator.decide.scaling.schedules import bounds_at
from tests.unit.decide.facts import pod
from tests.unit.decide.strategies import METRICS

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
STEP = timedelta(seconds=15)
FIGURES = st.integers(0, 200)
INSTANCES = st.builds(InstanceMeasured, running=FIGURES, waiting=FIGURES, kv_cache=st.integers(0, 100))
LOADS = st.fixed_dictionaries(
    {
        "qps": st.none() | st.floats(0, 500),
        "held": st.none() | FIGURES,
        "each": st.lists(st.none() | INSTANCES, min_size=12, max_size=12),
        "pending": st.integers(0, 12),
    }
)
POLICIES = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Pods", "Percent"]),
            "value": st.integers(1, 200),
            "periodSeconds": st.integers(1, 120),
        }
    ),
    min_size=1,
    max_size=3,
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "stabilizationWindowSeconds": st.integers(0, 120),
        "selectPolicy": st.sampled_from(["Max", "Min", "Disabled"]),
        "policies": POLICIES,
        "tolerance": st.sampled_from(["0", "0.05", "1"]),
    },
)


@st.composite
def scalings(draw: st.DrawFn, /, **fixed: Any) -> Scaling:
    least = draw(st.integers(0, 6))
    given_behavior = draw(st.fixed_dictionaries({}, optional={"scaleUp": RULES, "scaleDown": RULES}))
    spec = {
        "minInstances": least,
        "maxInstances": draw(st.integers(max(1, least), 12)),
        "metrics": draw(METRICS),
        "behavior": given_behavior,
    }
    return Scaling.model_validate(spec | fixed)


def seen_at(load: dict[str, Any], current: int, now: datetime, memory: ScalingMemory | None) -> ServiceSeen:
    pods = [pod(f"p{n}", phase="Pending" if n < load["pending"] else "Running") for n in range(current)]
    told = {each.name: figures for each, figures in zip(pods, load["each"], strict=False) if figures is not None}
    return ServiceSeen(
        service={},
        model=None,
        pool=None,
        namespace_labels={},
        children={},
        pods=pods,
        nodes=(),
        measured=Measured(now, told, load["qps"], load["held"], None, None),
        scaling_memory=memory,
    )


def follow(scaling: Scaling, current: int, loads: list[dict[str, Any]]) -> list[tuple[int, Number, ServiceSeen]]:
    """The numbers under one load after the other, 15 seconds apart, each with the one before it."""
    memory: ScalingMemory | None = None
    found = []
    for step, load in enumerate(loads):
        now = NOW + step * STEP
        seen = seen_at(load, current, now, memory)
        decided = number(seen, scaling, bounds_at(scaling, now), seen.pods, current, now)
        found.append((current, decided, seen))
        current, memory = decided.instances, decided.memory
    return found


MANY = st.lists(LOADS, min_size=1, max_size=8)


@given(scalings(), st.integers(1, 12), MANY)
def test_it_is_always_within_its_bounds(scaling: Scaling, current: int, loads: list[dict[str, Any]]) -> None:
    for _, decided, _ in follow(scaling, current, loads):
        assert max(1, scaling.min_instances) <= decided.instances <= scaling.max_instances


@given(scalings(), st.integers(1, 12), MANY)
def test_within_the_bounds_it_never_goes_down_while_a_metric_is_missing(
    scaling: Scaling, current: int, loads: list[dict[str, Any]]
) -> None:
    for before, decided, _ in follow(scaling, current, loads):
        if before <= scaling.max_instances and any(not each.known for each in decided.readings):
            assert decided.instances >= before


@given(scalings(metrics=[{"type": "Queue", "target": 5}]), st.integers(1, 12), MANY)
def test_policies_are_never_exceeded_over_their_periods(
    scaling: Scaling, current: int, loads: list[dict[str, Any]]
) -> None:
    policies = [{"type": "Pods", "value": 2, "periodSeconds": 60}]
    rules = {"stabilizationWindowSeconds": 0, "policies": policies}
    scaling = Scaling.model_validate(
        scaling.model_dump(mode="json", by_alias=True, exclude_none=True)
        | {"minInstances": 0, "maxInstances": 12, "behavior": {"scaleUp": rules, "scaleDown": rules}}
    )
    numbers = [current, *(decided.instances for _, decided, _ in follow(scaling, current, loads))]
    for step in range(len(loads)):
        start, before, after = numbers[max(0, step - 3)], numbers[step], numbers[step + 1]
        assert after <= max(before, start + 2), numbers
        assert after >= min(before, start - 2), numbers


@given(scalings(), st.integers(1, 12), MANY)
def test_the_same_measurement_is_decided_on_once(scaling: Scaling, current: int, loads: list[dict[str, Any]]) -> None:
    _, decided, seen = follow(scaling, current, loads)[-1]
    seen = replace(seen, scaling_memory=decided.memory)
    later = NOW + len(loads) * STEP
    again = number(seen, scaling, bounds_at(scaling, later), seen.pods, decided.instances, later)
    assert again.instances == decided.instances


@given(scalings(), st.integers(1, 12), MANY)
def test_what_is_remembered_stays_small(scaling: Scaling, current: int, loads: list[dict[str, Any]]) -> None:
    _, decided, _ = follow(scaling, current, loads * 8)[-1]
    most = complete(scaling.behavior).remembered // 15 + 2
    assert len(decided.memory.recommendations) <= most
    assert len(decided.memory.events) <= most
