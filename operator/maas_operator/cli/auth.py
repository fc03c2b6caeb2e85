"""kubectl maas auth."""

from collections.abc import Sequence

import click
import yaml

from maas_operator.cli import bindings, checking, needed, tables
from maas_operator.cli.bindings import OWN_NEEDS, ROLES, Grant
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.confirming import confirm
from maas_operator.cli.errors import CliError
from maas_operator.cli.granting import Granting, apply
from maas_operator.cli.needed import Identity
from maas_operator.cli.options import on_a_cluster, on_all_accounts, shown_in_a_form
from maas_operator.cli.subjects import Subject, of_a_subject, perhaps_of_a_subject

CHECKED = ("serviceAccount", "verb", "resource", "stops", "askedForBy")
LISTED = ("subject", "role", "account", "binding", "of", "grantedBy")
EVERYWHERE = click.option("-A", "--all-accounts", is_flag=True, help="In all accounts, those to come included.")
EVERY_NAMESPACE = "-A is every namespace, those that are no accounts (kube-system, the release's own) among them. There"
UNASKED = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def auth() -> None:
    """Who may do what: people in accounts, and the operator in the cluster."""


@auth.command()
@click.option("--manifest", is_flag=True, help="Print what is missing as RBAC, for kubectl apply -f -.")
@click.option("-n", "--namespace", help="The release's, where the chart's ClusterRoles do not say it.")
@shown_in_a_form
@on_all_accounts
def check(cluster: Cluster, manifest: bool, namespace: str | None, form: tables.Form) -> None:
    """What the operator, the gateway, the ledger and the catalogue's Job need and may not do: what stops working
    without it, and which value of the chart asks for it. Exit code 1 where something is missing, but for --manifest."""
    identities = _installed(cluster, namespace)
    found = checking.missing(cluster, identities)
    asked, whose = len(list(needed.questions(identities))), ", ".join(each.part for each in identities)
    if not found:
        click.echo(f"all {asked} permissions that {whose} need are granted", err=True)
        return
    click.echo(f"{len(found)} of the {asked} permissions that {whose} need are missing", err=True)
    if manifest:
        click.echo(yaml.safe_dump_all(needed.manifests(found), sort_keys=False), nl=False)
        return
    click.echo(tables.render(CHECKED, [needed.row(each) for each in found], form), nl=False)
    raise CliError(f"grant them: kubectl maas auth grant {OWN_NEEDS}")


@auth.command()
@click.argument("role", type=click.Choice((*ROLES, OWN_NEEDS)))
@EVERYWHERE
@UNASKED
@perhaps_of_a_subject
@on_a_cluster
def grant(cluster: Cluster, subject: Subject | None, role: str, all_accounts: bool, yes: bool) -> None:
    """Give a role in the account to a user, group or service account, with all that belongs to it: reading pools and
    the catalogue, and the way to the ledger. -A is every namespace, also those that are no accounts: it says what the
    role gives there. Role operator: what `kubectl maas auth check` finds missing, to those who miss it; -n is the
    release's namespace then, needed only where the chart's ClusterRoles do not say it. For both YES has to be typed."""
    if role == OWN_NEEDS:
        if subject or all_accounts:
            raise CliError(f"role {OWN_NEEDS} goes to the release's own service accounts: name none, and leave -A out")
        _grant_own_needs(cluster, yes)
        return
    if subject is None:
        raise CliError(f"say who is to have role {role}: --user, --group or --serviceaccount")
    account, granting = None if all_accounts else cluster.account, Granting(cluster)
    if all_accounts and not yes:
        click.echo(f"{EVERY_NAMESPACE}: {granting.reach(role)}", err=True)
        confirm("YES", f"{subject} will have role {role} in every namespace", "nothing was granted")
    made = granting.grant(role, subject, account)
    for each in made:
        click.echo(f"{Grant(role, each).named} made", err=True)
    if not made:
        click.echo(f"{subject} has role {role} in {_accounts(account)} already", err=True)


@auth.command("list")
@EVERYWHERE
@shown_in_a_form
@on_a_cluster
def list_(cluster: Cluster, all_accounts: bool, form: tables.Form) -> None:
    """Who has what in the account, and by which binding. Roles of Kubernetes' own that ours have joined count, too."""
    rows = bindings.rows(Granting(cluster).grants(), None if all_accounts else cluster.account)
    ordered = sorted(rows, key=lambda each: tuple(map(str, each.values())))
    click.echo(tables.render(LISTED, ordered, form), nl=False)


@auth.command()
@EVERYWHERE
@UNASKED
@of_a_subject
@on_a_cluster
def revoke(cluster: Cluster, subject: Subject, all_accounts: bool, yes: bool) -> None:
    """Take from a user, group or service account what `kubectl maas` granted it in the account; -A: all of it. DELETE
    has to be typed."""
    account = None if all_accounts else cluster.account
    granting = Granting(cluster)
    grants = granting.grants()
    going = bindings.going(grants, subject, account)
    left = [each for each in grants if subject in each.subjects and each not in going]
    if not going:
        others = f"; it has what it has by {_named(left)}" if left else ""
        raise CliError(f"kubectl maas granted {subject} nothing in {_accounts(account)}{others}")
    _remove(granting, going, yes, f"nothing was taken from {subject}")
    if left:
        click.echo(f"{subject} still has what {_named(left)} grants", err=True)


@auth.command()
@EVERYWHERE
@UNASKED
@on_a_cluster
def clear(cluster: Cluster, all_accounts: bool, yes: bool) -> None:
    """Take from everybody what `kubectl maas` granted in the account; -A: all of it. Bindings that it did not make
    stay, and so does what the release's own service accounts were granted. DELETE has to be typed."""
    account = None if all_accounts else cluster.account
    granting = Granting(cluster)
    going = bindings.cleared(granting.grants(), account)
    if not going:
        raise CliError(f"kubectl maas granted nobody anything in {_accounts(account)}")
    _remove(granting, going, yes, "nothing was taken from anybody")


def _installed(cluster: Cluster, namespace: str | None) -> Sequence[Identity]:
    """The release's service accounts; says what else claims to be of it."""
    found = checking.installed(cluster, namespace)
    for each in found.elsewhere:
        click.echo(f"{each} has the labels of maas-operator, outside of its namespace: it counts for nothing", err=True)
    return found.identities


def _grant_own_needs(cluster: Cluster, yes: bool) -> None:
    missing = checking.missing(cluster, _installed(cluster, cluster.named))
    if not missing:
        click.echo("all that is needed is granted already", err=True)
        return
    for line in needed.told(missing):
        click.echo(line, err=True)
    if not yes:
        confirm("YES", "They will have these rights", "nothing was granted")
    for each in needed.manifests(missing):
        apply(cluster, each)
        click.echo(f"{each['kind']} {each['metadata']['name']} made", err=True)


def _remove(granting: Granting, going: Sequence[Grant], yes: bool, otherwise: str) -> None:
    if not yes:
        confirm("DELETE", f"{_named(going)} will be gone", otherwise)
    granting.remove(going)
    click.echo(f"{_named(going)} removed", err=True)


def _accounts(account: str | None) -> str:
    return "all accounts" if account is None else f"account {account}"


def _named(grants: Sequence[Grant]) -> str:
    return ", ".join(each.named for each in grants)
