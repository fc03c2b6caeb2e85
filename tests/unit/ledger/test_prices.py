"""M16: what an hour cost when, and which hours were paid for in advance."""

from collections import Counter
from datetime import UTC, datetime
from fractions import Fraction
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maas_operator.api.billing import BillLine, FlavorPrice, Interval, Package, Tariff
from maas_operator.api.resourcepool import Price
from maas_operator.ledger import prices
from maas_operator.ledger.bill import rounded, totals
from maas_operator.ledger.prices import FOREVER, Piece, Window, coverage, in_order, pieces, windows


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def eur(amount: str) -> Price:
    return Price(per_hour=amount, currency="EUR")


def tariff(since: int, generation: int = 1, price: str | None = "2", uid: str = "u", **given: object) -> Tariff:
    facts: dict[str, object] = {"flavors": ["one"], "dedicated": False, "packages": []} | given
    listed = [FlavorPrice(flavor="one", price=eur(price))] if price else []
    return Tariff(pool="pool-a", uid=uid, generation=generation, since=since, prices=listed, **facts)


def package(hours: int = 10, start: int = 0, end: int | None = None, name: str = "p") -> Package:
    return Package(name=name, account="team-a", flavor="one", hours=hours, start=start, end=end)


def interval(uid: str, start: int, end: int) -> Interval:
    facts = {"account": "team-a", "service": "team-a/s", "pool": "pool-a", "flavor": "one"}
    return Interval(uid=uid, start=start, seen=end, end=end, **facts)


def told(found: list[Piece]) -> list[tuple[int, int, str | None, bool]]:
    return [(each.start, each.end, each.price.per_hour if each.price else None, each.dedicated) for each in found]


def test_m16_a_price_holds_from_its_edit_to_the_next_and_the_first_for_all_before() -> None:
    edits = [tariff(100), tariff(200, 2), tariff(300, 3, "3"), tariff(400, 4, "3", dedicated=True)]
    assert told(pieces(edits, "one")) == [
        (0, 300, "2", False),
        (300, 400, "3", False),
        (400, FOREVER, "3", True),
    ]
    assert told(pieces(edits, "two")) == [(0, FOREVER, None, False)]


def test_m16_a_flavor_that_the_pool_has_no_more_keeps_its_last_price_for_what_still_runs() -> None:
    assert told(pieces([tariff(100), tariff(200, 2, None, flavors=["two"])], "one")) == [(0, FOREVER, "2", False)]


def test_m16_of_edits_within_a_second_the_last_counts() -> None:
    edits = [tariff(100, 1), tariff(200, 2, "3"), tariff(200, 3, "4")]
    assert told(pieces(in_order(reversed(edits)), "one")) == [(0, 200, "2", False), (200, FOREVER, "4", False)]


def test_m16_edits_follow_each_other_by_generation_where_the_api_servers_clocks_differ() -> None:
    edits = in_order([tariff(199, 3, "4"), tariff(200, 2, "3"), tariff(100, 1)])
    assert [(each.generation, each.since) for each in edits] == [(1, 100), (2, 200), (3, 200)]


def test_m16_a_pool_that_was_made_anew_goes_on_from_the_one_before() -> None:
    edits = in_order([tariff(300, 1, "5", uid="new"), tariff(100, 1), tariff(200, 7, "3")])
    assert [each.since for each in edits] == [100, 200, 300]
    again = in_order([tariff(200, 1, "5", uid="new"), tariff(100, 6), tariff(200, 7, "3")])
    assert told(pieces(again, "one"))[-1] == (200, FOREVER, "5", False)


def test_m16_a_package_that_is_entered_late_counts_from_its_start_within_the_month() -> None:
    entered = at("2026-11-15T12:00")
    (window,) = windows([tariff(entered, packages=[package(start=at("2026-11-03"))])], "team-a", "one")
    assert (window.start, window.end) == (at("2026-11-03"), FOREVER)
    (window,) = windows([tariff(entered, packages=[package(start=at("2026-10-20"))])], "team-a", "one")
    assert window.start == at("2026-11-01")
    assert windows([tariff(entered, packages=[package()])], "team-b", "one") == []
    assert windows([tariff(entered, packages=[package()])], "team-a", "two") == []


def test_m16_an_edited_package_counts_from_its_edit_and_a_removed_one_until_then() -> None:
    first, edited, removed = at("2026-10-01"), at("2026-11-10"), at("2026-11-20")
    edits = [
        tariff(first, 1, packages=[package(10)]),
        tariff(first + 60, 2, "9", packages=[package(10)]),
        tariff(edited, 3, packages=[package(50)]),
        tariff(removed, 4),
    ]
    found = [(each.package.hours, each.start, each.end) for each in windows(edits, "team-a", "one")]
    assert found == [(10, first, edited), (50, edited, removed)]


def used(spans: list[Interval], packages: list[Window], costs: list[Piece] | None = None) -> dict[str, int]:
    found = coverage(spans, packages, costs or [Piece(0, FOREVER, eur("1"), False)])
    return {each.uid: found.of(each.uid, each.start, each.end or 0) for each in spans}


def test_m16_prepaid_hours_are_used_up_first_and_by_all_instances_alike() -> None:
    hour = 3600
    two = [interval("a", 0, 3 * hour), interval("b", hour, 3 * hour)]
    assert used(two, [Window(package(10), 0, FOREVER)]) == {"a": 3 * hour, "b": 2 * hour}
    assert used(two, [Window(package(2), 0, FOREVER)]) == {"a": hour + hour // 2, "b": hour // 2}
    odd = [interval("a", 0, 3 * hour), interval("b", 1, 3 * hour)]
    assert sum(used(odd, [Window(package(1), 0, FOREVER)]).values()) == hour


def test_m16_dedicated_or_free_hours_use_up_no_package() -> None:
    hour = 3600
    for piece in (Piece(0, hour, eur("1"), True), Piece(0, hour, eur("0"), False), Piece(0, hour, None, False)):
        then = [piece, Piece(hour, FOREVER, eur("1"), False)]
        assert used([interval("a", 0, 2 * hour)], [Window(package(10), 0, FOREVER)], then) == {"a": hour}


def test_m16_a_package_topped_up_does_not_pay_for_what_was_charged_before() -> None:
    hour = 3600
    topped = [Window(package(1), 0, 3 * hour), Window(package(2), 3 * hour, FOREVER)]
    found = coverage([interval("a", 0, 10 * hour)], topped, [Piece(0, FOREVER, eur("1"), False)])
    assert found.ranges == [(0, hour), (3 * hour, 4 * hour)]


def test_m16_of_several_packages_the_one_that_ends_first_is_used_first() -> None:
    hour = 3600
    lasting, ending = package(1, name="lasting"), package(1, end=hour, name="ending")
    spans = [interval("a", 0, 3 * hour)]
    assert used(spans, [Window(lasting, 0, FOREVER), Window(ending, 0, hour)]) == {"a": 2 * hour}


SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 30)), max_size=6)
WINDOWS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40), st.integers(0, 12)), max_size=4)
UNIT = 7
"""Seconds of an hour here, so that seconds can be counted one by one."""


@settings(max_examples=300, deadline=None)
@given(SPANS, WINDOWS, st.integers(0, 50), st.integers(0, 70))
def test_m16_packages_cover_what_counting_second_by_second_covers(
    spans: list[tuple[int, int]], given_: list[tuple[int, int, int]], free_from: int, month: int
) -> None:
    rows = [interval(f"u{number}", start, start + length) for number, (start, length) in enumerate(spans)]
    packages = [
        Window(package(hours, start, start + length, f"p{number}"), start, start + length)
        for number, (start, length, hours) in enumerate(given_)
    ]
    costs = [Piece(0, free_from, eur("1"), False), Piece(free_from, FOREVER, eur("1"), True)]
    with patch.object(prices, "HOUR", UNIT):
        found = coverage(rows, packages, costs)
    left = {each.package.name: each.package.hours * UNIT for each in packages}
    expected: Counter[tuple[str, int]] = Counter()
    for second in range(free_from):
        there = sorted(
            (each for each in rows if each.start <= second < (each.end or 0)), key=lambda e: (e.start, e.uid)
        )
        usable = sorted(
            (each for each in packages if each.start <= second < each.end),
            key=lambda each: (each.end, each.start, each.package.name),
        )
        for instance in there:
            payer = next((each for each in usable if left[each.package.name]), None)
            if payer:
                left[payer.package.name] -= 1
                expected[instance.uid, second] += 1
    for each in rows:
        for part in ((0, month), (month, FOREVER)):
            wanted = sum(
                count for (uid, second), count in expected.items() if uid == each.uid and part[0] <= second < part[1]
            )
            assert found.of(each.uid, max(part[0], each.start), min(part[1], each.end or 0)) == wanted


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        (Fraction("0.125"), "EUR", "0.13"),
        (Fraction("0.1249999999999"), "EUR", "0.12"),
        (Fraction(0), "EUR", "0.00"),
        (Fraction("12.5"), "JPY", "13"),
        (Fraction("1.0005"), "KWD", "1.001"),
        (Fraction("123456789012345.675"), "USD", "123456789012345.68"),
    ],
)
def test_m16_amounts_are_rounded_half_up_to_the_currencys_smallest_unit(
    amount: Fraction, currency: str, words: str
) -> None:
    assert rounded(amount, currency) == words


def test_m16_the_total_is_the_sum_of_the_lines_as_they_stand_in_each_currency() -> None:
    facts = {"service": "team-a/s", "pool": "p", "flavor": "one", "dedicated": False, "seconds": 9}
    lines = [
        BillLine(account=account, amount=amount, currency=currency, price="1", prepaid_seconds=0, **facts)
        for account, amount, currency in (
            ("a", "0.10", "EUR"),
            ("a", "0.20", "EUR"),
            ("a", "7", "JPY"),
            ("b", "1.00", "EUR"),
        )
    ]
    lines.append(BillLine(account="a", prepaid_seconds=0, **facts))
    found = [(each.account, each.currency, each.amount) for each in totals(lines)]
    assert found == [("a", "EUR", "0.30"), ("a", "JPY", "7"), ("b", "EUR", "1.00")]
