"""M9: how often a message is tried, and when it is given up."""

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.act.notifying.backoff import FIRST_SECONDS, GIVEN_UP_SECONDS, JITTER, LONGEST_SECONDS, wait


def test_a_receiver_that_is_away_is_tried_for_a_day() -> None:
    age, attempts = 0.0, 1
    while (seconds := wait(attempts, age, None, jitter=0.0)) is not None:
        assert FIRST_SECONDS <= seconds <= LONGEST_SECONDS
        age, attempts = age + seconds, attempts + 1
    assert GIVEN_UP_SECONDS - LONGEST_SECONDS <= age <= GIVEN_UP_SECONDS
    assert attempts < 50


def test_the_receivers_own_wish_counts_where_it_is_longer() -> None:
    assert wait(1, 0.0, 120.0, jitter=0.0) == 120.0
    assert wait(1, 0.0, 1.0, jitter=0.0) == FIRST_SECONDS


def test_a_receiver_that_asks_for_more_than_is_left_is_tried_once_more_at_the_end() -> None:
    asked = 2 * GIVEN_UP_SECONDS
    assert wait(1, 0.0, asked, jitter=0.0) == GIVEN_UP_SECONDS
    assert wait(2, GIVEN_UP_SECONDS - 600.0, asked, jitter=0.0) == 600.0
    assert wait(3, GIVEN_UP_SECONDS, asked, jitter=0.0) is None


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waits_stay_within_their_bounds(attempts: int, jitter: float) -> None:
    seconds = wait(attempts, 0.0, None, jitter)
    assert seconds is not None
    assert FIRST_SECONDS <= seconds <= LONGEST_SECONDS * (1 + JITTER)
