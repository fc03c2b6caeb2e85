"""What Prometheus can ask. Names and labels are an interface: changing one breaks dashboards."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

QUEUE_DEPTH = Gauge("maas_operator_queue_depth", "Objects that wait to be reconciled")
RECONCILE_SECONDS = Histogram(
    "maas_operator_reconcile_seconds",
    "Seconds that a reconcile took",
    ["kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ERRORS = Counter("maas_operator_errors_total", "Reconciles that failed, by what they failed of", ["kind", "reason"])
TASK_FAILURES = Counter(
    "maas_operator_task_failures_total",
    "Times that one of the process's own tasks failed of something unforeseen, and was tried again",
    ["task"],
)
WRITES = Counter("maas_operator_writes_total", "Writes to the API server", ["kind", "verb"])
SERVICES = Gauge("maas_operator_services", "ModelServices, by phase", ["phase"])
IS_LEADER = Gauge("maas_operator_is_leader", "1 while this replica acts")
PERMISSION_MISSING = Gauge(
    "maas_operator_permission_missing", "1 for what this process needs and may not do", ["group", "resource", "verb"]
)
MEASURED_AT = Gauge(
    "maas_operator_measured_timestamp_seconds", "When the gateways and the engines were asked last how they are"
)
MEASURE_FAILURES = Counter(
    "maas_operator_measure_failures", "Questions to gateways and engines that had no answer to go by", ["what"]
)
LAST_RESYNC = Gauge("maas_operator_last_resync_timestamp_seconds", "When all was last compared", ["kind"])
HISTORY_SENT = Counter("maas_operator_history_sent_total", "Events that the ledger took")
HISTORY_FAILURES = Counter("maas_operator_history_failures_total", "Batches that the ledger did not take")
HISTORY_DROPPED = Counter(
    "maas_operator_history_dropped_total",
    "Events that were dropped, the ledger having been away too long or unable to read them",
)
BILLING_TOLD_AT = Gauge(
    "maas_operator_billing_told_timestamp_seconds", "When the ledger last took how long each instance has run"
)
BILLING_FAILURES = Counter("maas_operator_billing_failures_total", "Times that the ledger did not take it")
BILLING_WAITING = Gauge(
    "maas_operator_billing_waiting", "Instances that have ended, which the ledger does not know yet"
)
BILLING_DROPPED = Counter(
    "maas_operator_billing_dropped_total",
    "Of those, how many were dropped, the ledger having been away too long or unable to read them",
)
BILLING_LEFT_OUT = Counter(
    "maas_operator_billing_left_out_total",
    "Pods, pools, and what is said of them to or by the ledger, that cannot be billed as they are and are left out",
    ["what"],
)
NOTIFICATIONS = Counter(
    "maas_operator_notifications_total",
    "Attempts to notify, by how they went: delivered, failed, given up",
    ["outcome"],
)
NOTIFICATIONS_PENDING = Gauge("maas_operator_notifications_pending", "Notifications that are not delivered yet")

POOL_INSTANCES = Gauge(
    "maas_pool_instances",
    "Instances of a flavor in a pool: those that its nodes could hold (capacity), that have a node (used), that would "
    "find room now (free), and that wait (waiting)",
    ["pool", "flavor", "state"],
)


class PoolInstances:
    """The figures of the pools, for the gauge. A pool or flavor that goes takes its series with it."""

    STATES = ("capacity", "used", "free", "waiting")

    def __init__(self) -> None:
        self._known: dict[str, frozenset[str]] = {}
        """The flavors of each pool."""

    def note(self, pool: str, flavors: Iterable[Mapping[str, Any]]) -> None:
        """These are a pool's figures now: as status.flavors has them."""
        rows = {row["name"]: row for row in flavors}
        self._remove(pool, self._known.get(pool, frozenset()) - rows.keys())
        self._known[pool] = frozenset(rows)
        for name, row in rows.items():
            for state in self.STATES:
                POOL_INSTANCES.labels(pool, name, state).set(row[state])

    def forget(self, pool: str) -> None:
        """A pool is no longer there."""
        self._remove(pool, self._known.pop(pool, frozenset()))

    def clear(self) -> None:
        """Nothing is known any more."""
        for pool in list(self._known):
            self.forget(pool)

    def _remove(self, pool: str, flavors: Iterable[str]) -> None:
        for name in flavors:
            for state in self.STATES:
                POOL_INSTANCES.remove(pool, name, state)


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
