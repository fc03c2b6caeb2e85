"""What Prometheus can ask: named after its conventions (prometheus.io/docs/practices/naming), and documented."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from maas_operator import metrics, serve
from maas_operator.api.billing import Interval
from maas_operator.api.usage import DURATION_BOUNDS, FIRST_TOKEN_BOUNDS, Batch, Latencies, UsageRow
from maas_operator.gateway import counters
from maas_operator.gateway.facts import Facts
from maas_operator.gateway.shipping import counters as shipping
from maas_operator.ledger.meters import Meters

OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"
HOMES = (metrics, serve, counters, shipping)
TAKEN = {"job", "instance", "le", "quantile", "pod", "namespace", "container", "endpoint"}
"""Labels that Prometheus, or its operator, puts on every series."""
NOT_BASE = re.compile(r"_(ms|milliseconds|minutes|kib|mib|kb|mb|percent)(_|$)")


def counted() -> Meters:
    """A ledger's, after a batch."""
    row = UsageRow(
        account="team-a",
        key="ci",
        service="team-a/chat",
        model="tiny",
        version="1k",
        minute=60,
        requests=3,
        answered=2,
        failures=1,
        prompt_tokens=14,
        completion_tokens=6,
        first_tokens=1,
        first_token_ms=40,
        duration_ms=900,
    )
    times = Latencies(
        service="team-a/chat",
        first_token=[1, *[0] * len(FIRST_TOKEN_BOUNDS)],
        first_token_ms=40,
        duration=[*[0] * len(DURATION_BOUNDS), 2],
        duration_ms=700_000,
    )
    made = Meters()
    made.batches.labels("counted").inc()
    ran: dict[str, Any] = {
        "account": "team-a",
        "service": "team-a/chat",
        "pool": "gold",
        "flavor": "one",
        "start": 0,
        "seen": 60,
    }
    made.ran(Interval(uid="u", **ran), 60, {"EUR": Fraction(1, 6)})
    made.count(Batch(origin="pod", log="log", start=0, end=9, rows=[row], latencies=[times]))
    return made


def shown() -> dict[str, Metric]:
    """All of ours by name, as Prometheus' own parser reads them; a counter's name is without its _total."""
    counters.show(Facts())
    counters.CONTENT_CONTROL.labels("input", "allowed")
    counters.HELD.labels("go")
    counters.WAKES.labels("asked")
    for each in (metrics.ERRORS.labels("k", "r"), metrics.WRITES.labels("k", "v")):
        each.inc(0)
    metrics.RECONCILE_SECONDS.labels("k")
    metrics.NOTIFICATIONS.labels("delivered").inc(0)
    metrics.SERVICES.labels("Running").set(0)
    metrics.PERMISSION_MISSING.labels("g", "r", "v").set(0)
    metrics.LAST_RESYNC.labels("k").set(0)
    for each in (metrics.MEASURE_FAILURES, metrics.TASK_FAILURES, metrics.BILLING_LEFT_OUT):
        each.labels("w").inc(0)
    pools = metrics.PoolInstances()
    pools.note("a", [{"name": "one", "capacity": 4, "used": 1, "free": 3, "waiting": 2}])
    texts = [generate_latest(REGISTRY).decode(), generate_latest(counted().registry).decode()]
    pools.forget("a")
    found = [each for text in texts for each in text_string_to_metric_families(text)]
    return {each.name: each for each in found if each.name.startswith("maas_")}


SHOWN = shown()


@pytest.mark.parametrize("name", SHOWN)
def test_metrics_keep_to_prometheus_conventions(name: str) -> None:
    family = SHOWN[name]
    assert re.fullmatch(r"maas_[a-z]+(_[a-z]+)*", name)
    assert family.documentation
    assert not NOT_BASE.search(name), "not in base units"
    assert family.type in {"counter", "gauge", "histogram"}
    names = {each.name for each in family.samples}
    if family.type == "counter":
        assert names == {f"{name}_total"}
    if family.type == "histogram":
        assert name.endswith("_seconds")
        assert names == {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    assert not TAKEN & ({label for each in family.samples for label in each.labels} - {"le"})


def test_a_pool_or_flavor_that_goes_takes_its_series_with_it() -> None:
    def series() -> dict[tuple[str, ...], float]:
        samples = next(iter(metrics.POOL_INSTANCES.collect())).samples
        return {(each.labels["pool"], each.labels["flavor"], each.labels["state"]): each.value for each in samples}

    def row(name: str) -> dict[str, object]:
        return {"name": name, "capacity": 4, "used": 1, "free": 3, "waiting": 2}

    pools = metrics.PoolInstances()
    pools.note("a", [row("one"), row("two")])
    pools.note("b", [row("one")])
    assert series()["a", "one", "waiting"] == 2
    pools.note("a", [row("two")])
    assert {each[:2] for each in series()} == {("a", "two"), ("b", "one")}
    pools.forget("a")
    pools.forget("never-there")
    assert {each[0] for each in series()} == {"b"}
    pools.clear()
    assert series() == {}


def test_every_metric_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| (maas_[a-z_]+)", OPERATING.read_text(), re.MULTILINE)
    exposed = [f"{name}_total" if family.type == "counter" else name for name, family in SHOWN.items()]
    assert sorted(rows) == sorted(exposed)


def test_tokens_and_times_are_counted_by_service() -> None:
    samples = {
        (each.name, *sorted(each.labels.values())): each.value
        for name in ("maas_usage_tokens", "maas_time_to_first_token_seconds", "maas_request_duration_seconds")
        for each in SHOWN[name].samples
    }
    assert samples["maas_usage_tokens_total", "prompt", "team-a", "team-a/chat"] == 14
    assert samples["maas_usage_tokens_total", "completion", "team-a", "team-a/chat"] == 6
    assert samples["maas_time_to_first_token_seconds_bucket", str(FIRST_TOKEN_BOUNDS[0]), "team-a/chat"] == 1
    assert samples["maas_time_to_first_token_seconds_sum", "team-a/chat"] == 0.04
    assert samples["maas_request_duration_seconds_bucket", str(DURATION_BOUNDS[-1]), "team-a/chat"] == 0
    assert samples["maas_request_duration_seconds_count", "team-a/chat"] == 2
