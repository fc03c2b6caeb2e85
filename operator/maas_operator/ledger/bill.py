"""The bill of a month (M16): worked out anew from what is written down whenever it is asked for."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from sqlalchemy import Engine, func, select

from maas_operator.api.billing import (
    MINOR_UNITS,
    Bill,
    BillLine,
    BillMessages,
    BillTokens,
    BillTotal,
    Interval,
    Tariff,
)
from maas_operator.api.resourcepool import Price
from maas_operator.api.times import written
from maas_operator.ledger import book, intervals, prices
from maas_operator.ledger.database import reading
from maas_operator.ledger.intervals import Grown
from maas_operator.ledger.tables import Notification

MONTH = "%Y-%m"


@dataclass(frozen=True)
class BillQuestion:
    """Which bill."""

    account: str | None
    """None: all."""
    start: datetime
    end: datetime
    """The month's beginning, and the next one's."""
    now: datetime


@dataclass
class _Sum:
    seconds: int = 0
    prepaid: int = 0


_Line = tuple[str, str, str, Price | None, bool]
"""Service, pool, flavor, price, and whether it was dedicated."""


def bill(engine: Engine, question: BillQuestion) -> Bill:
    """The bill of a month, or of its part until now."""
    start, end = int(question.start.timestamp()), int(question.end.timestamp())
    lines = _lines(engine, question.account, start, end)
    over = question.now >= question.end
    return Bill(
        month=question.start.strftime(MONTH),
        account=question.account,
        until=written(min(question.now, question.end)),
        final=over and not intervals.unsettled(engine, question.account, end),
        lines=lines,
        totals=totals(lines),
        notifications=_notifications(engine, question.account, start, end),
        tokens=_tokens(engine, question.account, start, end),
    )


def costs(engine: Engine, grown: Sequence[Grown]) -> list[tuple[Grown, Mapping[str, Fraction]]]:
    """What instances have cost while they grew, by currency, before packages."""
    if not grown:
        return []
    tariffs = _by_pool(intervals.tariffs(engine, {each.interval.pool for each in grown}))
    known: dict[tuple[str, str], list[prices.Piece]] = {}
    found: list[tuple[Grown, Mapping[str, Fraction]]] = []
    for each in grown:
        where = each.interval.pool, each.interval.flavor
        if where not in known:
            known[where] = prices.pieces(tariffs.get(where[0], ()), where[1])
        cost: dict[str, Fraction] = defaultdict(Fraction)
        for piece, start, end in _split(known[where], each.start, each.end):
            if piece.price and piece.costs:
                cost[piece.price.currency] += _cost(piece.price, end - start)
        found.append((each, cost))
    return found


def totals(lines: Iterable[BillLine]) -> list[BillTotal]:
    """The lines' amounts, as they stand in them, summed up by account and currency."""
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in lines:
        if line.amount is not None and line.currency is not None:
            sums[line.account, line.currency] += Decimal(line.amount)
    return [BillTotal(account=whose, currency=what, amount=str(total)) for (whose, what), total in sorted(sums.items())]


def rounded(amount: Fraction, currency: str) -> str:
    """To the currency's smallest unit, a half up."""
    places = MINOR_UNITS.get(currency, 2)
    units = (amount * 10**places + Fraction(1, 2)).__floor__()
    return str(Decimal(units).scaleb(-places))


def _lines(engine: Engine, account: str | None, start: int, end: int) -> list[BillLine]:
    """One account after the other: a ledger holds more than fits into memory."""
    tariffs = _by_pool(intervals.tariffs(engine))
    accounts = intervals.accounts(engine, start, end) if account is None else [account]
    return [line for each in accounts for line in _of_account(engine, tariffs, each, start, end)]


def _of_account(
    engine: Engine, tariffs: Mapping[str, Sequence[Tariff]], account: str, start: int, end: int
) -> Iterator[BillLine]:
    month = _by_flavor(intervals.intervals(engine, account, start, end))
    packages = {where: prices.windows(tariffs.get(where[0], ()), account, where[1]) for where in month}
    first = min((each.start for found in packages.values() for each in found), default=start)
    all_ = _by_flavor(intervals.intervals(engine, account, first, end)) if first < start else month
    sums: dict[_Line, _Sum] = defaultdict(_Sum)
    for where, usable in packages.items():
        pieces = prices.pieces(tariffs.get(where[0], ()), where[1])
        covered = prices.coverage(all_[where], usable, pieces)
        for each in sorted(month[where], key=lambda each: (each.start, each.uid)):
            whole = max(each.start, start), min(prices.until(each), end)
            for piece, begun, over in _split(pieces, *whole):
                sum_ = sums[each.service, each.pool, each.flavor, piece.price, piece.dedicated]
                sum_.seconds += over - begun
                sum_.prepaid += covered.of(each.uid, begun, over)
    for what, sum_ in sorted(sums.items(), key=lambda item: item[0][:3]):
        yield _line(account, what, sum_)


def _by_flavor(found: Iterable[Interval]) -> dict[tuple[str, str], list[Interval]]:
    """By pool and flavor: what a package of an account is for."""
    by_flavor: dict[tuple[str, str], list[Interval]] = defaultdict(list)
    for each in found:
        by_flavor[each.pool, each.flavor].append(each)
    return by_flavor


def _split(pieces: Sequence[prices.Piece], start: int, end: int) -> Iterator[tuple[prices.Piece, int, int]]:
    """A time, by what it cost."""
    for piece in pieces:
        first, last = max(start, piece.start), min(end, piece.end)
        if first < last:
            yield piece, first, last


def _line(account: str, what: _Line, sum_: _Sum) -> BillLine:
    service, pool, flavor, price, dedicated = what
    facts = {"account": account, "service": service, "pool": pool, "flavor": flavor, "dedicated": dedicated}
    facts |= {"seconds": sum_.seconds, "prepaid_seconds": sum_.prepaid}
    if price is None:
        return BillLine(**facts)
    seconds = 0 if dedicated else sum_.seconds - sum_.prepaid
    amount = rounded(_cost(price, seconds), price.currency)
    return BillLine(**facts, price=price.per_hour, currency=price.currency, amount=amount)


def _cost(price: Price, seconds: int) -> Fraction:
    return Fraction(price.per_hour) * seconds / prices.HOUR


def _by_pool(tariffs: Iterable[Tariff]) -> dict[str, list[Tariff]]:
    found: dict[str, list[Tariff]] = defaultdict(list)
    for each in tariffs:
        found[each.pool].append(each)
    return {pool: prices.in_order(listed) for pool, listed in found.items()}


def _notifications(engine: Engine, account: str | None, start: int, end: int) -> list[BillMessages]:
    columns = (Notification.account, Notification.topic, Notification.channel)
    query = select(*columns, func.count().label("messages")).group_by(*columns).order_by(*columns)
    query = query.where(Notification.time >= start, Notification.time < end)
    if account is not None:
        query = query.where(Notification.account == account)
    with reading(engine) as connection:
        return [BillMessages.model_validate(dict(row)) for row in connection.execute(query).mappings()]


def _tokens(engine: Engine, account: str | None, start: int, end: int) -> list[BillTokens]:
    asked = book.Question(account=account, start=start, end=end, by=("account", "service"))
    names = tuple(BillTokens.model_fields)
    return [
        BillTokens.model_validate({name: row[name] for name in names})
        for part in book.ask(engine, asked)
        for row in part
    ]
