"""kubectl maas list, get, start, stop, scale, qps, upgrade, delete: a service's life by the rules of M13 to M15."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from maas_operator.api.actions import Action
from maas_operator.api.kinds import MODEL, MODEL_SERVICE
from maas_operator.cli import changes, held_up, tables, telling
from maas_operator.cli.changes import Manifest, Patch
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.confirming import confirm
from maas_operator.cli.errors import CliError
from maas_operator.cli.options import on_a_cluster, shown_in_a_form

COLUMNS = ("name", "model", "version", "pool", "flavor", "ready", "qps", "phase", "created")
TRIES = 5
"""How often a change is made anew because the service changed meanwhile."""


@click.command("list")
@click.option("-A", "--all-accounts", is_flag=True, help="The services of all accounts.")
@shown_in_a_form
@on_a_cluster
def list_(cluster: Cluster, all_accounts: bool, form: tables.Form) -> None:
    """The account's services."""
    found = cluster.objects(MODEL_SERVICE, everywhere=all_accounts)
    held_up.say(MODEL_SERVICE, found)
    if not all_accounts:
        telling.say(cluster)
    rows = sorted((row(each) for each in found), key=lambda each: (str(each["account"]), str(each["name"])))
    click.echo(tables.render(("account", *COLUMNS) if all_accounts else COLUMNS, rows, form), nl=False)


@click.command()
@click.argument("name")
@on_a_cluster
def get(cluster: Cluster, name: str) -> None:
    """A service: what it is, how it is, why, and what can be done with it now."""
    service = cluster.object(MODEL_SERVICE, name)
    held_up.say(MODEL_SERVICE, [service])
    click.echo(changes.described(service), nl=False)


@click.command()
@click.argument("name")
@click.option("--instances", type=click.IntRange(1), help="How many; needed where the service was scaled to none.")
@on_a_cluster
def start(cluster: Cluster, name: str, instances: int | None) -> None:
    """Start a service that is Stopped, Failed or asleep."""
    now = datetime.now(UTC)
    _change(cluster, name, Action.START, lambda service: changes.start(service, instances, now))
    click.echo(f"service {name} is being started", err=True)


@click.command()
@click.argument("name")
@on_a_cluster
def stop(cluster: Cluster, name: str) -> None:
    """Stop a service: its instances finish what they have and go; everything else stays."""
    _change(cluster, name, Action.STOP, changes.stop)
    click.echo(f"service {name} is being stopped", err=True)


@click.command()
@click.argument("name")
@click.argument("instances", type=click.IntRange(1), required=False)
@click.option("--min", "least", type=click.IntRange(0), help="At least so many, where the operator decides.")
@click.option("--max", "most", type=click.IntRange(1), help="At most so many, where the operator decides.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_a_cluster
def scale(cluster: Cluster, name: str, instances: int | None, least: int | None, most: int | None, yes: bool) -> None:
    """Change how many instances run; or, of a service with spec.scaling, between how many. Fewer: YES has to be
    typed."""

    def change(service: Manifest) -> Patch:
        patch = changes.scale(service, instances, least, most)
        if (less := changes.lowered(service, patch)) and not yes:
            confirm("YES", f"Service {name} will have {less}", f"{name} was not scaled")
        return patch

    _change(cluster, name, Action.SCALE, change)
    wanted = f"to {instances}" if instances is not None else "between its new bounds"
    click.echo(f"service {name} is being scaled {wanted}", err=True)


@click.command()
@click.argument("name")
@click.argument("qps", type=click.IntRange(1))
@on_a_cluster
def qps(cluster: Cluster, name: str, qps: int) -> None:
    """Change the requests a second that the gateway lets through. No instance is touched."""
    _change(cluster, name, Action.QPS, lambda _: {"spec": {"qps": qps}})
    click.echo(f"service {name} takes {qps} requests a second", err=True)


@click.command()
@click.argument("name")
@click.argument("version")
@on_a_cluster
def upgrade(cluster: Cluster, name: str, version: str) -> None:
    """Change to another version of the model. The service answers throughout; there is no way back but another
    upgrade."""
    catalogue = {each["metadata"]["name"]: each for each in cluster.objects(MODEL, everywhere=True)}
    _change(cluster, name, Action.UPGRADE, lambda service: changes.upgrade(service, version, catalogue))
    click.echo(f"service {name} is being upgraded to {version}", err=True)


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_a_cluster
def delete(cluster: Cluster, name: str, yes: bool) -> None:
    """Delete a service. It cannot be had back: DELETE has to be typed."""
    cluster.object(MODEL_SERVICE, name)
    if not yes:
        asked = f"Service {name} of account {cluster.account} will be gone for good"
        confirm("DELETE", asked, f"service {name} was not deleted")
    cluster.delete(MODEL_SERVICE, name)
    click.echo(f"service {name} of account {cluster.account} deleted", err=True)


def row(service: Manifest) -> tables.Row:
    """What a list shows of a ModelService."""
    spec, status, metadata = service["spec"], service.get("status", {}), service["metadata"]
    return {
        "account": metadata["namespace"],
        "name": metadata["name"],
        "model": spec["model"]["name"],
        "version": status.get("model", {}).get("version"),
        "pool": spec["resourcePool"],
        "flavor": spec["flavor"],
        "ready": status.get("instances", {}).get("summary"),
        "qps": spec.get("qps"),
        "phase": status.get("phase"),
        "created": metadata["creationTimestamp"],
    }


def _change(cluster: Cluster, name: str, action: Action, change: Callable[[Manifest], Patch]) -> None:
    """Make a change where it fits the state in which the service is at that moment."""
    for tried in range(TRIES):
        service = cluster.object(MODEL_SERVICE, name)
        if not tried:
            held_up.say(MODEL_SERVICE, [service])
        changes.check(service, action)
        patch: dict[str, Any] = {"metadata": {}} | change(service)
        patch["metadata"]["resourceVersion"] = service["metadata"]["resourceVersion"]
        if cluster.patch(MODEL_SERVICE, name, patch):
            return
    raise CliError(f"service {name} changes all the time: nothing was done; try again")
