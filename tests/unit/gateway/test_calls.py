"""Which calls may wake a service. The time is passed in."""

from typing import Any

import pytest

from maas_operator.gateway.access_log import Line
from maas_operator.gateway.calls import STANDS, Calls
from tests.unit.shipping.lines import line

LATE = "127.0.0.1:9905"


def test_a_call_stands_for_a_moment() -> None:
    calls = Calls()
    calls.note("a", 0)
    calls.note("b", 5)
    assert calls.standing(STANDS - 0.1) == {"a", "b"}
    assert calls.standing(STANDS) == {"b"}
    assert calls.standing(5 + STANDS) == set()


def test_the_first_of_many_calls_is_told_and_of_others_nothing_is_kept() -> None:
    calls = Calls()
    calls.note("a", 0)
    assert calls.came.is_set()
    calls.came.clear()
    calls.note("a", 1)
    assert not calls.came.is_set()
    assert calls.standing(STANDS) == {"a"}, "the last counts"
    calls.note("b", 1)
    assert calls.came.is_set()


def test_a_call_after_the_last_was_forgotten_is_told() -> None:
    calls = Calls()
    calls.note("a", 0)
    calls.came.clear()
    calls.standing(STANDS)
    calls.note("a", STANDS)
    assert calls.came.is_set()


@pytest.mark.parametrize(
    ("changes", "wakes"),
    [
        ({"code": 503, "flags": "UH", "upstream": None}, True),
        ({"code": 503, "upstream": LATE, "unreached": True}, True),
        ({}, False),
        ({"code": 503, "flags": "UC"}, False),  # an instance broke off
        ({"code": 504, "flags": "UT"}, False),
        ({"code": 401, "upstream": LATE, "unreached": True}, False),  # its key was deleted while it was held
        ({"code": 401, "upstream": None}, False),
        ({"code": 403, "upstream": None, "input_control": "refused"}, False),
        ({"code": 404, "upstream": None}, False),
        ({"code": 429, "upstream": None, "flags": "RL"}, False),
        ({"code": 0, "upstream": None, "flags": "DC"}, False),
        ({"code": 503, "upstream": None, "service_id": None}, False),
    ],
    ids=str,
)
def test_what_nothing_refused_and_no_instance_answered_is_a_call(changes: dict[str, Any], wakes: bool) -> None:
    ended = Line.model_validate_json(line(1, **{"service_id": "a", **changes}))
    assert ended.without_instance == wakes
