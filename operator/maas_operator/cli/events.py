"""kubectl maas events."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import click

from maas_operator.api.events import Happening
from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.api.times import written
from maas_operator.cli import moments, tables
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.errors import CliError
from maas_operator.cli.options import of_the_ledger, on_a_cluster, shown_in_a_form

COLUMNS = ("time", "type", "reason", "message")
Event = dict[str, str]


@click.command()
@click.argument("service")
@click.option("--since", default="7d", show_default=True, help="From when on: 24h, 30d, or 2027-01-31T12:00:00Z.")
@click.option("--until", help="Until when; the same forms.")
@of_the_ledger
@shown_in_a_form
@on_a_cluster
def events(
    cluster: Cluster, service: str, since: str, until: str | None, ledger_namespace: str, form: tables.Form
) -> None:
    """What happened to a service, in the last month at most; also to one that is deleted. Times are in UTC."""
    now = datetime.now(UTC)
    start = moments.before(since, now, "--since")
    end = moments.before(until, now, "--until") if until else None
    kept, ledger_refusal = _from_ledger(cluster, ledger_namespace, service, start, end)
    standing, service_refusal = _from_status(cluster, service)
    if service_refusal and not kept:
        raise service_refusal
    if ledger_refusal:
        note = "only the newest, from the service's status, since the ledger did not answer"
        click.echo(f"{note}: {ledger_refusal.message}", err=True)
    columns = ("id", *COLUMNS) if form == "json" else COLUMNS
    click.echo(tables.render(columns, within(merged(kept, standing), start, end), form), nl=False)


def merged(kept: Iterable[Event], standing: Iterable[Event]) -> list[Event]:
    """What the ledger has, and what it has not got yet; the oldest first. Of one second, those that stand in the status
    are in its order, in which they happened, and come last: it has the newest. A service's end comes after all."""
    newest = {event["id"]: event for event in standing}
    older = sorted((event for event in kept if event["id"] not in newest), key=lambda event: event["id"])
    return sorted((*older, *newest.values()), key=lambda event: (event["time"], event["reason"] == Happening.DELETED))


def within(found: Iterable[Event], start: datetime, end: datetime | None) -> list[Event]:
    """Those from `start` on, before `end`."""
    first, last = written(start), written(end) if end else "~"
    return [event for event in found if first <= event["time"] < last]


def _from_ledger(
    cluster: Cluster, namespace: str, service: str, start: datetime, end: datetime | None
) -> tuple[list[Event], CliError | None]:
    query = {"account": cluster.account, "service": f"{cluster.account}/{service}", "since": written(start)}
    query |= {"until": written(end)} if end else {}
    try:
        found = cluster.events(namespace, cluster.account, query)
    except CliError as error:
        return [], error
    return [_shown(each | {"time": written(datetime.fromtimestamp(each["time"], UTC))}) for each in found], None


def _from_status(cluster: Cluster, service: str) -> tuple[list[Event], CliError | None]:
    try:
        found = cluster.object(MODEL_SERVICE, service)
    except CliError as error:
        return [], error
    return [_shown(each) for each in found.get("status", {}).get("events", ())], None


def _shown(event: dict[str, Any]) -> Event:
    return {name: event[name] for name in ("id", *COLUMNS)}
