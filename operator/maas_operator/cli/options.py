"""The options that every command takes, as kubectl's own do."""

import functools
from collections.abc import Callable
from typing import Any

import click

from maas_operator.cli.cluster import Cluster
from maas_operator.cli.tables import FORMS


def on_a_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """-n, --context and --kubeconfig; the command gets a Cluster as its first argument."""

    @click.option("-n", "--namespace", help="The account. Left out: the context's namespace.")
    @_with_kubeconfig
    @functools.wraps(command)
    def wrapped(*, namespace: str | None, context: str | None, kubeconfig: str | None, **options: Any) -> None:
        command(Cluster(kubeconfig, context, namespace), **options)

    return wrapped


def on_all_accounts(command: Callable[..., None]) -> Callable[..., None]:
    """The same without -n: for commands of which no account is the user's own."""

    @_with_kubeconfig
    @functools.wraps(command)
    def wrapped(*, context: str | None, kubeconfig: str | None, **options: Any) -> None:
        command(Cluster(kubeconfig, context, None), **options)

    return wrapped


def _with_kubeconfig(command: Callable[..., None]) -> Callable[..., None]:
    named = click.option("--context", help="The kubeconfig's context to use.")
    file = click.option("--kubeconfig", help="The kubeconfig to use. Left out: $KUBECONFIG, or ~/.kube/config.")
    return named(file(command))


def shown_in_a_form(command: Callable[..., None]) -> Callable[..., None]:
    """-o."""
    option = click.option("-o", "--output", "form", type=click.Choice(FORMS), default="table", show_default=True)
    return option(command)


def of_the_ledger(command: Callable[..., None]) -> Callable[..., None]:
    """--ledger-namespace: people may not ask the cluster where the release is, so they say it, once for all by the
    environment."""
    option = click.option(
        "--ledger-namespace",
        envvar="MAAS_LEDGER_NAMESPACE",
        show_envvar=True,
        default="maas-system",
        show_default=True,
        help="Where the ledger runs: the release's namespace.",
    )
    return option(command)
