"""Kubernetes quantities, in all the words that the API server knows."""

from decimal import Decimal

import pytest

from maas_operator.api.quantities import amount, parse, same


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("2", "2"),
        ("500m", "0.5"),
        ("100u", "0.0001"),
        ("1n", "0.000000001"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-1", "-1"),
        ("2k", "2000"),
        ("2M", "2000000"),
        ("2G", "2000000000"),
        ("2T", "2000000000000"),
        ("2P", "2000000000000000"),
        ("2E", "2000000000000000000"),
        ("2Ki", "2048"),
        ("1.5Ki", "1536"),
        ("2Mi", "2097152"),
        ("2Gi", "2147483648"),
        ("2Ti", "2199023255552"),
        ("1Pi", "1125899906842624"),
        ("1Ei", "1152921504606846976"),
        ("2e3", "2000"),
        ("2E3", "2000"),
        ("2e-3", "0.002"),
    ],
)
def test_a_quantity_is_a_number(text: str, number: str) -> None:
    assert parse(text) == Decimal(number)


@pytest.mark.parametrize(
    "text", ["", "Gi", "1 Gi", "1Gi ", "1gi", "1K", "1KB", "x", "NaN", "Infinity", "1e999999999", "1_000", "٣"]
)
def test_what_is_no_quantity_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        parse(text)


@pytest.mark.parametrize(
    ("resource", "text", "number"),
    [
        ("cpu", "2", 2000),
        ("cpu", "250m", 250),
        ("cpu", "0.0001", 1),
        ("memory", "1Gi", 2**30),
        ("memory", "1500m", 2),
        ("nvidia.com/gpu", "8", 8),
    ],
)
def test_cpu_is_counted_in_thousandths_and_all_else_in_units_rounded_up(resource: str, text: str, number: int) -> None:
    assert amount(resource, text) == number


@pytest.mark.parametrize(("one", "other"), [("1", "1000m"), ("1.5Gi", "1536Mi"), ("0.0001", "1m"), ("2e3", "2k")])
def test_the_same_in_other_words(one: str, other: str) -> None:
    assert same(one, other)
    assert not same(one, "7")
