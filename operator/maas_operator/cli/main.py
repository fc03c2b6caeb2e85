"""The executable kubectl-maas, which kubectl runs as `kubectl maas`."""

import click

from maas_operator.cli import services
from maas_operator.cli.keys import key
from maas_operator.cli.usage import usage


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Models as a service: the services, keys and usage of your account. All is done with your own rights in the
    cluster."""


for command in (services.list_, services.get, services.start, services.stop, services.scale, services.qps):
    cli.add_command(command)
for command in (services.upgrade, services.delete, key, usage):
    cli.add_command(command)

if __name__ == "__main__":
    cli(prog_name="kubectl maas")
