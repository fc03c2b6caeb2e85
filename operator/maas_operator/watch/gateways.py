"""What the gateway's replicas tell, taken together: requests a second, the last request, what is held. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from maas_operator.api.traffic import ServiceTraffic, Traffic

WINDOW = 60.0
"""Seconds over which requests a second are averaged."""
SHORTEST = 1.0
"""Seconds: nothing is averaged over less."""
CLOCK_STEP = 10.0
"""Seconds by which a clock has to be off what passed between two looks, to have been set."""
NOTHING = ServiceTraffic()
Services = Mapping[str, ServiceTraffic]


@dataclass(slots=True)
class _Replica:
    id: str
    samples: deque[tuple[float, Services]] = field(default_factory=deque)
    """What it told, the oldest first, WINDOW back: when, in seconds that only grow."""
    answered: bool = True
    """Whether it answered when it was asked last."""


class Gateways:
    """The replicas, by address. `at` is seconds since 1970, `now` seconds that only grow."""

    def __init__(self) -> None:
        self._replicas: dict[str, _Replica] = {}
        self._listed: frozenset[str] = frozenset()
        self._whole = False
        self._ever_whole = False
        self._since = 0.0
        self._at = 0.0
        self._now = 0.0

    def take(self, answers: Mapping[str, Traffic | None], listed: bool, at: float, now: float) -> None:
        """Note what each replica answered; None: it did not. listed: these are known to be all that there are. Else
        those that were known before are among them."""
        if gone := self._listed - answers.keys():  # what a replica counted after its last word is lost with it
            self._since = at
        if self._listed and abs((at - self._at) - (now - self._now)) > CLOCK_STEP:  # nor is that time without requests
            self._since = at
        self._replicas = {address: each for address, each in self._replicas.items() if address not in gone}
        for address, traffic in answers.items():
            if traffic is not None:
                self._take(address, traffic, at, now)
            elif address in self._replicas:
                self._replicas[address].answered = False
        self._listed = frozenset(answers)
        self._whole = listed and bool(answers) and None not in answers.values()
        self._ever_whole = self._ever_whole or self._whole
        self._at, self._now = at, now

    @property
    def since(self) -> float | None:
        """From when on all requests are known, seconds since 1970; None: not every replica answered."""
        return self._since if self._whole else None

    def per_second(self, service: str) -> float | None:
        """Requests a second of a service (by uid), over the last WINDOW; None while that is not known."""
        if not self._ever_whole:
            return None
        total = 0.0
        for replica in self._replicas.values():  # one that was never heard of is being started: it has no requests
            rate = _rate(replica.samples, service, self._now)
            if rate is None:
                return None
            total += rate
        return total

    def held(self, service: str) -> int | None:
        """Requests of a service that are held; None: not every replica answered."""
        return sum(each.held for each in self._told(service)) if self._whole else None

    def last_request(self, service: str) -> float | None:
        """When its last request came, seconds since 1970: as the replicas that are there know."""
        last = [_of(each, service).last_request for each in self._replicas.values()]
        return max((each for each in last if each is not None), default=None)

    def under_way(self, service: str) -> dict[str, int]:
        """Its requests that have been under way for a while, by ADDRESS:PORT of the instance."""
        return _sum(each.under_way for each in self._told(service))

    def unanswered(self, service: str) -> dict[str, int]:
        """Those among them of whose answer nothing has come."""
        return _sum(each.unanswered for each in self._told(service))

    def _told(self, service: str) -> Iterable[ServiceTraffic]:
        """What those told that answered."""
        return (_of(each, service) for each in self._replicas.values() if each.answered)

    def _take(self, address: str, traffic: Traffic, at: float, now: float) -> None:
        replica = self._replicas.get(address)
        if replica is None or replica.id != traffic.replica:
            begins_now = replica is not None or self._ever_whole
            if replica is not None or not self._ever_whole:
                self._since = max(self._since, traffic.since)  # what an agent before this one counted last is lost
            replica = self._replicas[address] = _Replica(traffic.replica)
            if begins_now:
                replica.samples.append((now - max(at - traffic.since, 0.0), {}))
        replica.answered = True
        replica.samples.append((now, traffic.services))
        while len(replica.samples) > 2 and replica.samples[1][0] <= now - WINDOW:
            replica.samples.popleft()


def _of(replica: _Replica, service: str) -> ServiceTraffic:
    return replica.samples[-1][1].get(service, NOTHING)


def _rate(samples: deque[tuple[float, Services]], service: str, now: float) -> float | None:
    (first, before), (last, after) = samples[0], samples[-1]
    if len(samples) < 2 or last < now - WINDOW:
        return None
    came = after.get(service, NOTHING).requests - before.get(service, NOTHING).requests
    return max(came, 0) / max(last - first, SHORTEST)


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for instance, count in each.items():
            total[instance] = total.get(instance, 0) + count
    return total
