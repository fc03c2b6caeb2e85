"""kubectl maas events: what the ledger has and what stands in the status, as one story."""

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.cli.events import Event, merged

SECOND = "2026-06-01T12:00:00Z"
NEXT = "2026-06-01T12:00:01Z"


def event(id_: str, time: str = SECOND, reason: str = "Starting") -> Event:
    return {"id": id_, "time": time, "type": "Normal", "reason": reason, "message": ""}


def test_m11_of_one_second_they_stand_in_the_order_in_which_they_happened() -> None:
    standing = [event("c"), event("a"), event("b"), event("d", NEXT)]
    kept = [event("a"), event("b"), event("c"), event("z")]
    assert [each["id"] for each in merged(kept, standing)] == ["z", "c", "a", "b", "d"]


def test_m11_a_services_end_comes_after_all_else_of_its_second() -> None:
    kept = [event("a", reason="Deleted"), event("b"), event("c", NEXT)]
    assert [each["id"] for each in merged(kept, [])] == ["b", "a", "c"]


@given(st.data())
def test_m11_whatever_the_ledger_has_already_each_is_told_once_the_oldest_first(data: st.DataObject) -> None:
    times = st.sampled_from((SECOND, NEXT))
    story = [event(id_, data.draw(times)) for id_ in "abcdefgh"]
    kept = data.draw(st.lists(st.sampled_from(story), unique_by=lambda each: each["id"]))
    standing = story[data.draw(st.integers(0, len(story))) :]
    told = merged(kept, standing)
    assert sorted(each["id"] for each in told) == sorted({each["id"] for each in (*kept, *standing)})
    assert [each["time"] for each in told] == sorted(each["time"] for each in told)
