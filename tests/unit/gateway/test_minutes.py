"""81103: tokens a minute, charged afterwards."""

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.gateway.access_log import Line
from maas_operator.gateway.facts import Facts, Key, Limits, Service
from maas_operator.gateway.minutes import Minutes

LIMIT = 600
FACTS = Facts(
    services=(Service("b", "s", "id-s", (), "m", "v", limits=Limits(None, 1200)),),
    keys=(Key("a", "k", "u", "h", limits=Limits(None, LIMIT)), Key("a", "free", "u2", "h2")),
)


def line(tokens: int, key: str = "k", service: str | None = "id-s") -> Line:
    about = {"request_id": "r", "started": 0, "account": "a", "method": "POST", "path": "/", "code": 200}
    return Line.model_validate({**about, "key": key, "service_id": service, "prompt_tokens": tokens})


def held(facts: Facts = FACTS) -> Minutes:
    minutes = Minutes()
    minutes.limit(facts)
    return minutes


def test_81103_key_and_service_are_charged_and_freed_again() -> None:
    minutes = held()
    minutes.charge(line(100), 0)
    assert minutes.over(0) == {"a/k", "id-s"}
    assert minutes.over(4.1) == {"a/k"}
    assert minutes.over(8.9) == {"a/k"}
    assert minutes.over(9.1) == frozenset()


def test_81103_who_has_no_limit_is_never_over() -> None:
    minutes = held()
    minutes.charge(line(10**9, "free", None), 0)
    assert minutes.over(0) == frozenset()


def test_81103_each_replica_gives_out_its_share() -> None:
    minutes = held(Facts(keys=FACTS.keys, replicas=(("10.0.0.1", 1), ("10.0.0.2", 1))))
    minutes.charge(line(55), 0)
    assert minutes.over(9.9) == {"a/k"}
    assert minutes.over(10.1) == frozenset()


def test_81103_below_a_store_each_replica_holds_all_of_it_a_minutes_worth_at_once() -> None:
    minutes = held(Facts(keys=FACTS.keys, replicas=(("10.0.0.1", 1), ("10.0.0.2", 1)), shared=True))
    minutes.charge(line(LIMIT), 0)
    assert minutes.over(0) == frozenset()
    minutes.charge(line(55), 0)
    assert minutes.over(5.4) == {"a/k"}
    assert minutes.over(5.6) == frozenset()


def test_81103_a_key_that_is_gone_is_forgotten() -> None:
    minutes = held()
    minutes.charge(line(100), 0)
    minutes.limit(Facts())
    assert minutes.over(0) == frozenset()


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 500)), min_size=1, max_size=200))
def test_81103_over_time_no_more_than_the_limit_and_one_answer(answers: list[tuple[float, int]]) -> None:
    minutes, now, used = held(), 0.0, 0
    for pause, tokens in answers:
        now += pause
        if "a/k" not in minutes.over(now):
            minutes.charge(line(tokens, service=None), now)
            used += tokens
    assert used <= LIMIT / 60 * (now + 1) + max(tokens for _, tokens in answers) + 1e-6
