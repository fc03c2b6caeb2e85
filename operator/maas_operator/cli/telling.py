"""What is said of an account beside its services and keys."""

import click

from maas_operator.cli import accounts
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.errors import CliError
from maas_operator.cli.tables import shown


def say(cluster: Cluster) -> None:
    """Print, beside what is shown, that the account is frozen, and its default limits. Nothing where the user may not
    see the namespace."""
    try:
        namespace = cluster.ask("GET", f"/api/v1/namespaces/{cluster.account}", what=f"get namespace {cluster.account}")
    except CliError:
        return
    for words in accounts.told(namespace):
        click.echo(shown(words), err=True)
