"""M16: since when and until when an instance is billed, and what the ledger is told of a pool."""

import pytest
from pydantic import ValidationError

from maas_operator.api.billing import Interval
from maas_operator.api.seen import InstanceEnded, PoolEdit
from maas_operator.decide.billing import ended, lost, running, tariff
from tests.unit.decide.facts import pod

FLAVOR = {"name": "one", "cpu": "1", "memory": "1Gi"}


def edit(**spec: object) -> PoolEdit:
    return PoolEdit("pool-a", "u", 3, 100, {"flavors": [FLAVOR]} | spec)


def test_m16_an_instance_is_billed_from_the_moment_it_has_its_node_also_while_it_loads() -> None:
    found = running(pod("a", scheduled_at=100, phase="Pending", ready=False), 160)
    assert found == Interval(uid="uid-a", account="team-a", service="team-a/assistant", pool="pool-a", flavor="one",
                             start=100, seen=160)  # fmt: skip


def test_m16_one_that_should_be_gone_and_whose_node_does_not_answer_is_billed_no_longer() -> None:
    leaving = pod("a", scheduled_at=100, leaving=True, leaving_by=400)
    assert running(leaving, 399).end is None
    assert running(leaving, 1000).end == 400
    assert ended(InstanceEnded(leaving, at=2000)).end == 400


@pytest.mark.parametrize(
    ("finished", "at", "leaving_by", "end"),
    [
        (None, 300, None, 300),
        (250, 300, None, 250),
        (250, None, None, 250),
        (None, 300, 900, 300),
        (410, 411, 400, 400),
        (None, None, 400, 400),
        (90, 300, None, 100),  # the node's clock is behind
    ],
)
def test_m16_it_ends_when_its_containers_did_or_else_when_it_was_seen_to_go(
    finished: int | None, at: int | None, leaving_by: int | None, end: int
) -> None:
    gone = pod("a", scheduled_at=100, finished_at=finished, leaving_by=leaving_by)
    found = ended(InstanceEnded(gone, at))
    assert (found.end, found.lost) == (end, False)


def test_m16_one_that_finished_unseen_and_does_not_say_when_is_lost() -> None:
    found = ended(InstanceEnded(pod("a", scheduled_at=100, phase="Failed"), at=None))
    assert (found.seen, found.end, found.lost) == (100, None, True)


def test_m16_open_intervals_without_an_instance_are_lost_and_keep_what_they_have() -> None:
    rows = [running(pod(name, scheduled_at=100), 160) for name in ("a", "b")]
    (found,) = lost(rows, {"uid-b"})
    assert (found.uid, found.seen, found.end, found.lost) == ("uid-a", 160, None, True)


def test_m16_a_tariff_says_what_the_pools_spec_says_of_money() -> None:
    prepaid = {"name": "p", "account": "team-a", "flavor": "one", "hours": 10, "start": "2026-11-01T00:00:00Z"}
    priced = FLAVOR | {"price": {"perHour": "12.50", "currency": "EUR"}}
    found = tariff(edit(flavors=[priced, FLAVOR | {"name": "two"}], dedicated=True, prepaid=[prepaid]))
    assert found.model_dump(by_alias=True, exclude_none=True) == {
        "pool": "pool-a", "uid": "u", "generation": 3, "since": 100, "dedicated": True, "flavors": ["one", "two"],
        "prices": [{"flavor": "one", "price": {"perHour": "12.50", "currency": "EUR"}}],
        "packages": [{"name": "p", "account": "team-a", "flavor": "one", "hours": 10, "start": 1_793_491_200}],
    }  # fmt: skip


def test_m16_a_spec_that_cannot_be_read_changes_no_price() -> None:
    with pytest.raises(ValidationError):
        tariff(edit(flavors=[{"name": "one"}]))


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("1970-01-01T00:00:00+01:00", None, [(0, None)]),
        ("0001-01-01T00:00:00Z", "1970-01-01T00:00:10Z", [(0, 10)]),
        ("1969-01-01T00:00:00Z", "1970-01-01T00:00:00Z", []),  # 0 would be taken for no end at all
        ("1900-01-01T00:00:00Z", "1950-01-01T00:00:00Z", []),
    ],
)
def test_m16_a_package_from_before_1970_counts_from_then_on(
    start: str, end: str | None, told: list[tuple[int, int | None]]
) -> None:
    prepaid = {"name": "p", "account": "team-a", "flavor": "one", "hours": 10, "start": start, "end": end}
    assert [(each.start, each.end) for each in tariff(edit(prepaid=[prepaid])).packages] == told


def test_m16_a_pool_with_a_long_name_is_called_as_in_its_pods_labels() -> None:
    found = tariff(PoolEdit("p" * 200, "u", 1, 100, {"flavors": [FLAVOR]}))
    assert len(found.pool) == 63
