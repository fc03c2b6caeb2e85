"""What Prometheus can ask. Names and labels are an interface: changing one breaks dashboards."""

from collections.abc import Hashable

from prometheus_client import Counter, Gauge, Histogram

QUEUE_DEPTH = Gauge("maas_operator_queue_depth", "Objects that wait to be reconciled")
RECONCILE_SECONDS = Histogram(
    "maas_operator_reconcile_seconds",
    "Seconds that a reconcile took",
    ["kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ERRORS = Counter("maas_operator_errors_total", "Reconciles that failed, by what they failed of", ["kind", "reason"])
WRITES = Counter("maas_operator_writes_total", "Writes to the API server", ["kind", "verb"])
SERVICES = Gauge("maas_operator_services", "ModelServices, by phase", ["phase"])
IS_LEADER = Gauge("maas_operator_is_leader", "1 while this replica acts")
PERMISSION_MISSING = Gauge(
    "maas_operator_permission_missing", "1 for what the operator needs and may not do", ["group", "resource", "verb"]
)
LAST_RESYNC = Gauge("maas_operator_last_resync_timestamp_seconds", "When all was last compared", ["kind"])


class Phases:
    """Which service is in which phase, for the gauge."""

    def __init__(self) -> None:
        self._known: dict[Hashable, str] = {}

    def note(self, service: Hashable, phase: str | None) -> None:
        """A service is in this phase now; None for what has no phase."""
        before = self._known.get(service)
        if before == phase:
            return
        self.forget(service)
        if phase is not None:
            self._known[service] = phase
            SERVICES.labels(phase).inc()

    def forget(self, service: Hashable) -> None:
        """A service is no longer there."""
        before = self._known.pop(service, None)
        if before is not None:
            SERVICES.labels(before).dec()

    def clear(self) -> None:
        """Nothing is known any more."""
        for service in list(self._known):
            self.forget(service)
