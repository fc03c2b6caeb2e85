"""Whose token it is, remembered for a short time."""

import pytest

from maas_operator.ledger.identity import Identity, NotReviewedError, Remembered, identity
from maas_operator.ledger.service import Access

ACCESS = Access("maas-system", "maas-gateway", "maas-operator")
CI = Identity("team-a", "ci")


class Reviews:
    """An API server's verdicts, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.known: dict[str, Identity] | None = {"token": CI}

    async def __call__(self, token: str) -> Identity | None:
        self.asked += 1
        if self.known is None:
            raise NotReviewedError("away")
        return self.known.get(token)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_verdict_is_asked_for_once_a_minute() -> None:
    reviews, clock = Reviews(), Clock()
    remembered = Remembered(reviews, clock)
    assert [await remembered("token") for _ in range(3)] == [CI] * 3
    assert reviews.asked == 1
    clock.now += 61
    reviews.known = {}
    assert await remembered("token") is None
    assert await remembered("token") is None
    assert reviews.asked == 3


async def test_while_the_api_server_is_away_the_gateway_is_believed_for_an_hour() -> None:
    reviews, clock = Reviews(), Clock()
    remembered = Remembered(reviews, clock)
    assert await remembered("token") == CI
    reviews.known = None
    clock.now += 3599
    assert await remembered("token") == CI
    with pytest.raises(NotReviewedError):
        await remembered("another")
    clock.now += 2
    with pytest.raises(NotReviewedError):
        await remembered("token")


async def test_not_more_tokens_are_remembered_than_stated() -> None:
    reviews = Reviews()
    reviews.known = {str(number): CI for number in range(1100)}
    remembered = Remembered(reviews, Clock())
    for number in range(1100):
        await remembered(str(number))
    assert len(remembered._verdicts) == 1000


@pytest.mark.parametrize("name", ["", "admin", "system:serviceaccount:", "system:serviceaccount:a", "system:node:a"])
def test_who_is_no_service_account_is_nobody(name: str) -> None:
    assert identity(name) is None
    assert identity("system:serviceaccount:team-a:ci") == CI


def test_an_account_sees_its_own_usage_the_platform_all_and_the_gateway_alone_writes() -> None:
    platform, gateway = Identity("maas-system", "default"), Identity("maas-system", "maas-gateway")
    assert ACCESS.may_read(CI, "team-a")
    assert not ACCESS.may_read(CI, "team-b")
    assert not ACCESS.may_read(CI, None)
    assert ACCESS.may_read(platform, None)
    assert ACCESS.may_read(platform, "team-b")
    assert ACCESS.may_write(gateway)
    assert not ACCESS.may_write(platform)
    assert not ACCESS.may_write(Identity("team-a", "maas-gateway"))


def test_m11_the_operator_alone_sends_events_and_no_usage() -> None:
    operator = Identity("maas-system", "maas-operator")
    assert ACCESS.may_tell(operator)
    assert not ACCESS.may_write(operator)
    for other in (Identity("maas-system", "maas-gateway"), Identity("team-a", "maas-operator"), CI):
        assert not ACCESS.may_tell(other)
