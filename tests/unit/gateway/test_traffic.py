"""What a replica tells of the services' requests: which lines count, and who is under way."""

import json
from typing import Any

import pytest

from maas_operator.api.traffic import ServiceTraffic
from maas_operator.gateway.access_log import Line
from maas_operator.gateway.signs import REMEMBERED_SECONDS
from maas_operator.gateway.traffic import LATE_SECONDS, Requests
from maas_operator.watch.gateways import Gateways
from tests.unit.shipping.lines import line

STARTED = 1_769_860_800.0
INSTANCE = "10.0.0.1:8000"


def ended(number: int = 1, **changes: Any) -> Line:
    return Line.model_validate_json(line(number, **{"service_id": "a", **changes}))


def periodic(number: int, **changes: Any) -> bytes:
    """A line on a request that is under way, of which no answer has come."""
    nothing_yet = {"first_byte": None, "prompt_tokens": None, "completion_tokens": None}
    return line(number, **{"service_id": "a", "type": "DownstreamPeriodic", **nothing_yet, **changes})


def told(requests: Requests, now: float = 0.0) -> dict[str, ServiceTraffic]:
    said = requests.told(now)
    assert said
    return said.services


def counting(**options: Any) -> Requests:
    """Requests that are counted from STARTED on, which is 0 of the seconds that only grow."""
    made = Requests(**options)
    made.begin(STARTED, 0)
    return made


@pytest.fixture
def requests() -> Requests:
    return counting()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"code": 404},  # the engine's own word
        {"code": 503, "flags": "UH", "upstream": None},
        {"code": 503, "flags": "UF,URX"},
        {"code": 504, "flags": "UT"},
        {"code": 0, "flags": "DC"},
    ],
)
def test_requests_that_were_let_through_are_counted(requests: Requests, changes: dict[str, Any]) -> None:
    requests.count(ended(1, **changes), 0)
    requests.count(ended(2, started=1_769_860_801_500, **changes), 0)
    assert told(requests) == {"a": ServiceTraffic(requests=2, last_request=STARTED + 1.5)}


@pytest.mark.parametrize(
    "changes",
    [
        {"code": 401},
        {"code": 403},
        {"code": 404},
        {"code": 429, "flags": "RL"},
        {"code": 400},
        {"code": 0, "flags": "DC"},
        {"service_id": None, "code": 503},
    ],
)
def test_requests_that_were_refused_are_not(requests: Requests, changes: dict[str, Any]) -> None:
    requests.count(ended(1, upstream=None, **changes), 0)
    assert told(requests) == {}


def test_lists_of_models_are_no_requests_to_a_service(requests: Requests) -> None:
    requests.count(ended(1, service_id=None, path="/v1/models", upstream="127.0.0.1:9902"), 0)
    assert told(requests) == {}


def test_the_last_request_is_the_one_that_came_last(requests: Requests) -> None:
    requests.count(ended(1, started=2_000), 0)
    requests.count(ended(2, started=1_000), 0)
    assert told(requests)["a"].last_request == 2


def test_who_is_under_way_is_counted_by_instance_until_the_end(requests: Requests) -> None:
    other = "10.0.0.2:8000"
    requests.go_on([periodic(1), periodic(2), periodic(3, upstream=other), periodic(4, service_id="b")], 100)
    requests.go_on([periodic(1), periodic(2, type="DownstreamEnd")], 101)
    assert {id_: each.under_way for id_, each in told(requests, 101).items()} == {
        "a": {INSTANCE: 1, other: 1},
        "b": {INSTANCE: 1},
    }
    assert told(requests, 101)["a"].last_request == STARTED


def came(requests: Requests, now: float = 0.0, id_: str = "a") -> int:
    return told(requests, now).get(id_, ServiceTraffic()).requests


class TestRequestsAreCountedWhenTheyCome:
    def test_those_that_last_at_the_first_line_on_them(self, requests: Requests) -> None:
        requests.go_on([periodic(1), periodic(2)], 1)
        assert came(requests, 1) == 2
        for now in range(2, 300):
            requests.go_on([periodic(1), periodic(2)], now)
        assert came(requests, 299) == 2
        requests.count(ended(1, duration=300_000), 300)
        requests.go_on([periodic(1, type="DownstreamEnd")], 300)
        assert came(requests, 300) == 2

    def test_so_long_streams_that_go_on_coming_are_a_load(self, requests: Requests) -> None:
        """Ten a second, of five minutes each: none ends while it is looked at. The operator reads 10 a second."""
        gateways = Gateways()
        for now in range(0, 241, 15):
            lines = (periodic(10 * at + each, started=1000 * (STARTED + at)) for at in range(now) for each in range(10))
            requests.go_on(lines, now)
            gateways.take({"replica": requests.told(now)}, True, STARTED + now, now)
        assert gateways.per_second("a") == pytest.approx(10)

    @pytest.mark.parametrize("first", ["the access log", "the log beside it"])
    def test_once_whichever_of_the_two_logs_is_read_first(self, requests: Requests, first: str) -> None:
        def read(log: str) -> None:
            if log == "the access log":
                requests.count(ended(1, duration=1_100), 1.2)
            else:
                requests.go_on([periodic(1), periodic(1, type="DownstreamEnd")], 1.5)

        read(first)
        assert came(requests) == 1
        read("the access log")
        read("the log beside it")
        assert came(requests) == 1

    def test_those_that_are_held_at_once_and_once(self, requests: Requests) -> None:
        """They wait for minutes, go on to an instance, and end."""
        requests.come("request-1", "a", STARTED + 1, 1)
        assert told(requests, 1)["a"] == ServiceTraffic(requests=1, last_request=STARTED + 1)
        for now in range(2, 300):
            requests.go_on([periodic(1, upstream=None)], now)
        requests.go_on([periodic(1)], 300)
        requests.count(ended(1, started=1000 * (STARTED + 1), duration=300_000), 301)
        assert came(requests, 301) == 1

    @pytest.mark.parametrize("code", [401, 503])
    def test_those_that_found_no_place_or_were_refused_while_they_were_held(
        self, requests: Requests, code: int
    ) -> None:
        requests.come("request-1", "a", STARTED, 0)
        requests.count(ended(1, upstream=None, code=code, duration=1), 0.1)
        assert came(requests) == 1

    def test_m22_those_whose_envoy_was_killed_when_they_were_under_way(self, requests: Requests) -> None:
        """Their last lines are made by the agent, whenever there is an Envoy again."""
        requests.go_on([periodic(1)], 1)
        for later in (2, 1000):
            requests.count(ended(1, flags="KILLED"), later)
        assert came(requests, 1000) == 1

    def test_none_that_an_agent_before_this_one_has_counted(self, requests: Requests) -> None:
        before = 1000 * (STARTED - 1)
        requests.go_on([periodic(1, started=before)], 1)
        requests.come("request-2", "a", STARTED - 1, 1)
        requests.count(ended(3, started=before, duration=2_000), 1)
        requests.count(ended(4, started=before, flags="KILLED"), 1)
        assert told(requests, 1)["a"] == ServiceTraffic(
            last_request=STARTED - 1, under_way={INSTANCE: 1}, unanswered={INSTANCE: 1}
        )

    def test_also_in_the_millisecond_in_which_it_begins(self) -> None:
        requests = Requests()
        requests.begin(STARTED + 0.0009, 0)
        requests.count(ended(1), 0.1)
        assert came(requests) == 1

    @pytest.mark.parametrize("step", [-3600, 3600])
    def test_also_when_the_clock_was_set(self, requests: Requests, step: int) -> None:
        requests.set_clock(STARTED + 10 + step, 10)
        requests.count(ended(1, started=1000 * (STARTED + 10 + step)), 10)
        requests.count(ended(2, started=1000 * (STARTED - 1 + step)), 10)
        assert came(requests) == 1

    def test_also_when_the_clock_is_read_a_little_late(self, requests: Requests) -> None:
        """The machine is busy: between two lines of code pass 0.5 s."""
        requests.set_clock(STARTED + 10.5, 10)
        requests.count(ended(1), 10)
        assert came(requests) == 1

    def test_and_little_is_kept_of_them(self, requests: Requests) -> None:
        for now in range(200):
            requests.count(ended(2 * now, duration=20, started=1000 * (STARTED + now)), now)
            requests.go_on([periodic(2 * now + 1)], now)
        assert came(requests, 200) == 400
        assert len(requests._signs) <= REMEMBERED_SECONDS + 1


def test_who_is_not_heard_of_any_more_is_under_way_no_more(requests: Requests) -> None:
    """Its Envoy was killed."""
    requests.go_on([periodic(1), periodic(2)], 100)
    requests.go_on([periodic(2)], 101)
    assert told(requests, 100 + LATE_SECONDS)["a"].under_way == {INSTANCE: 2}
    assert told(requests, 100.1 + LATE_SECONDS)["a"].under_way == {INSTANCE: 1}
    assert told(requests, 101.1 + LATE_SECONDS)["a"].under_way == {}


@pytest.mark.parametrize(
    ("changes", "unanswered"),
    [
        ({}, 1),
        ({"stream": "true"}, 1),
        ({"first_byte": 20}, 0),
        ({"stream": "true", "first_byte": 20}, 1),  # the head, before any token
        ({"stream": "true", "first_byte": 20, "first_token": 1_769_860_801_000}, 1),  # a comment that keeps it alive
        ({"stream": "true", "first_byte": 20, "prompt_tokens": 7}, 0),
    ],
)
def test_an_answer_begins_with_its_first_token(requests: Requests, changes: dict[str, Any], unanswered: int) -> None:
    requests.go_on([periodic(1, **changes)], 0)
    assert told(requests)["a"].under_way == {INSTANCE: 1}
    assert sum(told(requests)["a"].unanswered.values()) == unanswered


def test_what_has_no_instance_yet_is_not_in_one(requests: Requests) -> None:
    requests.go_on([periodic(1, upstream=None)], 0)
    assert told(requests) == {}


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"1", b'{"request_id": 1}', b'{"request_id":"a","started":"x"}', b"\xff"]
)
def test_what_is_no_line_is_passed_over(requests: Requests, text: bytes) -> None:
    requests.go_on([text, periodic(1)], 0)
    assert told(requests)["a"].under_way == {INSTANCE: 1}


def test_held_requests_are_told_of_services_that_nobody_has_called_yet() -> None:
    requests = counting(held=lambda: {"asleep": 3})
    assert told(requests) == {"asleep": ServiceTraffic(held=3)}


def test_services_that_are_gone_are_forgotten(requests: Requests) -> None:
    requests.count(ended(1), 0)
    requests.count(ended(2, service_id="gone"), 0)
    requests.keep({"a"})
    assert set(told(requests)) == {"a"}


def test_nothing_is_told_before_it_is_counted() -> None:
    assert Requests().told(0) is None


def test_each_process_has_a_name_of_its_own() -> None:
    assert Requests().replica != Requests().replica


def test_what_is_said_is_json_that_the_operator_reads(requests: Requests) -> None:
    requests.count(ended(1), 0)
    requests.go_on([periodic(2)], 0)
    said = requests.told(0)
    assert said
    parsed = json.loads(said.model_dump_json(by_alias=True, exclude_defaults=True))
    assert parsed["services"] == {
        "a": {"requests": 2, "lastRequest": STARTED, "underWay": {INSTANCE: 1}, "unanswered": {INSTANCE: 1}}
    }
