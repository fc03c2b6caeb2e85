"""The executable maas-operator."""

import asyncio
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import structlog
from pydantic import ValidationError

from maas_operator import logs
from maas_operator.api import crd, settings
from maas_operator.api.kinds import KINDS
from maas_operator.decide.accelerators import accelerators
from maas_operator.options import kubeconfig_option, log_options, namespace_option
from maas_operator.replica import Options, Replica

log = structlog.get_logger()


def _settings(_: click.Context, __: click.Parameter, path: Path | None) -> settings.Settings:
    try:
        read = settings.parse(path.read_text() if path else "")
    except (ValidationError, ValueError) as error:
        raise click.BadParameter(f"{path}: {error}") from error
    if unknown := read.accelerators.keys() - accelerators().keys():
        known = ", ".join(accelerators())
        raise click.BadParameter(f"{path}: accelerators: {', '.join(sorted(unknown))}: this operator knows {known}")
    return read


class _Commands(click.Group):
    """The operator's commands, and those of processes of their own, which are loaded only where they are run: what one
    of them needs, the others must not hold in memory."""

    _MODULES: Mapping[str, str] = {
        "catalogue": "maas_operator.stock",
        "fetch": "maas_operator.fetch.command",
        "gateway": "maas_operator.agent",
        "ledger": "maas_operator.ledger.command",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._MODULES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = self._MODULES.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(module), cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"auto_envvar_prefix": "MAAS", "help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Model as a service on one's own NPU and GPU nodes."""


@cli.command(context_settings={"auto_envvar_prefix": "MAAS", "show_default": True})
@kubeconfig_option
@namespace_option
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
@log_options
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
