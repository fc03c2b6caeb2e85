"""Scale-in removes the least busy instance."""

from dataclasses import replace
from typing import Any

import pytest

from maas_operator.api.decision import Mark
from maas_operator.api.seen import InstanceMeasured
from tests.unit.decide.scaling.life import Life


def service(instances: int = 3) -> Life:
    life = Life(None, instances=instances)
    life.settle()
    life.measure()
    assert life.measured
    loads = {"p0": InstanceMeasured(5, 1, 0), "p1": InstanceMeasured(0, 0, 0), "p2": InstanceMeasured(2, 0, 0)}
    life.measured = replace(life.measured, instances=loads)
    return life


def mark(name: str, cost: str) -> Mark:
    return Mark("team-a", name, f"uid-{name}", cost)


def test_m14_before_there_are_fewer_each_instance_is_marked_with_its_requests() -> None:
    life = service()
    life.change(instances=2)
    decision = life.look()
    assert decision.marks == (mark("p0", "6"), mark("p2", "2")), "p1 has none, which is what no mark means"
    assert [each.manifest["kind"] for each in decision.apply] == ["Deployment"]


def test_m14_only_where_the_mark_differs() -> None:
    life = service()
    life.pods = [replace(each, deletion_cost={"p0": "6", "p1": "4"}.get(each.name)) for each in life.pods]
    life.change(instances=2)
    assert life.look().marks == (mark("p1", "0"), mark("p2", "2"))


@pytest.mark.parametrize(
    "change", [{"instances": 3}, {"instances": 4}, {"instances": 0}, {"state": "Stopped"}], ids=str
)
def test_m14_nothing_is_marked_where_none_or_all_go(change: dict[str, Any]) -> None:
    life = service()
    life.change(**change)
    assert life.look().marks == ()


def test_m14_nothing_is_marked_upon_nothing() -> None:
    life = service()
    life.measured = None
    life.change(instances=2)
    assert life.look().marks == ()


def test_m14_an_instance_that_did_not_tell_is_not_marked() -> None:
    life = service()
    life.without_figures("p0")
    life.change(instances=2)
    assert life.look().marks == (mark("p2", "2"),)


def test_m14_an_earlier_mark_on_an_instance_that_has_no_requests_now_is_taken_back() -> None:
    life = service()
    life.without_figures("p1")
    life.pods = [replace(each, deletion_cost="9" if each.name == "p1" else None) for each in life.pods]
    life.change(instances=2)
    assert life.look().marks == (mark("p0", "6"), mark("p1", "0"), mark("p2", "2"))


def test_m14_scaling_marks_too() -> None:
    life = Life(
        {
            "minInstances": 1,
            "maxInstances": 4,
            "metrics": [{"type": "Concurrency", "target": 10}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        }
    )
    life.settle()
    life.run(15, running=30)
    assert life.replicas == 3
    life.look(15)
    life.measure(running=2)
    assert {each.deletion_cost for each in life.look().marks} == {"2"}
    assert life.replicas == 1
