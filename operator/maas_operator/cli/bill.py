"""kubectl maas bill."""

import json
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

import click

from maas_operator.api.billing import Bill, BillLine
from maas_operator.cli import tables
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.errors import CliError
from maas_operator.cli.options import of_the_ledger, on_a_cluster, shown_in_a_form

LINES = ("account", "service", "pool", "flavor", "hours", "prepaid", "price", "amount", "currency")
TOTALS = ("account", "amount", "currency")
NOTIFICATIONS = ("account", "topic", "channel", "messages")
TOKENS = ("account", "service", "requests", "promptTokens", "completionTokens")
COLUMNS = ("month", "item", *dict.fromkeys((*LINES, *NOTIFICATIONS, *TOKENS)))
"""Of CSV, where all stands in one table."""
PLACES = Decimal("0.0001")
"""Of hours: a third of a second."""


@click.command()
@click.option("--month", help="The month, in UTC: 2026-11. Left out: this one.")
@click.option("--account", help="The account; the same as -n.")
@click.option(
    "-A", "--all-accounts", "--all", is_flag=True, help="All accounts; needs rights in the ledger's namespace."
)
@of_the_ledger
@shown_in_a_form
@on_a_cluster
def bill(
    cluster: Cluster,
    month: str | None,
    account: str | None,
    all_accounts: bool,
    ledger_namespace: str,
    form: tables.Form,
) -> None:
    """What a month cost: instances by the hour, less the hours that were prepaid; messages and tokens beside them."""
    if account and all_accounts:
        raise CliError("--account and --all-accounts exclude each other: leave one out")
    whose = None if all_accounts else account or cluster.account
    query = {name: value for name, value in (("account", whose), ("month", month)) if value is not None}
    made = Bill.model_validate(cluster.bill(ledger_namespace, whose or ledger_namespace, query))
    if form == "csv" and not made.final:
        click.echo(heading(made), err=True)
    click.echo(shown(made, form), nl=False)


def heading(made: Bill) -> str:
    """Which month it is of, and whether it can still change."""
    whose = f"account {made.account}" if made.account else "all accounts"
    title = f"Bill of {whose} for {made.month} (UTC)"
    if made.final:
        return title
    if made.until[: len(made.month)] == made.month:
        return f"{title}, so far: until {made.until}"
    return f"{title}, not final: it is not known yet of every instance how long it ran"


def shown(made: Bill, form: tables.Form) -> str:
    """The bill in this form."""
    lines = [row(line) for line in made.lines]
    if form == "json":
        return json.dumps(made.model_dump(by_alias=True) | {"lines": lines}, indent=2, default=str) + "\n"
    parts = {
        "instances": (LINES, lines),
        "total": (TOTALS, [each.model_dump() | {"amount": Decimal(each.amount)} for each in made.totals]),
        "notifications": (NOTIFICATIONS, [each.model_dump(by_alias=True) for each in made.notifications]),
        "tokens": (TOKENS, [each.model_dump(by_alias=True) for each in made.tokens]),
    }
    if form == "csv":
        rows = [{"month": made.month, "item": item} | each for item, (_, found) in parts.items() for each in found]
        return tables.render(COLUMNS, rows, form)
    return "\n".join([heading(made) + "\n", *(_table(item, *part) for item, part in parts.items() if part[1])])


def row(line: BillLine) -> dict[str, tables.Cell]:
    """A line as it is shown: with hours beside the seconds."""
    values: dict[str, tables.Cell] = line.model_dump(by_alias=True)
    return values | {
        "hours": _hours(line.seconds),
        "prepaid": _hours(line.prepaid_seconds),
        "price": Decimal(line.price) if line.price is not None else None,
        "amount": Decimal(line.amount) if line.amount is not None else None,
    }


def _table(item: str, columns: Sequence[str], rows: Sequence[tables.Row]) -> str:
    """Of a dedicated pool the price says that it is one."""
    said = [each | {"price": "dedicated"} if each.get("dedicated") else each for each in map(dict, rows)]
    return f"{item.capitalize()}:\n{tables.render(columns, said, 'table')}"


def _hours(seconds: int) -> Decimal:
    return (Decimal(seconds) / 3600).quantize(PLACES, ROUND_HALF_UP)
