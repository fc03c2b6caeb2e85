"""What an hour cost when, and which hours were paid for in advance. Pure.

Times are whole seconds since 1970, hours of instances are counted in instance-seconds: all sums are exact.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from itertools import accumulate, pairwise

from maas_operator.api.billing import Interval, Package, Tariff
from maas_operator.api.resourcepool import Price

FOREVER = 2**41
"""Behind all times."""
HOUR = 3600


@dataclass(frozen=True)
class Piece:
    """A time in which a flavor's price was the same."""

    start: int
    end: int
    price: Price | None
    dedicated: bool

    @property
    def costs(self) -> bool:
        """Whether there is anything to pay: only then do packages get used up."""
        return not self.dedicated and self.price is not None and Fraction(self.price.per_hour) > 0


@dataclass(frozen=True)
class Window:
    """A time in which a package's hours can be used up."""

    package: Package
    start: int
    end: int


@dataclass
class Coverage:
    """Which times of the instances of an account in a flavor packages have paid for."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    """Whole times of all of them, in order."""
    seconds: dict[str, list[int]] = field(default_factory=dict)
    """By uid: single seconds of one of them, where the last of the hours did not go round."""
    _before: list[int] = field(default_factory=list)

    def of(self, uid: str, start: int, end: int) -> int:
        """How many of an instance's seconds between these times, all of which it ran; 0 where they are none."""
        if end <= start:
            return 0
        return self._until(end) - self._until(start) + sum(start <= at < end for at in self.seconds.get(uid, ()))

    def _until(self, time: int) -> int:
        if len(self._before) <= len(self.ranges):
            self._before = list(accumulate((end - start for start, end in self.ranges), initial=0))
        index = bisect_right(self.ranges, (time, FOREVER))
        if not index:
            return 0
        start, end = self.ranges[index - 1]
        return self._before[index - 1] + min(end, time) - start


def in_order(tariffs: Iterable[Tariff]) -> list[Tariff]:
    """A pool's tariffs as they followed each other. Of one object the generations say so: the clocks of two API servers
    may differ."""
    objects: dict[str, list[Tariff]] = defaultdict(list)
    for each in sorted(tariffs, key=lambda each: each.generation):
        before = objects[each.uid]
        since = max(each.since, before[-1].since) if before else each.since
        before.append(each if since == each.since else each.model_copy(update={"since": since}))
    eldest_first = sorted(objects.values(), key=lambda found: found[0].since)
    return sorted((each for found in eldest_first for each in found), key=lambda each: each.since)


def pieces(tariffs: Sequence[Tariff], flavor: str) -> list[Piece]:
    """What a flavor cost at any time; the tariffs are in order.

    The first price that is known holds for all before it. A flavor that the pool has no more keeps its last.
    """
    found: list[Piece] = []
    for tariff in tariffs:
        if flavor not in tariff.flavors:
            continue
        price = next((each.price for each in tariff.prices if each.flavor == flavor), None)
        if not found:
            found.append(Piece(0, FOREVER, price, tariff.dedicated))
        elif (found[-1].price, found[-1].dedicated) != (price, tariff.dedicated):
            found[-1] = replace(found[-1], end=tariff.since)
            found.append(Piece(tariff.since, FOREVER, price, tariff.dedicated))
    return [piece for piece in found if piece.start < piece.end] or [Piece(0, FOREVER, None, False)]


def windows(tariffs: Sequence[Tariff], account: str, flavor: str) -> list[Window]:
    """When which package of an account could be used; the tariffs are in order.

    An edit counts from when it was made, so that it changes no bill of before. A package that is new counts from its
    own start, but from no earlier month than the one in which it was entered: that month's bill is not written yet.
    """
    found: dict[str, list[Window]] = {}
    names: set[str] = set()
    ends = [*(each.since for each in tariffs[1:]), FOREVER]
    for tariff, edited in zip(tariffs, ends, strict=False):
        for package in tariff.packages:
            since = tariff.since if package.name in names else month_of(tariff.since)
            if (package.account, package.flavor) == (account, flavor):
                start, end = max(since, package.start), min(edited, package.end or FOREVER)
                _extend(found.setdefault(package.name, []), Window(package, start, end))
        names |= {package.name for package in tariff.packages}
    return [each for listed in found.values() for each in listed]


def _extend(listed: list[Window], window: Window) -> None:
    if window.start >= window.end:
        return
    last = listed[-1] if listed else None
    if last and last.end == window.start and last.package == window.package:
        listed[-1] = replace(last, end=window.end)
    else:
        listed.append(window)


def coverage(intervals: Sequence[Interval], packages: Sequence[Window], prices: Sequence[Piece]) -> Coverage:
    """Use up packages in the order of time, while instances run that cost something: each second of each instance takes
    one of a package's. Of several packages the one that ends first is used first.

    intervals: all of the account in the flavor, since its first package could be used.
    """
    found, used = Coverage(), Counter[str]()
    if not packages:
        return found
    running = 0
    change: Counter[int] = Counter()
    for each in intervals:
        change[each.start] += 1
        change[until(each)] -= 1
    bounds = {time for window in packages for time in (window.start, window.end)} | {each.start for each in prices}
    for now, then in pairwise(sorted(bounds | change.keys())):
        running += change[now]
        usable = sorted((each for each in packages if each.start <= now < each.end), key=_first_to_end)
        left = sum(_left(each, used) for each in usable)
        if not running or not left or not _piece(prices, now).costs:
            continue
        whole = min(then - now, left // running)
        rest = left % running if whole < then - now else 0
        if whole:
            found.ranges.append((now, now + whole))
        if rest:
            there = sorted((each.start, each.uid) for each in intervals if each.start <= now < until(each))
            for _, uid in there[:rest]:
                found.seconds.setdefault(uid, []).append(now + whole)
        _use(usable, used, running * whole + rest)
    return found


def until(interval: Interval) -> int:
    """Until when an instance is billed."""
    return interval.seen if interval.end is None else interval.end


def month_of(time: int) -> int:
    """The beginning of the month (UTC) of a time."""
    moment = datetime.fromtimestamp(time, UTC)
    return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp())


def _piece(prices: Sequence[Piece], time: int) -> Piece:
    return prices[max(0, bisect_right([each.start for each in prices], time) - 1)]


def _first_to_end(window: Window) -> tuple[int, int, str]:
    package = window.package
    return package.end or FOREVER, package.start, package.name


def _left(window: Window, used: Mapping[str, int]) -> int:
    return max(0, window.package.hours * HOUR - used[window.package.name])


def _use(usable: Sequence[Window], used: Counter[str], seconds: int) -> None:
    for window in usable:
        taken = min(seconds, _left(window, used))
        used[window.package.name] += taken
        seconds -= taken
