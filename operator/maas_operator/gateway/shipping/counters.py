"""What Prometheus can ask of the shipper. Names are an interface: changing one breaks dashboards."""

from prometheus_client import Counter, Gauge

WAITING = Gauge("maas_gateway_usage_waiting_bytes", "Bytes of access log that the ledger has not acknowledged")
ACKNOWLEDGED_AT = Gauge("maas_gateway_usage_acknowledged_timestamp_seconds", "When all of the log was acknowledged")
LINES = Counter("maas_gateway_usage_lines", "Lines of access log that the ledger has counted")
BROKEN = Counter("maas_gateway_usage_broken_lines", "Pieces of access log that are no line: cut off by a crash")
DROPPED = Counter("maas_gateway_usage_dropped_bytes", "Bytes of access log given up: the ledger was away too long")
FAILURES = Counter("maas_gateway_usage_failures", "Attempts to reach the ledger that failed")
KILLED = Counter("maas_gateway_usage_killed_requests", "Requests under way when Envoy was killed")
