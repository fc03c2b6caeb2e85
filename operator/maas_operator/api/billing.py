"""The bill (M16): what the operator tells the ledger of instances and prices, and what the ledger answers.

Times are whole seconds since 1970; money is written out in decimals. Nothing here is a float.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import ConfigDict, Field

from maas_operator.api.fields import Decimal, Part
from maas_operator.api.resourcepool import Price

INTERVALS_BATCH = 1000
"""Intervals of one batch to the ledger."""
TARIFFS_BATCH = 20
"""Tariffs of one batch: each may list a thousand packages."""
MINOR_UNITS: Mapping[str, int] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"), 0),
    **dict.fromkeys(("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
"""Decimal places of a currency's smallest unit, where they are not two (ISO 4217, list one)."""


class _Wire(Part):
    model_config = ConfigDict(extra="forbid")


_Seconds = Annotated[int, Field(ge=0, le=2**40)]
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Account = Annotated[str, Field(min_length=1, max_length=63)]
_Service = Annotated[str, Field(min_length=3, max_length=320)]
_Pool = Annotated[str, Field(max_length=253)]
_Flavor = Annotated[str, Field(max_length=63)]
_Uid = Annotated[str, Field(min_length=1, max_length=64)]


class Interval(_Wire):
    """An instance's time on its node, as far as it is known."""

    uid: _Uid
    """Of its pod; with several hosts, of the leader's. There is one interval for each."""
    account: _Account
    service: _Service
    """NAMESPACE/NAME."""
    pool: _Pool
    """The pool's name, as in the pod's label."""
    flavor: _Flavor
    start: _Seconds
    """When it got its node."""
    seen: _Seconds
    """When it was last known to be there: so far it is billed while it has no end."""
    end: _Seconds | None = None
    """When it left its node. It never changes once it is known."""
    lost: bool = False
    """It is gone, and nobody saw when: `seen` is the last that is known."""


class FlavorPrice(_Wire):
    """What an instance of a flavor costs."""

    flavor: _Flavor
    price: Price


class Package(_Wire):
    """Hours that were paid for in advance."""

    name: _Flavor
    account: _Account
    flavor: _Flavor
    hours: _Count
    start: _Seconds
    end: _Seconds | None = None


class Tariff(_Wire):
    """What a pool's spec says of money, from an edit of it to the next. It never changes."""

    pool: _Pool
    """As in the labels of its pods."""
    uid: _Uid
    generation: _Count
    since: _Seconds
    """When the spec was edited so."""
    dedicated: bool = False
    flavors: Annotated[list[_Flavor], Field(max_length=64)]
    """All that it has, those without a price too."""
    prices: Annotated[list[FlavorPrice], Field(max_length=64)] = Field(default=[])
    packages: Annotated[list[Package], Field(max_length=1024)] = Field(default=[])


class Facts(_Wire):
    """A batch of the operator's to the ledger. However often it comes, and in whatever order, it counts once."""

    tariffs: Annotated[list[Tariff], Field(max_length=TARIFFS_BATCH)] = Field(default=[])
    intervals: Annotated[list[Interval], Field(max_length=INTERVALS_BATCH)] = Field(default=[])


class BillLine(_Wire):
    """What the instances of a service cost at one price."""

    account: _Account
    service: _Service
    pool: _Pool
    flavor: _Flavor
    dedicated: bool
    """The pool was the account's own: the hours cost nothing."""
    seconds: _Count
    """Of all its instances together."""
    prepaid_seconds: _Count
    """Those of them that packages have paid for."""
    price: Decimal | None = None
    """For an hour; None: the flavor has none."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    amount: str | None = None
    """What is to be paid, rounded half up to the currency's smallest unit; None: nothing, without a currency."""


class BillMessages(_Wire):
    """Notifications that were delivered on a channel."""

    account: _Account
    topic: str
    channel: str
    messages: _Count


class BillTokens(_Wire):
    """What an account used of a service."""

    account: str
    service: str
    requests: _Count
    prompt_tokens: _Count
    completion_tokens: _Count


class BillTotal(_Wire):
    """The sum of the lines of an account in a currency."""

    account: _Account
    currency: str
    amount: str


class Bill(_Wire):
    """The bill of a month, in UTC."""

    month: str
    """2026-11."""
    account: str | None = None
    """None: of all."""
    until: str
    """So far it goes (RFC 3339): the month's end, or now."""
    final: bool
    """Nothing of it will change. Otherwise the month lasts, or it is not known of every instance how long it ran."""
    lines: list[BillLine]
    totals: list[BillTotal]
    notifications: list[BillMessages]
    tokens: list[BillTokens]
