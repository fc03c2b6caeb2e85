"""What is measured of a service, from what gateways and engines say."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from maas_operator.api.seen import InstanceMeasured, Measured
from maas_operator.api.traffic import ServiceTraffic, Traffic
from maas_operator.watch.engines import Engine
from maas_operator.watch.keys import Key
from maas_operator.watch.measures import Measures, ServiceInstances, matters, place, ready
from tests.unit.decide.facts import pod

KEY, UID = Key("ModelService", "team-a", "assistant"), "uid-of-the-service"
BEGUN = 1_000_000.0
HERE = "10.0.0.1:8000"
POD = pod("p", ready=True, address="10.0.0.1")


def moment(now: float) -> datetime:
    return datetime.fromtimestamp(BEGUN + now, UTC)


def engine(tokens: float = 0, running: int = 0, waiting: int = 0, kv: float = 0.0) -> Engine:
    return Engine(running, waiting, kv, (0, tokens, 0))


class Looks:
    def __init__(self) -> None:
        self.measures = Measures()

    def at(self, now: float, said: Engine | None, steps: float = 0.0, **traffic: Any) -> Measured:
        """steps: seconds by which the clock on the wall was set forward."""
        told = Traffic(replica="x", since=BEGUN, services={UID: ServiceTraffic(**traffic)})
        at = BEGUN + now + steps
        self.measures.gateways.take({"gateway": told}, True, at, now)
        return self.measures.take([ServiceInstances(KEY, UID, (POD,), follows=True)], {POD.uid: said}, at, now)[KEY]


@pytest.fixture
def looks() -> Looks:
    return Looks()


def test_who_can_be_asked() -> None:
    worker = pod("t", ready=True, address="10.0.0.3", group="p", worker_index=1)
    pods = [POD, pod("q"), pod("r", ready=True), pod("s", ready=True, leaving=True, address="10.0.0.2"), worker]
    assert ready(pods) == (POD,)


def test_an_engine_is_asked_where_a_decision_follows_it_or_a_request_is_under_way_at_it() -> None:
    measures = Measures()
    plain, follows = (ServiceInstances(KEY, UID, (POD,), follows=each) for each in (False, True))
    assert (measures.to_ask([plain]), measures.to_ask([follows])) == ([], [POD])
    under_way = ServiceTraffic(under_way={HERE: 1, "10.0.0.2:8000": 1})
    measures.gateways.take({"g": Traffic(replica="x", since=0, services={UID: under_way})}, True, BEGUN, 0)
    assert measures.to_ask([plain]) == [POD]


def test_a_pause_without_a_request_is_no_hang(looks: Looks) -> None:
    assert looks.at(0, engine(5), unanswered={HERE: 1}).instances["p"].stuck_since is None
    looks.measures.take([ServiceInstances(KEY, UID, (POD,), follows=False)], {}, BEGUN + 600, 600)
    assert looks.at(1200, engine(5), unanswered={HERE: 1}).instances["p"].stuck_since is None


def test_an_address_is_written_as_envoy_and_urls_have_it() -> None:
    assert (place("10.0.0.1"), place("fd00::1")) == (HERE, "[fd00::1]:8000")


def test_what_the_engine_says(looks: Looks) -> None:
    assert looks.at(0, engine(5, running=2, waiting=1, kv=0.501)).instances == {"p": InstanceMeasured(2, 1, 51)}
    assert looks.at(15, engine(5, kv=1.2)).instances["p"].kv_cache == 100
    assert looks.at(30, None).instances == {}


def test_what_the_gateways_say(looks: Looks) -> None:
    looks.at(0, engine(), requests=0)
    measured = looks.at(15, engine(), requests=30, held=4, last_request=BEGUN + 12)
    assert (measured.queries_per_second, measured.held) == (2, 4)
    assert (measured.at, measured.since) == (moment(15), moment(0))


def test_what_came_at_the_gateways_is_told_apart_from_what_went_past_them(looks: Looks) -> None:
    assert looks.at(0, engine(5, running=1)).called is None
    assert looks.at(15, engine(6, running=1), last_request=BEGUN + 12).called == moment(12)
    assert looks.at(30, engine(6), last_request=BEGUN + 99).called == moment(30), "a clock that is ahead"


def test_m9_an_engine_with_requests_that_moves_nothing_is_stuck(looks: Looks) -> None:
    looks.at(0, engine(5, running=1))
    assert looks.at(15, engine(5, running=1)).instances["p"].stuck_since == moment(0)
    assert looks.at(300, engine(5, running=1)).instances["p"].stuck_since == moment(0)
    assert looks.at(315, engine(6, running=1)).instances["p"].stuck_since is None


def test_m9_vllms_pause_shows_no_requests_but_the_gateways_do(looks: Looks) -> None:
    """/pause?mode=keep: /health is 200, running and waiting are 0."""
    looks.at(0, engine(5), unanswered={HERE: 1}, under_way={HERE: 1})
    measured = looks.at(15, engine(5), unanswered={HERE: 1}, under_way={HERE: 1})
    assert measured.instances["p"].stuck_since == moment(0)
    assert looks.at(30, engine(5), unanswered={"10.0.0.9:8000": 1}).instances["p"].stuck_since is None


def test_m9_a_client_that_does_not_read_makes_no_instance_stuck(looks: Looks) -> None:
    """Its answer is complete, or waits in the gateway; the engine has nothing to do."""
    for now in range(0, 600, 15):
        measured = looks.at(now, engine(5), under_way={HERE: 1})
    assert measured.instances["p"].stuck_since is None


def test_m9_a_clock_that_is_set_makes_nothing_stuck_for_longer(looks: Looks) -> None:
    looks.at(0, engine(5, running=1))
    measured = looks.at(15, engine(5, running=1), steps=3600)
    since = measured.instances["p"].stuck_since
    assert since
    assert (measured.at - since).total_seconds() == 15


def test_m9_an_engine_that_did_not_answer_once_is_as_it_was_before(looks: Looks) -> None:
    looks.at(0, engine(5, running=1))
    assert "p" not in looks.at(15, None).instances
    assert looks.at(30, engine(5, running=1)).instances["p"].stuck_since == moment(0)


def test_the_last_request_is_remembered_when_its_replica_is_gone(looks: Looks) -> None:
    looks.at(0, engine(), last_request=BEGUN - 5)
    assert looks.at(15, engine()).last_request == moment(-5)


@pytest.mark.parametrize(
    ("said", "traffic"),
    [
        (engine(5, running=1), {}),
        (engine(5, waiting=1), {}),
        (engine(6), {}),  # by the service's own address, past the gateway
        (engine(5), {"held": 1}),
        (engine(5), {"under_way": {HERE: 1}}),
    ],
)
def test_while_there_are_requests_the_last_one_is_now(looks: Looks, said: Engine, traffic: dict[str, Any]) -> None:
    assert looks.at(0, engine(5)).last_request is None
    assert looks.at(15, said, **traffic).last_request == moment(15)
    assert looks.at(30, said).last_request == (moment(30) if said.busy else moment(15))


def test_an_engine_that_was_restarted_had_no_request_by_that(looks: Looks) -> None:
    looks.at(0, engine(5))
    assert looks.at(15, engine(0)).last_request is None


def test_a_gateways_clock_that_goes_ahead_makes_no_request_of_the_future(looks: Looks) -> None:
    assert looks.at(0, engine(), last_request=BEGUN + 99).last_request == moment(0)


def test_what_is_gone_is_forgotten(looks: Looks) -> None:
    looks.at(0, engine(5, running=1), last_request=BEGUN)
    looks.measures.take([], {}, BEGUN, 0)
    assert (looks.measures._progress, looks.measures._last) == ({}, {})


def measured(now: float = 0, stuck: bool = False, instances: bool = True, held: int = 0) -> Measured:
    found = {"p": InstanceMeasured(0, 0, 0, moment(0) if stuck else None)} if instances else {}
    return Measured(moment(now), found, 0.0, held, None, moment(0))


@pytest.mark.parametrize(
    ("before", "now", "follows", "matter"),
    [
        (None, measured(), False, False),
        (measured(), measured(15, held=3), False, False),
        (None, measured(), True, True),
        (measured(), measured(15), True, True),
        (measured(instances=False), measured(15, instances=False), True, False),
        (measured(instances=False), measured(15, instances=False, held=1), True, True),
        (measured(instances=False), replace(measured(15, instances=False), called=moment(9)), True, True),
        (measured(), measured(15, stuck=True), False, True),
        (measured(stuck=True), measured(15), False, True),
    ],
)
def test_what_may_alter_a_decision(before: Measured | None, now: Measured, follows: bool, matter: bool) -> None:
    assert matters(before, now, follows) == matter
