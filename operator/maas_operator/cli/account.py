"""kubectl maas account."""

import json
from collections.abc import Sequence
from functools import partial

import click
import yaml

from maas_operator.api.kinds import API_KEY, MODEL_SERVICE, RESOURCE_POOL
from maas_operator.api.names import ANNOTATION_FROZEN, LABEL_MANAGED_BY
from maas_operator.cli import accounts, bindings, making, poolaccess, tables
from maas_operator.cli.accounts import WHOLE, Account
from maas_operator.cli.bindings import COMMON_OPERATIONS, FULL_ACCESS, VIEWER
from maas_operator.cli.cluster import MANAGER, Cluster
from maas_operator.cli.confirming import confirm
from maas_operator.cli.errors import CliError
from maas_operator.cli.granting import Granting
from maas_operator.cli.needed import Manifest
from maas_operator.cli.options import on_all_accounts, shown_in_a_form
from maas_operator.cli.quotas import quota_of
from maas_operator.cli.subjects import Subject

COLUMNS = ("account", "state", "services", "keys", "quota", "pools", "keyLimits", "madeBy", "created")
SERVICES_NAMED = 5
"""Services that a refusal to delete names."""
_NAMESPACES = "/api/v1/namespaces"
_SUBJECT = "KIND:NAME"


@click.group()
def account() -> None:
    """Accounts: namespaces with a quota, people in roles, pools and limits."""


@account.command()
@click.argument("name")
@click.option("--pool", "pools", multiple=True, metavar="NAME", help="A pool that it may use; may be said again.")
@click.option(
    "--quota",
    multiple=True,
    help="What it may have: cpu=32,memory=256Gi,huawei.com/Ascend910=8,services=10,keys=30; may be said again.",
)
@click.option(
    "--key-limits",
    multiple=True,
    help="What each key may use that names no limit of its own: requestsPerMinute=600,tokensPerMinute=200000; may be "
    "said again.",
)
@click.option(f"--{FULL_ACCESS}", "full", multiple=True, metavar=_SUBJECT, help="Who has full access there.")
@click.option(f"--{COMMON_OPERATIONS}", "common", multiple=True, metavar=_SUBJECT, help="Who runs services there.")
@click.option(f"--{VIEWER}", "viewers", multiple=True, metavar=_SUBJECT, help="Who only looks.")
@click.option("--dry-run", is_flag=True, help="Print the manifests, for Git, and change nothing.")
@click.option("-o", "--output", "form", type=click.Choice(("yaml", "json")), help="How they are printed.")
@on_all_accounts
def create(
    cluster: Cluster,
    name: str,
    pools: tuple[str, ...],
    quota: tuple[str, ...],
    key_limits: tuple[str, ...],
    full: tuple[str, ...],
    common: tuple[str, ...],
    viewers: tuple[str, ...],
    dry_run: bool,
    form: str | None,
) -> None:
    """Make an account: its namespace, with the labels by which the pools take it, its quota, and bindings for the
    people of each role (user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME; may be said again). What is there
    already is left as it is."""
    given = {FULL_ACCESS: full, COMMON_OPERATIONS: common, VIEWER: viewers}
    people = [(role, accounts.subject_named(text, f"--{role}")) for role, texts in given.items() for text in texts]
    limits = accounts.checked_limits(making.limits_of(",".join(key_limits), "--key-limits"))
    bounds = quota_of(",".join(quota))
    accounts.checked_name(name)
    known = cluster.objects(RESOURCE_POOL, everywhere=True) if pools else []
    wanted = Account(name, poolaccess.labels_for(known, pools, name), bounds, limits)
    manifests = _manifests(cluster, wanted, people)  # where the people's roles are missing, nothing is made
    if dry_run:
        _print(manifests, form or "yaml")
        return
    made = _make(cluster, wanted, people)
    if form:
        _print(made, form)
    if not made:
        click.echo(f"account {name} is there already, with all of that", err=True)


@account.command("list")
@shown_in_a_form
@on_all_accounts
def list_(cluster: Cluster, form: tables.Form) -> None:
    """All accounts: namespaces that are called one, or have a service or a key. QUOTA is used/allowed; POOLS are those
    that take the account."""
    quotas = cluster.ask("GET", "/api/v1/resourcequotas", what="list the quotas of all namespaces")["items"]
    services, keys, pools = (cluster.objects(kind, everywhere=True) for kind in (MODEL_SERVICE, API_KEY, RESOURCE_POOL))
    rows = list(accounts.rows(_namespaces(cluster), services, keys, quotas, pools))
    click.echo(tables.render(COLUMNS, rows, form), nl=False)


@account.command()
@click.argument("name")
@on_all_accounts
def freeze(cluster: Cluster, name: str) -> None:
    """Have the gateway refuse the account's keys, and every call of its services, with 401 ModelArts.81006. Its
    instances go on running."""
    if accounts.frozen_part(_namespace(cluster, name)) == [WHOLE]:
        click.echo(f"account {name} is frozen already", err=True)
        return
    _annotate(cluster, name, WHOLE, f"freeze account {name}")
    click.echo(
        f"account {name} is frozen: its keys, and calls of its services, get 401 ModelArts.81006 within seconds. Its "
        "instances go on running, and are billed, until they are stopped (kubectl maas stop)",
        err=True,
    )


@account.command()
@click.argument("name")
@on_all_accounts
def unfreeze(cluster: Cluster, name: str) -> None:
    """Let the account's keys and services work again, single frozen services included."""
    if not accounts.frozen_part(_namespace(cluster, name)):
        click.echo(f"account {name} is not frozen", err=True)
        return
    _annotate(cluster, name, None, f"unfreeze account {name}")
    click.echo(f"account {name} is no longer frozen", err=True)


@account.command()
@click.argument("name")
@click.option("--with-services", is_flag=True, help="Although it has services.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_all_accounts
def delete(cluster: Cluster, name: str, with_services: bool, yes: bool) -> None:
    """Delete an account that kubectl maas made, with all that is in its namespace, and what its people were granted for
    it. It cannot be had back: DELETE has to be typed."""
    namespace = _namespace(cluster, name)
    if not accounts.made_here(namespace):
        raise CliError(
            f"namespace {name} was not made by kubectl maas (it has no label {LABEL_MANAGED_BY}={MANAGER}): take it "
            f"out of Git, where it stands there, or kubectl delete namespace {name}"
        )
    services = sorted(
        each["metadata"]["name"]
        for each in cluster.objects(MODEL_SERVICE, everywhere=True)
        if each["metadata"]["namespace"] == name
    )
    if services and not with_services:
        raise CliError(
            f"account {name} has {_counted(services)}: delete them first (kubectl maas delete SERVICE -n {name}), or "
            "say --with-services"
        )
    if not yes:
        serving = f", {_counted(services)} among it," if services else ""
        confirm("DELETE", f"Account {name}, with all that is in it,{serving} will be gone", f"{name} was not deleted")
    granting = Granting(cluster)
    going = bindings.cleared(granting.grants(), name)
    body = {"preconditions": {"uid": namespace["metadata"]["uid"]}}
    deleting = partial(cluster.ask, "DELETE", f"{_NAMESPACES}/{name}", what=f"delete namespace {name}")
    deleting(body | {"dryRun": ["All"]})  # its people keep what they have where it cannot be deleted
    granting.remove(going)
    for each in going:
        click.echo(f"{each.named} removed", err=True)
    deleting(body)
    click.echo(f"account {name} is being deleted", err=True)


def _make(cluster: Cluster, wanted: Account, people: Sequence[tuple[str, Subject]]) -> list[Manifest]:
    """Make what is not there yet, and return it. What is there is left as it is. Raises CliError where that is not what
    was asked for."""
    name = wanted.name
    there = next((each for each in _namespaces(cluster) if each["metadata"]["name"] == name), None)
    adopt = f"apply what `kubectl maas account create {name} ... --dry-run` prints"
    if there and accounts.being_deleted(there):
        raise CliError(f"account {name} is still being deleted: try again when namespace {name} is gone")
    if there and not accounts.made_here(there):
        raise CliError(f"namespace {name} is there, and not made by kubectl maas: to have it as an account, {adopt}")
    path = f"{_NAMESPACES}/{name}/resourcequotas"
    quotas = cluster.ask("GET", path, what=f"list the quotas of account {name}")["items"]
    bounded = next((each for each in quotas if each["metadata"]["name"] == accounts.QUOTA), None)
    parts = [(wanted.namespace(), there, _NAMESPACES)]
    if wanted.quota or bounded:
        parts.append((wanted.resource_quota(), bounded, path))
    if any(standing and accounts.differs(standing, manifest) for manifest, standing, _ in parts):
        raise CliError(f"account {name} is there, with other labels, limits or quota: to change it, {adopt}")
    made = []
    for manifest, standing, where in parts:
        if standing is None:
            what = f"{manifest['kind']} {manifest['metadata']['name']}"
            made.append(accounts.marked(manifest))
            cluster.ask("POST", where, made[-1], what=f"make {what}")
            click.echo(f"{what} made", err=True)
    return made + _grant(cluster, name, people) if people else made


def _grant(cluster: Cluster, name: str, people: Sequence[tuple[str, Subject]]) -> list[Manifest]:
    """Make the bindings that are not there yet, and return them."""
    granting, made = Granting(cluster), []
    for role, subject in people:
        for each in granting.grant(role, subject, name):
            made.append(each)
            click.echo(f"{bindings.Grant(role, each).named} made", err=True)
    return made


def _manifests(cluster: Cluster, wanted: Account, people: Sequence[tuple[str, Subject]]) -> list[Manifest]:
    """All that an account is, for Git."""
    manifests = wanted.manifests()
    if people:
        roles = Granting(cluster).roles
        for role, subject in people:
            manifests += bindings.wanted(roles, role, subject, wanted.name)
    return accounts.for_git(manifests)


def _print(manifests: Sequence[Manifest], form: str) -> None:
    if form == "json":
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}, indent=2))
    else:
        click.echo(yaml.safe_dump_all(manifests, sort_keys=False, allow_unicode=True), nl=False)


def _namespaces(cluster: Cluster) -> list[Manifest]:
    found: list[Manifest] = cluster.ask("GET", _NAMESPACES, what="list all namespaces")["items"]
    return found


def _namespace(cluster: Cluster, name: str) -> Manifest:
    found = next((each for each in _namespaces(cluster) if each["metadata"]["name"] == name), None)
    if found is None:
        raise CliError(f"there is no namespace {name}: kubectl maas account list shows the accounts")
    return found


def _annotate(cluster: Cluster, name: str, frozen: str | None, what: str) -> None:
    patch = {"metadata": {"annotations": {ANNOTATION_FROZEN: frozen}}}
    cluster.ask("PATCH", f"{_NAMESPACES}/{name}", patch, what=what)


def _counted(services: Sequence[str]) -> str:
    named = ", ".join(services[:SERVICES_NAMED])
    more = f" and {len(services) - SERVICES_NAMED} more" if len(services) > SERVICES_NAMED else ""
    return f"{len(services)} service{'' if len(services) == 1 else 's'} ({named}{more})"
