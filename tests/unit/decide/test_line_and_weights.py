"""A full pool, and a cache that nodes share: who stands in line while a Job fetches the weights reads its place first,
and finds the weights there when its turn comes."""

import pytest

from tests.unit.decide.pool_life import PoolLife

FETCHING = "meanwhile: the Job that fetches version 4k is being placed"


@pytest.fixture
def full() -> PoolLife:
    """Two nodes, both taken by large instances of a/old; the pool has a cache."""
    life = PoolLife(cache={"persistentVolumeClaim": {"claimName": "weights"}})
    life.add("a/old", "large", 2)
    life.fetched("a/old")
    life.settle()
    assert life.running() == {"a/old": 2}
    return life


def jobs(life: PoolLife, who: str) -> list[str]:
    return [name for kind, name in life.children[who] if kind == "Job"]


def test_where_there_is_room_it_is_fetching_that_is_told_and_no_place_in_line() -> None:
    life = PoolLife(cache={"persistentVolumeClaim": {"claimName": "weights"}})
    life.add("a/x")
    life.settle()
    assert life.phase("a/x") == "Deploying"
    assert life.condition("a/x", "Ready").startswith("False Fetching: 0 of 1 ready; the Job that fetches")
    assert life.places() == {}
    life.fetched("a/x")
    life.settle()
    assert life.running() == {"a/x": 1}


def test_m12_the_first_in_line_reads_that_there_is_no_room_though_no_pod_was_judged(full: PoolLife) -> None:
    full.add("b/next", "large")
    full.settle()
    assert full.phase("b/next") == "Queuing"
    ready = full.condition("b/next", "Ready")
    assert ready.startswith("False NoRoom: 0 of 1 ready; 1 instance waiting for room in pool pool-a: an instance needs")
    assert ready.endswith(f"; first in line for flavor large of pool pool-a; {FETCHING}")
    assert full.condition("b/next", "Scheduled").startswith("False NoRoom")
    assert full.condition("b/next", "WeightsReady").startswith("False Fetching")
    assert jobs(full, "b/next"), "fetched while it waits"
    assert full.replicas("b/next") == 0


def test_m12_who_is_behind_reads_its_place_and_has_its_weights_fetched_meanwhile(full: PoolLife) -> None:
    full.add("b/next", "large")
    full.add("c/later", "small", 2)
    full.settle()
    assert full.phase("c/later") == "Queuing"
    assert full.condition("c/later", "Ready") == (
        "False InLine: 0 of 2 ready; 2 instances waiting: second in line for flavor small of pool pool-a; "
        f"before it: b/next; {FETCHING}"
    )
    assert jobs(full, "c/later")
    full.fetched("c/later")
    full.settle()
    assert full.condition("c/later", "Ready") == (
        "False InLine: 0 of 2 ready; 2 instances waiting: second in line for flavor small of pool pool-a; "
        "before it: b/next"
    )


def test_m12_a_turn_that_comes_before_the_weights_is_kept_and_told_as_fetching(full: PoolLife) -> None:
    full.add("b/next", "large")
    full.settle()
    full.add("c/later")
    full.settle()
    full.fetched("c/later")
    full.change("a/old", instances=1)
    full.settle()
    assert full.phase("b/next") == "Deploying"
    assert full.condition("b/next", "Ready").startswith("False Fetching: 0 of 1 ready; the Job")
    assert full.running() == {"a/old": 1}, "c/later does not overtake it"
    full.fetched("b/next")
    full.settle()
    assert full.running() == {"a/old": 1, "b/next": 1}
    assert full.places() == {"c/later": 1}


def test_m12_whose_weights_cannot_be_had_says_so_and_holds_nobody_up(full: PoolLife) -> None:
    full.add("b/next", "large")
    full.add("c/later")
    full.fetched("b/next", how="Failed")
    full.fetched("c/later")
    full.settle()
    assert full.phase("b/next") == "Failed"
    assert full.condition("b/next", "Ready").startswith("False FetchFailing: 0 of 1 ready; the Job that fetches")
    since = full.queue("b/next")["since"]
    assert full.places() == {"c/later": 1}
    full.change("a/old", instances=1)
    full.settle()
    assert full.running() == {"a/old": 1, "c/later": 1}
    full.fetched("b/next")
    full.settle()
    assert full.places() == {"b/next": 1}
    assert full.queue("b/next")["since"] == since, "it stands where it always stood"


def test_m12_a_quota_is_told_before_the_weights_that_are_fetched() -> None:
    cache = {"persistentVolumeClaim": {"claimName": "weights"}}
    life = PoolLife(cache=cache, quotas=[{"name": "everybody", "instances": 1}])
    life.add("a/old")
    life.fetched("a/old")
    life.settle()
    life.add("a/more")
    life.settle()
    assert life.phase("a/more") == "Queuing"
    ready = life.condition("a/more", "Ready")
    assert ready.startswith("False QuotaReached: 0 of 1 ready; 1 instance waiting: quota everybody")
    assert ready.endswith(FETCHING)


def test_m13_stopped_in_line_nothing_is_fetched_any_more(full: PoolLife) -> None:
    full.add("b/next", "large")
    full.settle()
    full.change("b/next", state="Stopped")
    full.settle()
    assert (full.phase("b/next"), jobs(full, "b/next"), full.places()) == ("Stopped", [], {})


def test_m13_stopped_while_its_pool_is_gone_nothing_is_fetched_any_more(full: PoolLife) -> None:
    full.add("b/next", "large")
    full.settle()
    full.change("b/next", resourcePool="gone")
    full.pool = {}
    full.look("b/next")
    assert jobs(full, "b/next"), "a pool that was removed takes nothing away"
    full.change("b/next", state="Stopped")
    full.look("b/next")
    assert jobs(full, "b/next") == []


def test_m12_a_pool_without_nodes_says_so_while_its_weights_are_fetched() -> None:
    life = PoolLife(0, cache={"persistentVolumeClaim": {"claimName": "weights"}})
    life.add("a/x")
    life.settle()
    assert life.phase("a/x") == "Queuing"
    ready = life.condition("a/x", "Ready")
    assert "the pool has no node" in ready
    assert ready.endswith(FETCHING)


def test_m15_another_version_while_the_first_is_fetched_in_line_is_fetched_instead(full: PoolLife) -> None:
    full.add("b/next", "large")
    full.settle()
    (before,) = jobs(full, "b/next")
    full.change("b/next", model={"name": "tiny", "credentials": {"secretName": "hub"}})
    full.settle()
    (now,) = jobs(full, "b/next")
    assert now != before
    assert full.places() == {"b/next": 1}
