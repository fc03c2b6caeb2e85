"""Tokens a minute: charged when an answer ends, and held against the key or the service until made up for.

Each key and each service with a limit has a balance, which grows by the limit's share of each second and never above
one second's worth. An answer's tokens are taken off it, and while it is below zero requests are refused: over a longer
time no more than the limit is let through. Beyond it go only the answers that were under way, and those that begin
within the moments (0.5 s or so) that a line of the log, this and Envoy need; they are made up for. With several
replicas of the gateway each gives out its even share.

Where a store counts for all replicas, this is a net below it: each replica holds the whole limit, and a balance may
grow to a minute's worth, so that nothing is held here that the store lets through. It holds while the store is away,
and against who keeps running over the store's minutes. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from maas_operator.gateway.access_log import Line
from maas_operator.gateway.facts import Facts

MINUTE = 60.0


@dataclass
class _Balance:
    tokens: float
    at: float


class Minutes:
    """The balances of keys (ACCOUNT/NAME) and services (ids) that have a limit. Times are seconds that only grow."""

    def __init__(self) -> None:
        self._limits: Mapping[str, int] = {}
        self._share = 1.0
        self._seconds = 1.0
        """How many seconds' worth a balance may grow to."""
        self._balances: dict[str, _Balance] = {}

    def limit(self, facts: Facts) -> None:
        """Hold to the limits that these facts name. A limit that changes keeps its balance."""
        of_keys = {key.path: limit for key in facts.keys if (limit := key.limits.tokens_per_minute)}
        of_services = {each.id: limit for each in facts.services if (limit := each.limits.tokens_per_minute)}
        self._limits = of_keys | of_services
        self._share = 1 / max(1, len(facts.replicas)) if not facts.shared else 1.0
        self._seconds = MINUTE if facts.shared else 1.0
        self._balances = {who: balance for who, balance in self._balances.items() if who in self._limits}

    def charge(self, line: Line, now: float) -> None:
        """Take an answer's tokens off the balances of its key and its service."""
        tokens = line.total_tokens
        for who in (f"{line.account}/{line.key}", line.service_id or ""):
            if tokens and who in self._limits:
                self._settle(who, now).tokens -= tokens

    def over(self, now: float) -> frozenset[str]:
        """Whose balance is below zero."""
        return frozenset(who for who in list(self._balances) if self._settle(who, now).tokens < 0)

    def _rate(self, who: str) -> float:
        return self._limits[who] * self._share / MINUTE

    def _settle(self, who: str, now: float) -> _Balance:
        rate = self._rate(who)
        most = rate * self._seconds
        balance = self._balances.setdefault(who, _Balance(most, now))
        balance.tokens = min(balance.tokens + (now - balance.at) * rate, most)
        balance.at = now
        return balance
