"""M12: who finds no room waits in line, and who came first is served first. Nothing that runs is taken away."""

from dataclasses import replace
from typing import Any

import pytest

from maas_operator.api.names import LINE_SHOWN
from maas_operator.decide.acceptance import Plan, accept
from maas_operator.decide.line import placed
from tests.unit.decide.facts import pod
from tests.unit.decide.pool_life import PoolLife


@pytest.fixture
def full() -> PoolLife:
    """Two nodes, both taken by large instances of a/old, which nobody takes away."""
    life = PoolLife()
    life.add("a/old", "large", 2)
    life.settle()
    assert life.running() == {"a/old": 2}
    return life


def test_m12_where_there_is_room_nobody_stands_in_line() -> None:
    life = PoolLife()
    life.add("a/x", "large")
    life.add("b/y", "small", 4)
    assert "place" not in life.queue("a/x")
    life.settle()
    assert life.running() == {"a/x": 1, "b/y": 4}
    assert [life.queue(who) for who in life.services] == [{}, {}]


def test_m12_a_small_late_comer_does_not_overtake_a_large_one(full: PoolLife) -> None:
    full.add("b/large", "large")
    full.settle()
    full.add("c/small")
    full.settle()
    assert full.phase("b/large") == full.phase("c/small") == "Queuing"
    assert (full.replicas("b/large"), full.replicas("c/small")) == (1, 0)
    assert full.condition("c/small") == (
        "False InLine: 1 instance waiting: second in line for flavor small of pool pool-a; before it: b/large"
    )
    assert full.condition("b/large").endswith("(scheduler: no room); first in line for flavor large of pool pool-a")
    full.change("a/old", instances=1)
    full.settle()
    assert full.running() == {"a/old": 1, "b/large": 1}
    assert full.places() == {"c/small": 1}
    assert full.replicas("c/small") == 1, "its turn: its pods are made, and wait"


def test_m12_all_who_find_room_together_are_served_together(full: PoolLife) -> None:
    for number in range(4):
        full.add(f"b/s{number}")
    full.settle()
    assert sorted(full.places().values()) == [1, 2, 3, 4]
    full.add("c/large", "large")
    full.add("d/small")
    full.settle()
    full.nodes.append("n2")
    full.round()
    assert [full.replicas(f"b/s{number}") for number in range(4)] == [1, 1, 1, 1]
    assert (full.replicas("c/large"), full.replicas("d/small")) == (0, 0), "none of these is to be placed before them"
    full.settle()
    assert full.places() == {"c/large": 1, "d/small": 2}
    assert full.replicas("c/large") == 1


def test_m12_what_is_just_being_placed_is_not_taken_back_for_figures_that_are_late(full: PoolLife) -> None:
    """One that was served together with another has its node, and is not seen to have left the line yet."""
    full.add("b/one", "small", 2)
    full.add("c/two", "small", 2)
    full.settle()
    full.nodes.append("n2")
    for who in ("b/one", "c/two"):
        full.look(who)
        full.controller(who)
    assert [full.replicas(who) for who in ("b/one", "c/two")] == [2, 2]
    for each in full.pods["b/one"]:
        full.scheduler(each.name)
    full.taken["n2"] = 1
    full.look("c/two")
    assert full.replicas("c/two") == 2
    full.pods["c/two"] = [replace(each, unschedulable="no room") for each in full.pods["c/two"]]
    full.look("c/two")
    assert full.replicas("c/two") == 0, "judged, and not its turn"


def test_m12_two_that_are_created_at_once_and_both_lack_room(full: PoolLife) -> None:
    full.add("b/first", "large")
    full.add("c/second", "large")
    full.settle()
    assert full.places() == {"b/first": 1, "c/second": 2}
    assert (full.replicas("b/first"), full.replicas("c/second")) == (1, 0), (
        "the second's pod is taken back: it never ran"
    )


def test_m12_a_higher_priority_comes_first(full: PoolLife) -> None:
    full.classes(urgent=1000)
    full.add("b/early", "large")
    full.settle()
    full.add("c/urgent", "large", priorityClassName="urgent")
    full.settle()
    assert full.places() == {"c/urgent": 1, "b/early": 2}
    assert (full.replicas("c/urgent"), full.replicas("b/early")) == (1, 0)
    full.change("a/old", instances=1)
    full.settle()
    assert full.running() == {"a/old": 1, "c/urgent": 1}
    assert full.places() == {"b/early": 1}


def test_m12_the_default_of_the_cluster_counts_for_those_who_name_no_class(full: PoolLife) -> None:
    full.classes(modest=10)
    full.standings.put_class("usual", {"metadata": {"name": "usual"}, "value": 100, "globalDefault": True})
    full.add("b/modest", "large", priorityClassName="modest")
    full.settle()
    full.add("c/usual", "large")
    full.settle()
    assert full.places() == {"c/usual": 1, "b/modest": 2}
    full.standings.put_class("usual", None)
    full.settle()
    assert full.places() == {"b/modest": 1, "c/usual": 2}


def test_a_priority_class_that_does_not_exist_is_refused_in_words(full: PoolLife) -> None:
    full.add("b/x", priorityClassName="no-such")
    assert full.condition("b/x", "Accepted") == (
        "False PriorityClassNotFound: there is no PriorityClass no-such; "
        "kubectl get priorityclasses lists what there is"
    )
    full.classes(**{"no-such": 1})
    full.settle()
    assert full.places() == {"b/x": 1}


@pytest.mark.parametrize("leave", ["delete", "stop", "another flavor", "refused"])
def test_m12_who_leaves_the_line_holds_nobody_up(full: PoolLife, leave: str) -> None:
    full.add("b/large", "large", 1)
    full.settle()
    full.add("c/small", "small", 4)
    full.settle()
    full.nodes.append("n2")
    full.taken["n2"] = 1
    full.settle()
    assert full.running() == {"a/old": 2}, "three devices are free, but not for the second in line"
    match leave:
        case "delete":
            full.delete("b/large")
        case "stop":
            full.change("b/large", state="Stopped")
        case "another flavor":
            full.change("b/large", flavor="giant")
        case "refused":
            full.change("b/large", flavor="none-such")
    full.settle()
    assert full.running() == {"a/old": 2, "c/small": 3}
    assert full.places() == {"c/small": 1}


def test_m12_what_no_node_could_hold_even_empty_holds_nobody_up(full: PoolLife) -> None:
    full.add("b/giant", "giant")
    full.settle()
    assert full.replicas("b/giant") == 1, "a cluster autoscaler has to see it"
    assert "could not hold that even if they were empty: others do not wait for it" in full.condition("b/giant")
    full.add("c/small")
    full.settle()
    assert full.places() == {"c/small": 1}
    full.change("a/old", instances=1)
    full.settle()
    assert full.running() == {"a/old": 1, "c/small": 1}


def test_m12_more_than_the_pool_could_ever_hold_holds_up_only_until_it_has_what_can_be(full: PoolLife) -> None:
    full.add("b/many", "large", 5)
    full.settle()
    assert full.queue("b/many")["instances"] == 2
    full.delete("a/old")
    full.settle()
    assert full.running() == {"b/many": 2}
    full.add("c/small")
    full.settle()
    assert full.places() == {"c/small": 1}


def test_m12_scaling_up_stands_in_line_and_keeps_what_runs(full: PoolLife) -> None:
    full.add("b/large", "large")
    full.settle()
    full.change("a/old", instances=3)
    full.settle()
    assert full.running() == {"a/old": 2}
    assert full.places() == {"b/large": 1}, "a/old asks for more than the pool could ever hold"
    full.nodes.append("n2")
    full.taken["n2"] = 1
    full.settle()
    assert full.places() == {"b/large": 1, "a/old": 2}
    assert (full.replicas("a/old"), full.phase("a/old")) == (2, "Running")
    assert full.condition("a/old").startswith("False InLine: 1 instance waiting: second in line")


def test_m12_what_ran_and_lost_its_node_is_made_anew_without_standing_in_line(full: PoolLife) -> None:
    full.add("b/large", "large")
    full.settle()
    full.lose("n1")
    full.settle()
    assert full.replicas("a/old") == 2
    assert full.queue("a/old") == {}


def test_m12_lines_for_other_resources_are_others(full: PoolLife) -> None:
    full.add("b/large", "large")
    full.settle()
    full.add("c/cpu", "cpu")
    full.settle()
    assert list(full.standings.lines("pool-a")) == ["nvidia.com/gpu"]
    assert full.running() == {"a/old": 2, "c/cpu": 1}


def test_m12_a_restart_forgets_nothing(full: PoolLife) -> None:
    full.add("b/one", "large")
    full.add("c/two", "large")
    full.settle()
    told, writes = full.told(), full.writes
    full.begin_anew()
    full.settle(lambda each: sorted(each, reverse=True))
    assert (full.told(), full.writes) == (told, writes)


def test_m12_in_a_long_line_those_far_back_are_not_told_their_place_exactly(full: PoolLife) -> None:
    for number in range(LINE_SHOWN + 5):
        full.add(f"b/s{number:02}", "large")
    full.settle()
    assert full.queue("b/s63")["place"] == LINE_SHOWN
    assert full.queue("b/s64")["place"] == full.queue("b/s68")["place"] == LINE_SHOWN + 1
    assert "in line for flavor large of pool pool-a, after 64 others or more" in full.condition("b/s68")
    assert [full.replicas(f"b/s{number:02}") for number in (0, 1, 68)] == [1, 0, 0]


def test_m12_what_moves_to_another_flavor_waits_for_its_turn_and_goes_on_answering(full: PoolLife) -> None:
    full.add("b/large", "large")
    full.settle()
    before = [each.name for each in full.pods["a/old"]]
    full.change("a/old", flavor="small")
    full.settle()
    assert [each.name for each in full.pods["a/old"]] == before
    assert full.condition("a/old").startswith("False InLine: what runs goes on until the service can be moved; second")
    assert full.condition("a/old", "Updated").startswith("False InLine")
    full.delete("b/large")
    full.settle()
    assert full.running() == {"a/old": 2}
    assert {each.flavor for each in full.pods["a/old"]} == {"small"}


def test_m12_what_waits_to_move_leaves_the_room_of_its_old_flavor_to_those_ahead() -> None:
    life = PoolLife(nodes=1)
    life.taken["n0"] = 3
    life.add("a/moves", instances=2)
    life.settle()
    life.add("a/small")
    life.settle()
    assert (life.replicas("a/moves"), life.places()) == (2, {"a/moves": 1, "a/small": 2})
    life.change("a/moves", flavor="large", rollout={"withoutRoom": "Wait"})
    life.settle()
    assert life.places() == {"a/small": 1, "a/moves": 2}
    assert life.replicas("a/moves") == 1, "its second would be of the old flavor, and might come before a/small"


def test_m12_an_instance_of_several_hosts_has_its_place_once_all_its_hosts_have_a_node() -> None:
    life = PoolLife()
    life.add("a/x")
    plan = accept(life.seen("a/x"))
    assert isinstance(plan, Plan)
    pair = replace(plan, flavor=plan.flavor.model_copy(update={"hosts": 2}))
    facts: dict[str, Any] = {"flavor": "small"}
    pods = [
        pod("whole-0", group="0", **facts),
        pod("whole-1", group="0", **facts),
        pod("half-0", group="1", **facts),
        pod("half-1", group="1", node=None, **facts),
        pod("leaves-0", group="2", leaving=True, **facts),
        pod("leaves-1", group="2", **facts),
    ]
    assert placed(replace(life.seen("a/x"), pods=pods), pair) == 1
    assert placed(replace(life.seen("a/x"), pods=pods), plan) == 4


def test_the_pool_counts_those_that_wait_in_line(full: PoolLife) -> None:
    full.add("b/large", "large")
    full.add("c/small", "small", 3)
    full.settle()
    assert {name: row["waiting"] for name, row in full.figures().items()} == {
        "small": 3,
        "large": 1,
        "giant": 0,
        "cpu": 0,
    }
