"""What Prometheus can ask of the ledger. Names and labels are an interface: changing one breaks dashboards."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from maas_operator.api.billing import Interval
from maas_operator.api.usage import DURATION_BOUNDS, FIRST_TOKEN_BOUNDS, Batch, Latencies


@dataclass
class _Histogram:
    """One service's histogram, added to by whole buckets (which prometheus_client's own cannot)."""

    counts: list[int]
    milliseconds: int = 0

    def add(self, counts: Sequence[int], milliseconds: int) -> None:
        self.counts = [before + more for before, more in zip(self.counts, counts, strict=True)]
        self.milliseconds += milliseconds


def _empty(bounds: Sequence[float]) -> _Histogram:
    return _Histogram([0] * (len(bounds) + 1))


@dataclass
class _Service:
    first_token: _Histogram = field(default_factory=lambda: _empty(FIRST_TOKEN_BOUNDS))
    duration: _Histogram = field(default_factory=lambda: _empty(DURATION_BOUNDS))


class LatencyCollector(Collector):
    """The histograms of all services."""

    def __init__(self) -> None:
        self._services: dict[str, _Service] = {}

    def add(self, latencies: Latencies) -> None:
        """Count what a batch says of one service."""
        service = self._services.setdefault(latencies.service, _Service())
        service.first_token.add(latencies.first_token, latencies.first_token_ms)
        service.duration.add(latencies.duration, latencies.duration_ms)

    def collect(self) -> Iterable[Metric]:
        """As prometheus_client asks for them."""
        first_token = HistogramMetricFamily(
            "maas_time_to_first_token_seconds", "From a stream's request to its first token", labels=["service"]
        )
        duration = HistogramMetricFamily(
            "maas_request_duration_seconds", "From a request to its answer's last byte", labels=["service"]
        )
        for name, service in list(self._services.items()):
            _show(first_token, name, FIRST_TOKEN_BOUNDS, service.first_token)
            _show(duration, name, DURATION_BOUNDS, service.duration)
        return (first_token, duration)


def _show(family: HistogramMetricFamily, service: str, bounds: Sequence[float], histogram: _Histogram) -> None:
    names = [*(str(bound) for bound in bounds), "+Inf"]
    buckets = list(zip(names, map(float, accumulate(histogram.counts)), strict=True))
    family.add_metric([service], buckets, histogram.milliseconds / 1000)


class Meters:
    """What was counted since this process began; several replicas are to be added up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tokens = Counter(
            "maas_usage_tokens",
            "Tokens, as the engines counted them",
            ["account", "service", "kind"],
            registry=self.registry,
        )
        self._requests = Counter(
            "maas_usage_requests", "Requests that came with a valid key", ["account", "service"], registry=self.registry
        )
        self._failures = Counter(
            "maas_usage_failures", "Those that were refused or failed", ["account", "service"], registry=self.registry
        )
        self.batches = Counter(
            "maas_ledger_batches", "Batches that came, by what became of them", ["outcome"], registry=self.registry
        )
        self._seconds = Counter(
            "maas_instance_seconds",
            "Seconds that instances held their nodes",
            ["account", "service", "pool", "flavor"],
            registry=self.registry,
        )
        self._cost = Counter(
            "maas_cost",
            "What they cost by the hour, before packages; dedicated pools cost nothing",
            ["account", "service", "pool", "flavor", "currency"],
            registry=self.registry,
        )
        self.events = Counter("maas_ledger_events", "Events that were new to the ledger", registry=self.registry)
        self._latencies = LatencyCollector()
        self.registry.register(self._latencies)

    def ran(self, interval: Interval, seconds: int, costs: Mapping[str, Fraction]) -> None:
        """An instance is known to have run so much longer; costs: by currency."""
        whose = (interval.account, interval.service, interval.pool, interval.flavor)
        self._seconds.labels(*whose).inc(seconds)
        for currency, cost in costs.items():
            self._cost.labels(*whose, currency).inc(float(cost))

    def count(self, batch: Batch) -> None:
        """Add a batch that was counted now."""
        for row in batch.rows:
            whose = (row.account, row.service)
            self._requests.labels(*whose).inc(row.requests)
            self._failures.labels(*whose).inc(row.failures)
            self._tokens.labels(*whose, "prompt").inc(row.prompt_tokens)
            self._tokens.labels(*whose, "completion").inc(row.completion_tokens)
        for latencies in batch.latencies:
            self._latencies.add(latencies)
