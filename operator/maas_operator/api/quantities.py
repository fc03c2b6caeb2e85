"""Kubernetes quantities ("500m", "256Gi") as numbers."""

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

_DECIMAL = {
    suffix: Decimal(1000) ** power for power, suffix in enumerate(["n", "u", "m", "", "k", "M", "G", "T", "P", "E"], -3)
}
_BINARY = {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)}
_FACTORS = _DECIMAL | _BINARY
_NUMBER = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,2})|([A-Za-z]{0,2}))", re.ASCII)


@lru_cache(maxsize=4096)
def parse(text: str) -> Decimal:
    """The number that a quantity stands for. Raises ValueError for what is no quantity."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no quantity: it is a number, and after it a unit such as m, k, M, Ki or Gi")
    number, exponent, suffix = match.groups()
    if exponent is not None:
        return Decimal(number).scaleb(int(exponent))
    if suffix not in _FACTORS:
        raise ValueError(f"{text!r} is no quantity: after the number stands one of {', '.join(_FACTORS)}")
    return Decimal(number) * _FACTORS[suffix]


def amount(resource: str, text: str) -> int:
    """An amount as rooms and requests are counted: cpu in thousandths, everything else in units. Rounded up."""
    value = parse(text) * 1000 if resource == "cpu" else parse(text)
    return int(value.to_integral_value(rounding=ROUND_CEILING))


def mebibytes(number: int) -> str:
    """So many bytes as a quantity, rounded up to whole Mi."""
    return f"{-(-number // 1024**2)}Mi"


def same(one: str, other: str) -> bool:
    """Whether two quantities are the same to the API server, which keeps no less than a thousandth (rounded up)."""
    return _thousandths(one) == _thousandths(other)


def _thousandths(text: str) -> Decimal:
    return (parse(text) * 1000).to_integral_value(rounding=ROUND_CEILING)
