"""Options that several commands take."""

import click
import pytest
from click.testing import CliRunner

from maas_operator.cli.options import of_the_ledger


@click.command()
@of_the_ledger
def _where(ledger_namespace: str) -> None:
    click.echo(ledger_namespace, nl=False)


@pytest.mark.parametrize(
    ("arguments", "environment", "found"),
    [
        ([], {}, "maas-system"),
        ([], {"MAAS_LEDGER_NAMESPACE": "models"}, "models"),
        (["--ledger-namespace=here"], {"MAAS_LEDGER_NAMESPACE": "models"}, "here"),
    ],
)
def test_m22_where_the_ledger_runs_is_said_by_the_option_or_else_by_the_environment(
    arguments: list[str], environment: dict[str, str], found: str
) -> None:
    assert CliRunner().invoke(_where, arguments, env=environment).output == found
