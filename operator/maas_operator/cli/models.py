"""kubectl maas models."""

import json
from typing import Any, Literal, get_args

import click
import yaml

from maas_operator.api.kinds import MODEL
from maas_operator.api.model import ModelType, SupportedJob
from maas_operator.cli import catalogue, tables
from maas_operator.cli.catalogue import Filters
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.options import on_a_cluster

Form = Literal["table", "wide", "csv", "json", "yaml"]


def _one_of(words: type[ModelType] | type[SupportedJob]) -> click.Choice[str]:
    return click.Choice([str(word) for word in words], case_sensitive=False)


@click.command()
@click.argument("name", required=False)
@click.option("--series", help="Of this series, for example Qwen3.")
@click.option("--type", "type_", type=_one_of(ModelType), help="Of this type.")
@click.option("--job", type=_one_of(SupportedJob), help="Good for this job.")
@click.option(
    "--context-length", "length", help="With a version of such a context: 32K, '<16K', '>=64K'; K is 1,024 tokens."
)
@click.option("--language", help="Speaks this language.")
@click.option("--search", help="With this in its name.")
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(get_args(Form)),
    default="table",
    show_default=True,
    help="wide: more columns; json and yaml: the Models themselves.",
)
@on_a_cluster
def models(
    cluster: Cluster,
    name: str | None,
    series: str | None,
    type_: str | None,
    job: str | None,
    length: str | None,
    language: str | None,
    search: str | None,
    form: Form,
) -> None:
    """The models that can be deployed. With a NAME: all about that one."""
    found = cluster.objects(MODEL, everywhere=True)
    if name is not None:
        model = catalogue.named(found, name)
        click.echo(_whole(model, form) if form in {"json", "yaml"} else catalogue.described(model), nl=False)
        return
    filters = Filters(series, type_, job, length, language, search)
    click.echo(shown(catalogue.chosen(found, filters), form), nl=False)
    if words := catalogue.unknown(found, filters):
        click.echo(words, err=True)


def shown(found: list[dict[str, Any]], form: Form) -> str:
    """A list of Models in this form."""
    if form in {"json", "yaml"}:
        return _whole({"apiVersion": "v1", "kind": "List", "items": found}, form)
    columns = catalogue.COLUMNS if form == "table" else catalogue.WIDE
    return tables.render(columns, [catalogue.row(each) for each in found], "csv" if form == "csv" else "table")


def _whole(manifest: dict[str, Any], form: Form) -> str:
    if form == "json":
        return json.dumps(manifest, indent=2) + "\n"
    return yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True)
