"""When the operator is asked to wake a service. The time is passed in."""

from datetime import UTC, datetime, timedelta

from maas_operator.api.times import written
from maas_operator.gateway.facts import Service
from maas_operator.gateway.wishes import INTERVAL, Wishes

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CALLED = ("uid",)


def service(asleep: bool = True, wish: datetime | str = "", awaited: bool = True) -> Service:
    text = wish if isinstance(wish, str) else written(wish)
    names = ("chat",)
    return Service("team-a", "chat", "uid", names, "m", "1k", awaited=awaited, asleep=asleep, wake_requested=text)


def due(wishes: Wishes, seen: Service, after: float = 0, called: tuple[str, ...] = CALLED) -> bool:
    wishes.see([seen])
    return bool(wishes.due([seen], called, NOW + timedelta(seconds=after)))


def test_a_service_that_sleeps_is_woken_at_once_where_it_is_called() -> None:
    assert due(Wishes(), service())
    assert not due(Wishes(), service(), called=())
    assert not due(Wishes(), service(), called=("another",))
    assert not due(Wishes(), service(asleep=False))
    assert not due(Wishes(), service(awaited=False)), "its spec is refused, say: nothing can wake it"


def test_it_is_asked_for_again_after_half_a_minute_and_not_before() -> None:
    wishes = Wishes()
    wishes.done(service(), NOW)
    mine = service(wish=NOW)
    assert not due(wishes, mine, 29)
    assert due(wishes, mine, 30)


def test_what_another_replica_has_asked_for_is_not_asked_for_again() -> None:
    wishes = Wishes()
    assert not due(wishes, service(wish=NOW - timedelta(seconds=29)))
    assert due(wishes, service(wish=NOW - INTERVAL))


def test_a_wish_that_was_heard_counts_no_more_once_it_sleeps_again() -> None:
    wishes = Wishes()
    wishes.done(service(), NOW)
    assert not due(wishes, service(wish=NOW), 1)
    assert not due(wishes, service(asleep=False, wish=NOW), 2)
    assert due(wishes, service(wish=NOW), 3), "half a minute need not be waited for"
    assert not due(wishes, service(wish=NOW + timedelta(seconds=3)), 4), "another replica has asked since"


def test_a_wish_that_failed_is_tried_again_after_a_growing_pause() -> None:
    wishes, at, pauses = Wishes(), 0.0, []
    for _ in range(7):
        assert due(wishes, service(), at)
        wishes.failed(service(), NOW + timedelta(seconds=at))
        begun = at
        while not due(wishes, service(), at):
            at += 0.5
        pauses.append(at - begun)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_what_somebody_else_wrote_there_stops_nothing() -> None:
    assert due(Wishes(), service(wish="soon"))
    assert due(Wishes(), service(wish="2026-06-01T00:00:00")), "without a time zone it says no time"
    assert due(Wishes(), service(wish="2020-06-01T00:00:00Z"))


def test_a_wish_by_a_clock_that_was_ahead_stops_nothing() -> None:
    assert due(Wishes(), service(wish=NOW + timedelta(hours=1)))
    assert not due(Wishes(), service(wish=NOW + timedelta(seconds=29))), "clocks differ a little"


def test_nothing_is_remembered_of_services_that_are_gone() -> None:
    wishes = Wishes()
    wishes.see([service()])
    wishes.done(service(), NOW)
    wishes.see([])
    assert due(wishes, service(), 1)
