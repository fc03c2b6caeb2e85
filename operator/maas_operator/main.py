"""The executable maas-operator."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click
import structlog
from pydantic import ValidationError

from maas_operator import logs
from maas_operator.api import crd, settings
from maas_operator.api.kinds import KINDS
from maas_operator.decide.accelerators import accelerators
from maas_operator.replica import Options, Replica

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
FALLBACK_NAMESPACE = "maas-system"

log = structlog.get_logger()


def _own_namespace() -> str:
    return OWN_NAMESPACE.read_text().strip() if OWN_NAMESPACE.exists() else FALLBACK_NAMESPACE


def _settings(_: click.Context, __: click.Parameter, path: Path | None) -> settings.Settings:
    try:
        read = settings.parse(path.read_text() if path else "")
    except (ValidationError, ValueError) as error:
        raise click.BadParameter(f"{path}: {error}") from error
    if unknown := read.accelerators.keys() - accelerators().keys():
        known = ", ".join(accelerators())
        raise click.BadParameter(f"{path}: accelerators: {', '.join(sorted(unknown))}: this operator knows {known}")
    return read


@click.group(context_settings={"auto_envvar_prefix": "MAAS", "help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Model as a service on one's own NPU and GPU nodes."""


@cli.command(context_settings={"auto_envvar_prefix": "MAAS", "show_default": True})
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="How to reach the API server. Left out: the pod's service account, or else $KUBECONFIG.",
)
@click.option("--namespace", default=_own_namespace, help="The operator's own namespace, where its Lease is.")
@click.option("--lease-name", default="maas-operator", help="Name of the Lease by which a leader is elected.")
@click.option("--leader-election/--no-leader-election", default=True, help="Act only while holding the Lease.")
@click.option("--metrics-port", default=8080, help="Port of /metrics.")
@click.option("--health-port", default=8081, help="Port of /healthz and /readyz.")
@click.option(
    "--settings",
    callback=_settings,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings file (YAML), as the chart writes it.",
)
@click.option("--log-format", type=click.Choice(["json", "console"]), default="json")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def run(log_format: logs.Format, log_level: str, **options: Any) -> None:
    """Run the operator until SIGTERM. Every option can be set by a variable too: MAAS_NAMESPACE and so on."""
    logs.configure(log_format, log_level)
    try:
        asyncio.run(Replica(Options(**options)).run())
    except Exception:
        log.exception("the operator ended")
        sys.exit(1)


@cli.command()
def crds() -> None:
    """Print the CustomResourceDefinitions, ready for kubectl apply -f -."""
    for kind in KINDS:
        click.echo(f"---\n{crd.render(kind)}", nl=False)


if __name__ == "__main__":
    cli()
