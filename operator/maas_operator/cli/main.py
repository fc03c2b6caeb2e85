"""The executable kubectl-maas, which kubectl runs as `kubectl maas`."""

import click

from maas_operator.cli import services
from maas_operator.cli.account import account
from maas_operator.cli.auth import auth
from maas_operator.cli.bill import bill
from maas_operator.cli.events import events
from maas_operator.cli.fit import fit_
from maas_operator.cli.keys import key
from maas_operator.cli.logs import logs
from maas_operator.cli.models import models
from maas_operator.cli.top import top
from maas_operator.cli.topics import topic
from maas_operator.cli.usage import usage


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Models as a service: the services, keys and usage of your account. All is done with your own rights in the
    cluster."""


for command in (services.list_, services.get, services.start, services.stop, services.scale, services.qps):
    cli.add_command(command)
for command in (services.upgrade, services.delete, models, fit_, bill, events, logs, top, key, topic, usage):
    cli.add_command(command)
for command in (account, auth):
    cli.add_command(command)

if __name__ == "__main__":
    cli(prog_name="kubectl maas")
