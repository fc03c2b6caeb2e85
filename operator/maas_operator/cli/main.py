"""The executable kubectl-maas, which kubectl runs as `kubectl maas`."""

import click

from maas_operator.cli.keys import key
from maas_operator.cli.usage import usage


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Models as a service: keys and usage of your account. Everything is done with your own rights in the cluster."""


cli.add_command(key)
cli.add_command(usage)

if __name__ == "__main__":
    cli(prog_name="kubectl maas")
