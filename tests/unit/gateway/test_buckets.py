"""81101, 0308: what the buckets of all replicas give out in 60 s, by the arithmetic of Envoy's buckets."""

from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.gateway.envoy import render
from maas_operator.gateway.envoy.names import SERVICE_QPS, SERVICE_REQUESTS
from maas_operator.gateway.facts import Facts, Limits, Service
from tests.unit.gateway.decoding import decoded

REPLICAS = st.sampled_from([1, 2, 4])


def facts_of(replicas: int, **limits: object) -> Facts:
    service = Service("a", "s", "id", (), "m", "v", **limits)  # type: ignore[arg-type]
    return Facts(services=(service,), replicas=tuple(("10.0.0.1", port) for port in range(1, replicas + 1)))


def given_out(facts: Facts, file: str) -> tuple[int, Fraction]:
    """The most in 60 s, and what sustained load gets in a minute. Each replica has its share of the bucket and of the
    rate."""
    (descriptor,) = decoded(render(facts)[file])[0]["typed_config"]["descriptors"]
    bucket, replicas = descriptor["token_bucket"], len(facts.replicas)
    minutely = Fraction(bucket["tokens_per_fill"] * 60, int(bucket["fill_interval"].removesuffix("s")))
    return replicas * (ceil((bucket["max_tokens"] + minutely) / replicas) - 1), minutely


@given(st.integers(1, 2000) | st.integers(1, 10**6), REPLICAS)
def test_81101_never_more_than_2_percent_over_requests_a_minute(limit: int, replicas: int) -> None:
    most, minutely = given_out(facts_of(replicas, limits=Limits(limit)), SERVICE_REQUESTS)
    assert most <= max(Fraction(limit * 102, 100), Fraction(replicas))
    assert minutely > limit - replicas
    assert limit < 60 * replicas or minutely >= Fraction(limit * 98, 100)


@given(st.integers(1, 50) | st.integers(1, 10**5), REPLICAS)
def test_0308_never_more_than_2_percent_over_requests_a_second(limit: int, replicas: int) -> None:
    most, minutely = given_out(facts_of(replicas, qps=limit), SERVICE_QPS)
    assert most <= Fraction(limit * 60 * 102, 100)
    assert minutely >= Fraction(limit * 60 * 98, 100)
