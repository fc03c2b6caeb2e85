"""kubectl maas usage."""

from collections.abc import Mapping
from datetime import UTC, datetime

import click

from maas_operator.api.times import written
from maas_operator.api.usage import GROUPINGS, UsageLine
from maas_operator.cli import moments, tables
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.errors import CliError
from maas_operator.cli.options import of_the_ledger, on_a_cluster, shown_in_a_form

SUMS = ("requests", "failures", "promptTokens", "completionTokens", "totalTokens")
TIMES = ("firstTokenMs", "durationMs")


@click.command()
@click.option("--account", help="The account; the same as -n.")
@click.option("-A", "--all-accounts", is_flag=True, help="Of all accounts; needs rights in the ledger's namespace.")
@click.option("--key", help="Of one key: the ApiKey's name.")
@click.option("--service", help="Of one service: NAME, or NAMESPACE/NAME for one that another account shares.")
@click.option("--since", default="24h", show_default=True, help="From when on: 24h, 30d, or 2027-01-31T12:00:00Z.")
@click.option("--until", help="Until when; the same forms.")
@click.option("--by", default="service", show_default=True, help=f"What each line sums up: {', '.join(GROUPINGS)}.")
@of_the_ledger
@shown_in_a_form
@on_a_cluster
def usage(
    cluster: Cluster,
    account: str | None,
    all_accounts: bool,
    key: str | None,
    service: str | None,
    since: str,
    until: str | None,
    by: str,
    ledger_namespace: str,
    form: tables.Form,
) -> None:
    """Who used which service how much: requests, tokens, and how long answers took. Times are in UTC."""
    if account and all_accounts:
        raise CliError("--account and --all-accounts exclude each other: leave one out")
    whose = None if all_accounts else account or cluster.account
    query = question(whose, key, service, since, until, by, datetime.now(UTC))
    reader = ledger_namespace if all_accounts else account or cluster.account
    found = [UsageLine.model_validate(each) for each in cluster.usage(ledger_namespace, reader, query)]
    columns = (*query["by"].split(","), *SUMS, *TIMES)
    click.echo(tables.render(columns, [row(line) for line in found if line.requests], form), nl=False)


def question(
    account: str | None, key: str | None, service: str | None, since: str, until: str | None, by: str, now: datetime
) -> Mapping[str, str]:
    """The query that the ledger is asked. Raises CliError."""
    groups = [name.strip() for name in by.split(",") if name.strip()]
    for name in groups:
        if name not in GROUPINGS:
            raise CliError(f"--by {name}: usage can be summed up by {', '.join(GROUPINGS)}")
    if not groups:
        raise CliError(f"--by is empty: name some of {', '.join(GROUPINGS)}")
    if service and "/" not in service:
        if account is None:
            raise CliError(f"--service {service}: with --all-accounts, write NAMESPACE/{service}")
        service = f"{account}/{service}"
    query = {
        "account": account,
        "key": key,
        "service": service,
        "from": written(moments.before(since, now, "--since")),
        "to": written(moments.before(until, now, "--until")) if until else None,
        "by": ",".join(dict.fromkeys(groups)),
    }
    return {name: value for name, value in query.items() if value is not None}


def row(line: UsageLine) -> tables.Row:
    """A line as it is shown: totals and means beside what the ledger says."""
    values = line.model_dump(by_alias=True)
    values["totalTokens"] = line.prompt_tokens + line.completion_tokens
    values["firstTokenMs"] = round(line.first_token_ms / line.first_tokens) if line.first_tokens else None
    values["durationMs"] = round(line.duration_ms / line.answered) if line.answered else None
    return values
