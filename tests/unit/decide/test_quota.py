"""ResourcePool.spec.quotas: an account runs as many instances as it may, and the rest wait."""

from typing import Any

from tests.unit.decide.pool_life import PoolLife

QUOTAS: list[Any] = [
    {"name": "each", "instances": 3},
    {"name": "few-large", "flavors": ["large"], "instances": 1},
    {"name": "none-for-c", "accounts": {"matchLabels": {"account": "c"}}, "instances": 0},
]


def life(*quotas: Any, nodes: int = 4) -> PoolLife:
    return PoolLife(nodes, quotas=list(quotas or QUOTAS))


def test_m12_a_service_runs_as_many_as_its_account_may_and_the_rest_wait() -> None:
    pool = life()
    pool.add("a/x", instances=2)
    pool.settle()
    pool.add("a/y", instances=2)
    pool.settle()
    assert pool.running() == {"a/x": 2, "a/y": 1}
    assert pool.phase("a/y") == "Running"
    assert pool.condition("a/y") == (
        "False QuotaReached: 1 instance waiting: quota each of pool pool-a lets account a run 3 instances; used by "
        "a/x (2)"
    )
    assert pool.queue("a/y")["quota"] == "each"
    assert "place" not in pool.queue("a/y"), "it waits for no room"


def test_m12_a_service_of_which_none_may_run_is_queuing() -> None:
    pool = life()
    pool.add("c/x")
    pool.settle()
    assert (pool.running(), pool.replicas("c/x"), pool.phase("c/x")) == ({}, 0, "Queuing")
    assert pool.condition("c/x") == (
        "False QuotaReached: 1 instance waiting: quota none-for-c of pool pool-a lets account c run 0 instances"
    )


def test_m12_a_quota_of_flavors_counts_those_alone_and_each_account_has_its_own() -> None:
    pool = life()
    pool.add("a/large", "large", 2)
    pool.add("a/small", "small", 1)
    pool.add("b/large", "large", 1)
    pool.settle()
    assert pool.running() == {"a/large": 1, "a/small": 1, "b/large": 1}
    assert "quota few-large of pool pool-a lets account a run 1 instance of large" in pool.condition("a/large")


def test_m12_first_come_first_served_within_the_account() -> None:
    pool = life(QUOTAS[0])
    pool.add("a/x", instances=3)
    pool.settle()
    pool.add("a/z", instances=2)
    pool.add("a/y", instances=2)
    pool.settle()
    assert pool.running() == {"a/x": 3}
    pool.change("a/x", instances=1)
    pool.settle()
    assert pool.running() == {"a/x": 1, "a/z": 2}
    pool.delete("a/x")
    pool.settle()
    assert pool.running() == {"a/z": 2, "a/y": 1}


def test_m12_two_that_are_created_at_once_do_not_both_get_the_last() -> None:
    pool = life(QUOTAS[0])
    pool.add("a/x", instances=2)
    pool.add("a/y", instances=2)
    assert (pool.replicas("a/x"), pool.replicas("a/y")) == (2, 1)
    pool.settle()
    assert pool.running() == {"a/x": 2, "a/y": 1}


def test_m12_instances_that_are_being_made_count_though_no_status_tells_of_them() -> None:
    """The operator was killed between the Deployment and the status."""
    pool = life(QUOTAS[0])
    pool.add("a/x", instances=1)
    pool.settle()
    pool.change("a/x", instances=2)
    pool.die("a/x")
    assert (pool.replicas("a/x"), pool.services["a/x"]["status"]["instances"]["desired"]) == (2, 1)
    pool.add("a/y", instances=3)
    assert pool.replicas("a/y") == 1
    pool.settle()
    assert sum(pool.running().values()) == 3


def test_m12_who_waits_for_a_quota_holds_up_no_one_in_the_line_for_room() -> None:
    pool = life({"name": "a", "accounts": {"matchLabels": {"account": "a"}}, "instances": 1}, nodes=1)
    pool.add("a/x", "large")
    pool.settle()
    pool.add("a/y", "large")
    pool.add("b/z", "small")
    pool.settle()
    assert pool.places() == {"b/z": 1}
    pool.delete("a/x")
    pool.settle()
    assert pool.running() == {"b/z": 1}
    assert pool.places() == {"a/y": 1}


def test_m12_a_quota_that_is_lowered_takes_nothing_away_that_runs() -> None:
    pool = life(QUOTAS[0])
    pool.add("a/x", instances=3)
    pool.settle()
    pool.pool["spec"] = pool.pool["spec"] | {"quotas": [{"name": "each", "instances": 1}]}
    pool.settle()
    assert pool.running() == {"a/x": 3}
    pool.change("a/x", instances=2)
    pool.settle()
    assert pool.running() == {"a/x": 2}


def test_m12_no_quota_is_evaded_by_a_change_of_flavor() -> None:
    pool = life()
    pool.add("a/x", "small", 3)
    pool.settle()
    pool.change("a/x", flavor="large")
    pool.settle()
    assert pool.running() == {"a/x": 3}
    assert {each.flavor for each in pool.pods["a/x"]} == {"small"}
    assert pool.condition("a/x").startswith(
        "False QuotaReached: what runs goes on until the service can be moved; quota few-large"
    )
    pool.change("a/x", instances=1)
    pool.settle()
    assert {each.flavor for each in pool.pods["a/x"]} == {"large"}
