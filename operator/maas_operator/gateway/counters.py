"""What Prometheus can ask of the agent about what Envoy did. Names and labels are an interface: changing one breaks
dashboards."""

from prometheus_client import Counter

from maas_operator.gateway.access_log import Line

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
