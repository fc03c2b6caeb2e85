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
    @click.option("--context", help="The kubeconfig's context to use.")
    @click.option("--kubeconfig", help="The kubeconfig to use. Left out: $KUBECONFIG, or ~/.kube/config.")
    @functools.wraps(command)
    def wrapped(*, namespace: str | None, context: str | None, kubeconfig: str | None, **options: Any) -> None:
        command(Cluster(kubeconfig, context, namespace), **options)

    return wrapped


def shown_in_a_form(command: Callable[..., None]) -> Callable[..., None]:
    """-o."""
    option = click.option("-o", "--output", "form", type=click.Choice(FORMS), default="table", show_default=True)
    return option(command)
