"""What Prometheus can ask of the agent, beside the shipper's counters. Names and labels are an interface: changing one
breaks dashboards."""

from collections import Counter as Count

from prometheus_client import Counter, Gauge, Histogram

from maas_operator.gateway.access_log import Line
from maas_operator.gateway.facts import Facts, Reach

KEYS = Gauge("maas_gateway_keys", "Keys that are let through")
SERVICES = Gauge("maas_gateway_services", "ModelServices, by whether they can be called", ["reach"])
WITHOUT_INSTANCES = Gauge(
    "maas_gateway_services_without_instances", "Those that can be called, and have no instance now"
)
REPLICAS = Gauge("maas_gateway_replicas", "Ready replicas of the gateway, over which limits are shared out")
LEFT_OUT = Gauge("maas_gateway_objects_left_out", "Objects that cannot be read, and are left out")
OVER_LIMIT = Gauge("maas_gateway_over_token_limit", "Keys and services that are past their tokens a minute")
PUBLISH_SECONDS = Histogram(
    "maas_gateway_publish_seconds",
    "Seconds that it took to make Envoy's files and write them",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
PUBLISHED_AT = Gauge("maas_gateway_published_timestamp_seconds", "When Envoy's files last were as the cluster says")
PUBLISH_FAILURES = Counter("maas_gateway_publish_failures", "Attempts to write Envoy's files that failed")
SHARED = Gauge(
    "maas_gateway_limits_shared", "1 while limits are counted in the store, 0 while each replica counts for itself"
)
HELD_NOW = Gauge("maas_gateway_held_requests", "Requests that are held now, until an instance is there")
KEPT_ALIVE = Gauge(
    "maas_gateway_keep_alive_streams",
    "Streams that pass through the agent now, since their clients wanted comments while they were held",
)
HELD = Counter(
    "maas_gateway_held",
    "Requests that asked to be held, by how that ended: go (on), full, late, hung-up, stopped, frozen, gone (its "
    "service), again (asked of the next agent)",
    ["outcome"],
)
HUNG_UP = "hung-up"
HELD_SECONDS = Histogram(
    "maas_gateway_held_seconds",
    "Seconds that a request was held",
    buckets=(0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1200, 3600),
)
WAKES = Counter("maas_gateway_wakes", "Wishes that a service be woken, by outcome: asked, failed", ["outcome"])
CONTENT_CONTROL = Counter(
    "maas_gateway_content_control",
    "Times that content control was asked, by stage (input, output) and outcome (allowed, refused, failed)",
    ["stage", "outcome"],
)


def count(line: Line) -> None:
    """A request has ended."""
    for stage, outcome in (("input", line.input_control), ("output", line.output_control)):
        if outcome:
            CONTENT_CONTROL.labels(stage, outcome).inc()


def show(facts: Facts) -> None:
    """These are the facts now."""
    KEYS.set(len(facts.keys))
    reaches = Count(service.reach for service in facts.services)
    for reach in Reach:
        SERVICES.labels(reach.value).set(reaches[reach])
    waiting = (service for service in facts.services if service.reach == Reach.OPEN and not service.endpoints)
    WITHOUT_INSTANCES.set(sum(1 for _ in waiting))
    REPLICAS.set(len(facts.replicas))
    LEFT_OUT.set(len(facts.unreadable))
    OVER_LIMIT.set(len(facts.over_limit))
