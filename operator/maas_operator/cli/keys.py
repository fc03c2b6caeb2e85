"""kubectl maas key."""

from datetime import UTC, datetime
from typing import Any

import click

from maas_operator.api.apikey import MAX_KEYS_PER_ACCOUNT, KeyKind
from maas_operator.api.keys import tag_taken, too_many_keys
from maas_operator.api.kinds import API_KEY
from maas_operator.cli import held_up, making, tables, telling
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.errors import CliError
from maas_operator.cli.options import on_a_cluster, shown_in_a_form
from maas_operator.keymaking import new_key

COLUMNS = ("tag", "description", "kind", "services", "limits", "expires", "accepted", "created")


@click.group()
def key() -> None:
    """The keys with which applications call."""


@key.command()
@click.argument("tag")
@click.option("--description", required=True, help="What the key is for, 1 to 100 characters.")
@click.option("--kind", type=click.Choice([each.value for each in KeyKind]), help="How it is shown to the gateway.")
@click.option(
    "--services", default="", help="The services that it may call: NAME,NAME. Left out: all of the account's."
)
@click.option(
    "--limits",
    multiple=True,
    help="What it may use: requestsPerMinute=600,tokensPerMinute=200000,tokenQuota=1000000; may be said again.",
)
@click.option("--expires", help="When it becomes invalid: 30d, or 2027-01-31T12:00:00Z. Left out: never.")
@on_a_cluster
def create(
    cluster: Cluster,
    tag: str,
    description: str,
    kind: str | None,
    services: str,
    limits: tuple[str, ...],
    expires: str | None,
) -> None:
    """Make a key, here, and show it once. The cluster gets its SHA-256 alone.

    The key goes to the standard output, all else to the standard error: KEY=$(kubectl maas key create ci ...).
    """
    secret = new_key()
    names = tuple(name.strip() for name in services.split(",") if name.strip())
    now = datetime.now(UTC)
    spec = making.spec_of(secret, tag, description, kind, names, making.limits_of(",".join(limits)), expires, now)
    _check_room(cluster, tag)
    name = making.name_of(tag)
    cluster.create(API_KEY, making.manifest(name, cluster.account, spec))
    if kind == KeyKind.CLIENT_CREDENTIALS:
        click.echo(f"client id: {cluster.account}/{name}", err=True)
    click.echo(f"key {tag} of account {cluster.account}; it is shown this once and cannot be had again:", err=True)
    click.echo(secret)


@key.command("list")
@shown_in_a_form
@on_a_cluster
def list_(cluster: Cluster, form: tables.Form) -> None:
    """The account's keys. What they are is nowhere to be seen."""
    found = cluster.objects(API_KEY)
    held_up.say(API_KEY, found)
    telling.say(cluster)
    rows = [row(each) for each in sorted(found, key=lambda each: str(each["spec"]["tag"]))]
    click.echo(tables.render(COLUMNS, rows, form), nl=False)


@key.command()
@click.argument("tag")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_a_cluster
def delete(cluster: Cluster, tag: str, yes: bool) -> None:
    """Delete a key: it is invalid at once, and for good."""
    found = next((each for each in cluster.objects(API_KEY) if each["spec"]["tag"] == tag), None)
    if found is None:
        raise CliError(f"account {cluster.account} has no key {tag}: kubectl maas key list shows those it has")
    if not yes:
        asked = (
            f"Applications that use key {tag} of account {cluster.account} will be refused. Type DELETE to delete it"
        )
        if click.prompt(asked, err=True) != "DELETE":
            raise CliError(f"key {tag} was not deleted")
    cluster.delete(API_KEY, found["metadata"]["name"])
    click.echo(f"key {tag} of account {cluster.account} deleted", err=True)


def row(manifest: dict[str, Any]) -> tables.Row:
    """What is shown of an ApiKey."""
    spec, conditions = manifest["spec"], manifest.get("status", {}).get("conditions", ())
    accepted = next((each for each in conditions if each["type"] == "Accepted"), {"status": "Unknown", "message": ""})
    refused = f": {accepted['message']}" if accepted["status"] == "False" else ""
    return {
        "tag": spec["tag"],
        "description": spec["description"],
        "kind": spec.get("kind", KeyKind.BEARER.value),
        "services": ",".join(spec.get("services", ())) or "all",
        "limits": ",".join(f"{name}={value}" for name, value in spec.get("limits", {}).items()) or "none",
        "expires": spec.get("expiresAt", "never"),
        "accepted": accepted["status"] + refused,
        "created": manifest["metadata"]["creationTimestamp"],
    }


def _check_room(cluster: Cluster, tag: str) -> None:
    """The rules of M22 that concern all of an account's keys. The operator has the last word."""
    keys = cluster.objects(API_KEY)
    twin = next((each for each in keys if each["spec"]["tag"] == tag), None)
    if twin:
        raise CliError(tag_taken(tag, twin["metadata"]["name"], cluster.account))
    if len({each["spec"]["tag"] for each in keys}) >= MAX_KEYS_PER_ACCOUNT:
        raise CliError(too_many_keys(cluster.account))
