"""kubectl maas topic."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from maas_operator.api.kinds import NOTIFICATION_TOPIC
from maas_operator.api.names import ANNOTATION_TEST
from maas_operator.cli import held_up, tables
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.errors import CliError
from maas_operator.cli.options import on_a_cluster, shown_in_a_form

COLUMNS = ("topic", "channel", "kind", "deliveries", "failures", "lastDelivery", "lastError")
TEST_SECONDS = 60.0
"""How long a test is waited for: an attempt takes half of it at most."""
LOOK_SECONDS = 0.5


@click.group()
def topic() -> None:
    """Whom to tell of what happens to services."""


@topic.command("list")
@shown_in_a_form
@on_a_cluster
def list_(cluster: Cluster, form: tables.Form) -> None:
    """The account's topics: a line for each channel, with what became of its messages."""
    topics = sorted(cluster.objects(NOTIFICATION_TOPIC), key=lambda each: str(each["metadata"]["name"]))
    held_up.say(NOTIFICATION_TOPIC, topics)
    click.echo(tables.render(COLUMNS, [row for each in topics for row in rows(each)], form), nl=False)


@topic.command()
@click.argument("name")
@on_a_cluster
def test(cluster: Cluster, name: str) -> None:
    """Send a test message on every channel of a topic, once, and say what became of each."""
    asked = datetime.now(UTC).isoformat()
    cluster.patch(NOTIFICATION_TOPIC, name, {"metadata": {"annotations": {ANNOTATION_TEST: asked}}})
    results = _results(cluster, name, asked)
    for each in results:
        click.echo(outcome(each))
    if failed := [each["name"] for each in results if not each["delivered"]]:
        raise CliError(f"topic {name}: no message went through {', '.join(failed)}")


def rows(manifest: dict[str, Any]) -> Iterator[tables.Row]:
    """A line for each channel of a topic."""
    statuses = {each["name"]: each for each in manifest.get("status", {}).get("channelStatuses", ())}
    for channel in manifest["spec"]["channels"]:
        told = statuses.get(channel["name"], {})
        yield {
            "topic": manifest["metadata"]["name"],
            "channel": channel["name"],
            "kind": "webhook" if "webhook" in channel else "apprise",
            "deliveries": told.get("deliveries", 0),
            "failures": told.get("failures", 0),
            "lastDelivery": told.get("lastDelivery"),
            "lastError": told.get("lastError"),
        }


def outcome(result: dict[str, Any]) -> str:
    """What became of a test message on a channel."""
    said = "delivered" if result["delivered"] else f"failed: {result.get('error')}"
    return tables.shown(f"{result['name']}: {said}")


def _results(cluster: Cluster, name: str, asked: str) -> list[dict[str, Any]]:
    deadline = time.monotonic() + TEST_SECONDS
    while time.monotonic() < deadline:
        found = cluster.object(NOTIFICATION_TOPIC, name).get("status", {}).get("test", {})
        if found.get("requestedAt") == asked:
            return list(found.get("results", ()))
        time.sleep(LOOK_SECONDS)
    raise CliError(
        f"the operator did not test topic {name} within {TEST_SECONDS:g} s: is it running, and does it see the topic? "
        "(kubectl get pods -n maas-system)"
    )
