"""Who is held, in which order, and how many. Times are passed in."""

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.gateway.places import Answer, Place, Places
from maas_operator.gateway.settings import Holding

NOW = 1000.0


class Queue:
    """Places, and what was told to whom."""

    def __init__(self, **bounds: int) -> None:
        self.places = Places(Holding.model_validate(bounds))
        self.told: list[tuple[str, Answer]] = []

    def enter(self, name: str, arrived: float = NOW, service: str = "a") -> Place | None:
        return self.places.enter(service, "team-a/main", arrived, NOW, partial(self._tell, name))

    def _tell(self, name: str, answer: Answer) -> None:
        self.told.append((name, answer))

    def names(self, service: str = "a") -> list[str]:
        """In the order in which they go on."""
        self.told.clear()
        self.places.answer(service, Answer.GO)
        return [name for name, _ in self.told]


def test_they_go_on_in_the_order_in_which_they_came_whenever_they_ask() -> None:
    queue = Queue()
    for name, arrived in (("third", 903.0), ("first", 901.0), ("fourth", 903.0), ("second", 902.0)):
        assert queue.enter(name, arrived)
    assert queue.places.by_service() == {"a": 4}
    assert queue.names() == ["first", "second", "third", "fourth"]
    assert queue.places.by_service() == {}


def test_a_time_that_has_not_come_yet_counts_as_now() -> None:
    queue = Queue()
    queue.enter("of a clock that is ahead", NOW + 60)
    queue.enter("next", NOW)
    assert queue.names() == ["of a clock that is ahead", "next"]


def test_a_service_has_its_own_bound_and_all_together_have_one() -> None:
    queue = Queue(requests=3, requestsPerService=2)
    first = queue.enter("1")
    assert first
    assert queue.enter("2")
    assert not queue.enter("3")
    assert queue.enter("4", service="b")
    assert not queue.enter("5", service="b")
    queue.places.leave(first)
    assert queue.enter("6", service="b")
    assert queue.names("b") == ["4", "6"]
    assert queue.enter("7", service="c")


def test_who_leaves_frees_one_place_and_is_told_nothing() -> None:
    queue = Queue(requests=2)
    place = queue.enter("gone")
    assert place
    queue.enter("stays")
    queue.places.leave(place)
    queue.places.leave(place)
    assert queue.enter("comes")
    assert not queue.enter("too many")
    assert queue.names() == ["stays", "comes"]
    queue.places.leave(place)
    assert queue.places.by_service() == {}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.booleans()), max_size=40), st.integers(1, 6))
def test_any_coming_and_going_keeps_the_order_and_the_count(steps: list[tuple[str, int, bool]], most: int) -> None:
    queue = Queue(requests=most)
    held: list[tuple[float, int, str, Place]] = []
    for number, (service, arrived, leaves) in enumerate(steps):
        if leaves and held:
            queue.places.leave(held.pop(number % len(held))[3])
        else:
            place = queue.enter(str(number), float(arrived), service)
            assert (place is None) == (len(held) == most)
            if place:
                held.append((arrived, number, service, place))
        assert sum(queue.places.by_service().values()) == len(held)
    for service in "ab":
        mine = sorted((arrived, number) for arrived, number, of, _ in held if of == service)
        assert queue.names(service) == [str(number) for _, number in mine]
