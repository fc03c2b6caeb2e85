"""What the service accounts of a release need, what of it they may not do, and the RBAC that grants it. Pure."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from maas_operator.api.names import LABEL_APP, LABEL_MANAGED_BY
from maas_operator.api.permissions import (
    CATALOGUE_PERMISSIONS,
    GATEWAY_PERMISSIONS,
    LEDGER_PERMISSIONS,
    NOTIFICATION_PERMISSIONS,
    PERMISSIONS,
    Lack,
    Permission,
)
from maas_operator.cli.cluster import MANAGER
from maas_operator.cli.errors import CliError
from maas_operator.cli.tables import Row

Manifest = dict[str, Any]
RBAC_GROUP = "rbac.authorization.k8s.io"
RBAC = f"{RBAC_GROUP}/v1"
OPERATOR = "maas-operator"
TABLES = {
    OPERATOR: PERMISSIONS,
    "maas-gateway": GATEWAY_PERMISSIONS,
    "maas-ledger": LEDGER_PERMISSIONS,
    "maas-catalogue": CATALOGUE_PERMISSIONS,
}
"""By the label app.kubernetes.io/name of what the chart makes."""
EVERY_RELEASE = "every release"
_LEASE = "MAAS_LEASE_NAME"
"""Of the environment of a container, whichever: sidecars may stand before it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A service account of the release, and what it needs."""

    part: str
    namespace: str
    name: str
    permissions: tuple[Permission, ...]
    lease: str = ""
    """The Lease that its own_namespace permissions are about."""

    @property
    def user(self) -> str:
        """As the API server calls it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    @property
    def groups(self) -> list[str]:
        """As the API server adds them."""
        return ["system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated"]


@dataclass(frozen=True, slots=True)
class Question:
    """Whether an identity may do one thing."""

    identity: Identity
    permission: Permission
    verb: str


def identity_of(workload: Manifest, *, notifies: bool = False) -> Identity:
    """Of a Deployment or Job of the chart. `notifies`: the operator's settings have notifications on. Raises CliError
    where it names no service account, or not the Lease that it needs: nothing is granted to `default`, or for all
    Leases, by mistake."""
    part = workload["metadata"]["labels"][LABEL_APP]
    pod = workload["spec"]["template"]["spec"]
    account = pod.get("serviceAccountName")
    if not account:
        raise CliError(f"{named(workload)} names no service account: it is not as the chart makes it")
    environment = (variable for each in pod["containers"] for variable in each.get("env") or ())
    leases = {each["value"] for each in environment if each["name"] == _LEASE and each.get("value")}
    if len(leases) != 1 and any(each.own_namespace for each in TABLES[part]):
        raise CliError(
            f"{named(workload)} names {len(leases)} Leases, not one, in {_LEASE}: it is not as the chart makes it"
        )
    permissions = TABLES[part] + (NOTIFICATION_PERMISSIONS if notifies else ())
    return Identity(part, workload["metadata"]["namespace"], account, permissions, next(iter(leases), ""))


def named(workload: Manifest) -> str:
    """A Deployment or Job, for people."""
    return f"{workload['kind']} {workload['metadata']['namespace']}/{workload['metadata']['name']}"


def questions(identities: Iterable[Identity]) -> Iterator[Question]:
    """All that has to be asked."""
    for identity in identities:
        for permission in identity.permissions:
            yield from (Question(identity, permission, verb) for verb in permission.verbs)


def review(question: Question) -> Manifest:
    """The SubjectAccessReview that asks it."""
    identity, permission = question.identity, question.permission
    resource, _, subresource = permission.resource.partition("/")
    attributes = {"group": permission.group, "resource": resource, "subresource": subresource, "verb": question.verb}
    if permission.own_namespace:
        attributes |= {"namespace": identity.namespace, "name": identity.lease}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": identity.user, "groups": identity.groups, "resourceAttributes": attributes},
    }


def row(missing: Question) -> Row:
    """What is shown of a missing permission."""
    permission = missing.permission
    return {
        "serviceAccount": f"{missing.identity.namespace}/{missing.identity.name}",
        "verb": missing.verb,
        "resource": Lack(permission.group, permission.resource, missing.verb).title,
        "stops": permission.needed_for,
        "askedForBy": permission.value or EVERY_RELEASE,
    }


def told(missing: Sequence[Question]) -> list[str]:
    """Who would get what, for people: a line for each service account and reach."""
    lines = []
    for (namespace, name, own), group in groupby(sorted(missing, key=_whose), key=_whose):
        verbs: dict[str, list[str]] = {}
        for each in group:
            title = Lack(each.permission.group, each.permission.resource, each.verb).title
            verbs.setdefault(title, []).append(each.verb)
        what = "; ".join(f"{', '.join(asked)} {title}" for title, asked in verbs.items())
        where = f"namespace {namespace}" if own else "all namespaces"
        lines.append(f"ServiceAccount {namespace}:{name} in {where}: {what}")
    return lines


def manifests(missing: Sequence[Question]) -> list[Manifest]:
    """The RBAC that grants exactly this: a role and a binding for each service account and reach.

    A role's name has a digest of what it grants, so that applying what is missing later takes nothing of it away.
    """
    made = []
    ordered = sorted(missing, key=_whose)
    for (namespace, name, own), group in groupby(ordered, key=_whose):
        rules = _rules(list(group))
        digest = hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:8]
        metadata = {"name": f"{namespace}-{name}-granted-{digest}", "labels": {LABEL_MANAGED_BY: MANAGER}}
        if own:
            metadata["namespace"] = namespace
        role = "Role" if own else "ClusterRole"
        made.append({"apiVersion": RBAC, "kind": role, "metadata": metadata, "rules": rules})
        made.append(
            {
                "apiVersion": RBAC,
                "kind": f"{role}Binding",
                "metadata": metadata,
                "roleRef": {"apiGroup": RBAC_GROUP, "kind": role, "name": metadata["name"]},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            }
        )
    return made


def _whose(question: Question) -> tuple[str, str, bool]:
    return question.identity.namespace, question.identity.name, question.permission.own_namespace


def _rules(missing: Sequence[Question]) -> list[Manifest]:
    """A rule for each resource. What is created has no name yet, as far as RBAC knows: only other verbs can be held to
    the Lease."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for each in missing:
        name = each.identity.lease if each.permission.own_namespace and each.verb != "create" else ""
        known = verbs.setdefault((each.permission.group, each.permission.resource, name), [])
        if each.verb not in known:
            known.append(each.verb)
    return [
        {"apiGroups": [group], "resources": [resource]} | ({"resourceNames": [name]} if name else {}) | {"verbs": asked}
        for (group, resource, name), asked in verbs.items()
    ]
