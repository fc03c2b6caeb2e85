"""What the gateway's replicas tell, taken together."""

from typing import Any

import pytest

from maas_operator.api.traffic import ServiceTraffic, Traffic
from maas_operator.watch.gateways import Gateways

S = "uid-of-the-service"
BEGUN = 1_000_000.0
"""Seconds since 1970 at `now` 0."""


def traffic(requests: int = 0, replica: str = "x", since: float = 0.0, **fields: Any) -> Traffic:
    """since: on the same clock as `now`."""
    services = {S: ServiceTraffic(requests=requests, **fields)}
    return Traffic(replica=replica, since=BEGUN + since, services=services)


class Looks:
    """Gateways, and a clock."""

    def __init__(self) -> None:
        self.gateways = Gateways()

    def at(self, now: float, listed: bool = True, **answers: Traffic | None) -> Gateways:
        self.gateways.take(answers, listed, BEGUN + now, now)
        return self.gateways

    @property
    def since(self) -> float | None:
        since = self.gateways.since
        return None if since is None else since - BEGUN


@pytest.fixture
def looks() -> Looks:
    return Looks()


def test_nothing_is_known_without_a_gateway(looks: Looks) -> None:
    for gateways in (looks.gateways, looks.at(15), looks.at(30)):
        assert (gateways.per_second(S), gateways.held(S), gateways.since) == (None, None, None)


def test_requests_a_second_are_those_of_the_last_minute_of_all_replicas(looks: Looks) -> None:
    assert looks.at(0, a=traffic(100), b=traffic(1_000)).per_second(S) is None, "one look tells no rate"
    assert looks.at(15, a=traffic(130), b=traffic(1_015)).per_second(S) == pytest.approx(3)
    for now in (30, 45, 60):
        looks.at(now, a=traffic(130), b=traffic(1_015))
    assert looks.gateways.per_second(S) == pytest.approx(45 / 60)
    assert looks.at(75, a=traffic(130), b=traffic(1_015)).per_second(S) == pytest.approx(0)


def test_a_service_that_nobody_called_has_none(looks: Looks) -> None:
    looks.at(0, a=traffic())
    assert looks.at(15, a=traffic(15)).per_second("another") == 0


def test_a_service_that_is_called_first_counts_from_nothing(looks: Looks) -> None:
    looks.at(0, a=Traffic(replica="x", since=BEGUN))
    assert looks.at(10, a=traffic(20)).per_second(S) == pytest.approx(2)


def test_a_new_replica_counts_from_its_beginning(looks: Looks) -> None:
    looks.at(0, a=traffic(100))
    gateways = looks.at(15, a=traffic(115), b=traffic(20, "y", since=5))
    assert gateways.per_second(S) == pytest.approx(1 + 2)
    assert looks.since == 0, "nothing that it has not seen can have come by it"


def test_an_agent_that_was_restarted_counts_from_its_beginning(looks: Looks) -> None:
    looks.at(0, a=traffic(100))
    assert looks.at(15, a=traffic(10, "y", since=5)).per_second(S) == pytest.approx(1)
    assert looks.since == 5, "what came before, and was not told of, is lost"


def test_a_replica_that_is_gone_leaves_no_gap_for_ever(looks: Looks) -> None:
    looks.at(0, a=traffic(100), b=traffic(100, "y"))
    looks.at(15, a=traffic(115), b=traffic(115, "y"))
    assert looks.at(30, a=traffic(130)).per_second(S) == pytest.approx(1)
    assert looks.since == 30
    assert looks.at(45, a=traffic(145)).per_second(S) == pytest.approx(1)
    assert looks.since == 30


@pytest.mark.parametrize("step", [3600, -3600])
def test_m10_a_step_of_the_clock_is_no_time_without_requests(looks: Looks, step: int) -> None:
    looks.at(0, a=traffic(100))
    looks.at(15, a=traffic(100))
    assert looks.since == 0
    gateways = looks.gateways
    gateways.take({"a": traffic(100)}, True, BEGUN + 30 + step, 30)
    assert looks.since == 30 + step
    gateways.take({"a": traffic(100)}, True, BEGUN + 45.5 + step, 45)
    assert looks.since == 30 + step, "clocks are always set a little"


def test_a_replica_that_does_not_answer_makes_held_and_since_unknown(looks: Looks) -> None:
    looks.at(0, a=traffic(0, held=1), b=traffic(0, "y", held=2))
    assert (looks.gateways.held(S), looks.since) == (3, 0)
    gateways = looks.at(15, a=traffic(15, held=1), b=None)
    assert (gateways.held(S), looks.since) == (None, None)
    gateways = looks.at(30, a=traffic(30, held=1), b=traffic(30, "y", held=0))
    assert (gateways.held(S), looks.since) == (1, 0)
    assert gateways.per_second(S) == pytest.approx(2), "its counts went on"


def test_a_replica_that_is_silent_for_a_minute_makes_the_rate_unknown(looks: Looks) -> None:
    looks.at(0, a=traffic(0), b=traffic(0, "y"))
    looks.at(15, a=traffic(15), b=traffic(15, "y"))
    assert looks.at(30, a=traffic(30), b=None).per_second(S) == pytest.approx(2)
    for now in (45, 60, 75):
        looks.at(now, a=traffic(now), b=None)
    assert looks.gateways.per_second(S) == pytest.approx(2)
    assert looks.at(90, a=traffic(90), b=None).per_second(S) is None
    assert looks.at(105, a=traffic(105)).per_second(S) == pytest.approx(1)


def test_what_came_in_a_long_silence_is_no_peak(looks: Looks) -> None:
    looks.at(0, a=traffic(0))
    looks.at(600, a=None)
    assert looks.at(615, a=traffic(615)).per_second(S) == pytest.approx(1)


def test_a_replica_that_is_being_started_has_no_requests_yet(looks: Looks) -> None:
    looks.at(0, a=traffic(0))
    looks.at(15, a=traffic(15))
    assert looks.at(30, a=traffic(30), b=None).per_second(S) == pytest.approx(1)
    assert looks.since is None
    looks.at(45, a=traffic(45), b=traffic(0, "y", since=40))
    assert looks.since == 0


def test_one_that_never_answers_leaves_all_unknown_to_an_operator_that_begins(looks: Looks) -> None:
    looks.at(0, a=traffic(0), b=None)
    assert looks.at(15, a=traffic(15), b=None).per_second(S) is None
    assert looks.since is None


def test_an_operator_that_begins_goes_by_the_youngest_replica(looks: Looks) -> None:
    looks.at(1_000, a=traffic(0, since=10), b=traffic(0, "y", since=700))
    assert looks.since == 700


def test_with_the_names_unknown_what_is_there_may_not_be_all(looks: Looks) -> None:
    looks.at(0, a=traffic(0, held=1), b=traffic(0, "y"))
    gateways = looks.at(15, listed=False, a=traffic(15, held=1), b=traffic(15, "y"))
    assert (gateways.held(S), looks.since) == (None, None)
    assert gateways.per_second(S) == pytest.approx(2)
    looks.at(30, a=traffic(30), b=traffic(30, "y"))
    assert looks.since == 0


def test_counts_that_shrink_are_no_requests(looks: Looks) -> None:
    looks.at(0, a=traffic(50))
    assert looks.at(15, a=traffic(3)).per_second(S) == 0


def test_the_last_request_is_the_latest_of_all(looks: Looks) -> None:
    assert looks.at(0, a=traffic()).last_request(S) is None
    assert (
        looks.at(9, a=traffic(last_request=BEGUN + 3), b=traffic(last_request=BEGUN + 7)).last_request(S) == BEGUN + 7
    )


def test_who_is_under_way_is_added_up_by_instance(looks: Looks) -> None:
    one, two = "10.0.0.1:8000", "10.0.0.2:8000"
    gateways = looks.at(
        0,
        a=traffic(under_way={one: 2}, unanswered={one: 1}),
        b=traffic(under_way={one: 1, two: 4}),
    )
    assert gateways.under_way(S) == {one: 3, two: 4}
    assert gateways.unanswered(S) == {one: 1}
    gateways = looks.at(15, a=traffic(under_way={one: 2}), b=None)
    assert gateways.under_way(S) == {one: 2}, "what was said last is no more than what was"


def test_little_is_kept(looks: Looks) -> None:
    for now in range(0, 3_000, 15):
        looks.at(now, a=traffic(now))
    (replica,) = looks.gateways._replicas.values()
    assert len(replica.samples) == 5
