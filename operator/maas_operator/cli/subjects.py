"""Whom something is granted to: a user, a group or a service account."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from maas_operator.cli.cluster import Cluster
from maas_operator.cli.errors import CliError
from maas_operator.cli.needed import RBAC_GROUP, Manifest

USER, GROUP, SERVICE_ACCOUNT = "User", "Group", "ServiceAccount"


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Of a binding."""

    kind: str
    name: str
    namespace: str = ""
    """Of a service account."""

    @classmethod
    def read(cls, manifest: Manifest) -> "Subject":
        """From a binding's subjects."""
        return cls(manifest["kind"], manifest["name"], manifest.get("namespace", ""))

    def manifest(self) -> Manifest:
        """As it stands in a binding."""
        named = {"kind": self.kind, "name": self.name}
        return named | ({"namespace": self.namespace} if self.namespace else {"apiGroup": RBAC_GROUP})

    def __str__(self) -> str:
        where = f"{self.namespace}:" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


def subject_of(user: str | None, group: str | None, service_account: str | None) -> Subject | None:
    """From the options; None: none is given. Raises CliError where several are."""
    given = [each for each in (user, group, service_account) if each]
    if not given:
        return None
    if len(given) > 1:
        raise CliError("say whom by one of --user, --group and --serviceaccount")
    if user:
        return Subject(USER, user)
    if group:
        return Subject(GROUP, group)
    namespace, _, name = given[0].partition(":")
    if not (namespace and name):
        raise CliError(f"--serviceaccount {given[0]}: write NAMESPACE:NAME")
    return Subject(SERVICE_ACCOUNT, name, namespace)


def perhaps_of_a_subject(command: Callable[..., None]) -> Callable[..., None]:
    """--user, --group and --serviceaccount; the command gets `subject`, a Subject or None."""

    @click.option("--user", help="A user, as the API server calls it.")
    @click.option("--group", help="A group, as the API server calls it.")
    @click.option("--serviceaccount", "service_account", help="A service account: NAMESPACE:NAME.")
    @functools.wraps(command)
    def wrapped(
        *cluster: Cluster, user: str | None, group: str | None, service_account: str | None, **options: Any
    ) -> None:
        command(*cluster, subject=subject_of(user, group, service_account), **options)

    return wrapped


def of_a_subject(command: Callable[..., None]) -> Callable[..., None]:
    """The same of commands that need a subject."""

    @functools.wraps(command)
    def needing(*cluster: Cluster, subject: Subject | None, **options: Any) -> None:
        if subject is None:
            raise CliError("say whom: --user, --group or --serviceaccount")
        command(*cluster, subject=subject, **options)

    return perhaps_of_a_subject(needing)
