"""Kubernetes quantities ("500m", "256Gi") as numbers."""

from decimal import Decimal
from functools import lru_cache

_FACTORS = {
    "m": Decimal(1) / 1000,
    "": Decimal(1),
    "k": Decimal(1000),
    "M": Decimal(1000) ** 2,
    "G": Decimal(1000) ** 3,
    "T": Decimal(1000) ** 4,
    "P": Decimal(1000) ** 5,
    "Ki": Decimal(1024),
    "Mi": Decimal(1024) ** 2,
    "Gi": Decimal(1024) ** 3,
    "Ti": Decimal(1024) ** 4,
    "Pi": Decimal(1024) ** 5,
}


@lru_cache(maxsize=4096)
def parse(text: str) -> Decimal:
    """The number that a quantity stands for. Raises ValueError for what is no quantity."""
    digits = text.rstrip("kKMGTPim")
    suffix = text[len(digits) :]
    if suffix not in _FACTORS:
        raise ValueError(f"{text!r} is no quantity: after the number stands one of {', '.join(_FACTORS)}")
    try:
        return Decimal(digits) * _FACTORS[suffix]
    except ArithmeticError as error:
        raise ValueError(f"{text!r} is no quantity: it begins with no number") from error


def amount(resource: str, text: str) -> int:
    """An amount as rooms and requests are counted: cpu in thousandths, everything else in units. Rounded up."""
    value = parse(text) * 1000 if resource == "cpu" else parse(text)
    return int(value.to_integral_value(rounding="ROUND_CEILING"))
