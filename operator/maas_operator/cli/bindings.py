"""Which bindings grant what to whom, which are made, and which are removed. Pure."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from maas_operator.api.names import ANNOTATION_RELEASE_NAMESPACE, GROUP, LABEL_APP, LABEL_MANAGED_BY
from maas_operator.cli import release
from maas_operator.cli.cluster import MANAGER
from maas_operator.cli.errors import CliError
from maas_operator.cli.needed import RBAC, RBAC_GROUP, Manifest
from maas_operator.cli.subjects import Subject
from maas_operator.cli.tables import Row

FULL_ACCESS, COMMON_OPERATIONS, VIEWER = "full-access", "common-operations", "viewer"
ROLES = (FULL_ACCESS, COMMON_OPERATIONS, VIEWER)
"""Of people."""
OWN_NEEDS = "operator"
"""What the release's own service accounts lacked and were granted."""
CATALOGUE_READER, LEDGER_USERS = "catalogue-reader", "ledger-users"
_JOINED = {"admin": FULL_ACCESS, "edit": COMMON_OPERATIONS, "view": VIEWER}
"""Kubernetes' own roles that ours may join, by aggregation."""
_EVERYTHING = "cluster-admin"


@dataclass(frozen=True, slots=True)
class Roles:
    """The release's roles."""

    prefix: str
    """Of the names of those for people; empty: the chart made none."""
    joined: frozenset[str]
    """Which of Kubernetes' own roles they join."""
    ledger_namespace: str | None
    """Where the Role is that opens the ledger; None: the release has none."""
    own_needs: frozenset[tuple[str, str, str]] = frozenset()
    """Kind, namespace and name of the roles by which `kubectl maas` granted what the release itself lacked."""

    def meant(self, binding: Manifest) -> str | None:
        """What a binding grants: one of our roles, by another's name or not; None: nothing of ours."""
        kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
        namespace = binding["metadata"].get("namespace") if kind == "Role" else None
        if (kind, namespace or "", name) in self.own_needs:
            return OWN_NEEDS
        if kind == "Role":
            opens_ledger = (namespace, name) == (self.ledger_namespace, f"{self.prefix}-{LEDGER_USERS}")
            return LEDGER_USERS if opens_ledger else None
        if name == _EVERYTHING:
            return FULL_ACCESS
        if name in self.joined:
            return _JOINED[name]
        ours = (*ROLES, CATALOGUE_READER) if self.prefix else ()
        return next((role for role in ours if name == f"{self.prefix}-{role}"), None)


@dataclass(frozen=True, slots=True)
class Grant:
    """What one binding grants."""

    role: str
    binding: Manifest

    @property
    def account(self) -> str | None:
        """None: all of them."""
        namespace: str | None = self.binding["metadata"].get("namespace")
        return namespace

    @property
    def subjects(self) -> list[Subject]:
        """To whom."""
        return [Subject.read(each) for each in self.binding.get("subjects") or ()]

    @property
    def made_here(self) -> bool:
        """Whether this tool made it, and it is as it was made, so that it may be removed. The label alone proves
        nothing: it comes along where somebody copies a binding, and stays where somebody adds a subject."""
        metadata, role = self.binding["metadata"], self.binding["roleRef"]["name"]
        if (metadata.get("labels") or {}).get(LABEL_MANAGED_BY) != MANAGER or len(self.subjects) != 1:
            return False
        name = role if self.role == OWN_NEEDS else _named(role, self.subjects[0])
        return bool(metadata["name"] == name)

    @property
    def named(self) -> str:
        """The binding, for people."""
        metadata = self.binding["metadata"]
        where = f"{metadata['namespace']}/" if self.account else ""
        return f"{self.binding['kind']} {where}{metadata['name']}"


def roles_of(
    cluster_roles: Sequence[Manifest], ledger_roles: Iterable[Manifest], own_needs: Iterable[Manifest]
) -> Roles:
    """From the chart's ClusterRoles, all Roles with the ledger's labels, of which the one in the release's namespace
    counts, and what roles this tool made. Raises CliError where there are roles for people, and nothing says of which
    release: what opens its ledger could then not be told from what looks like it."""
    names = {each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in cluster_roles}
    prefixes = sorted(name.removesuffix(f"-{FULL_ACCESS}") for name in names if name.endswith(f"-{FULL_ACCESS}"))
    prefix = prefixes[0] if prefixes else ""
    namespace = release.namespace_of(cluster_roles)
    if prefix and namespace is None:
        raise CliError(
            f"no ClusterRole of {prefix} says which namespace the release is in: upgrade the release, or say it "
            f"yourself (kubectl annotate clusterrole {prefix} {ANNOTATION_RELEASE_NAMESPACE}=NAMESPACE)"
        )
    joined = {
        theirs
        for theirs, ours in _JOINED.items()
        if names.get(f"{prefix}-{ours}", {}).get(f"rbac.authorization.k8s.io/aggregate-to-{theirs}") == "true"
    }
    ledgers = {(each["metadata"]["namespace"], each["metadata"]["name"]) for each in ledger_roles}
    opened = namespace if (namespace, f"{prefix}-{LEDGER_USERS}") in ledgers else None
    own = {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]) for each in own_needs}
    return Roles(prefix, frozenset(joined), opened, frozenset(own))


def wanted(roles: Roles, role: str, subject: Subject, account: str | None) -> list[Manifest]:
    """The bindings by which a subject has a role in an account, or in all (None).

    Pools and models have no namespace: who has a role in one account alone reads them by another binding. The ledger is
    behind a Role of its own, in the release's namespace; a viewer could not say to it who asks. Raises CliError where
    the chart made no roles for people.
    """
    if not roles.prefix:
        raise CliError(
            f"there is no ClusterRole ...-{FULL_ACCESS} with the label {LABEL_APP}=maas-operator: the chart makes the "
            "roles for people where its value roles.create is true"
        )
    made = [_binding(f"{roles.prefix}-{role}", "ClusterRole", subject, account)]
    if account is not None:
        made.append(_binding(f"{roles.prefix}-{CATALOGUE_READER}", "ClusterRole", subject, None))
    if roles.ledger_namespace and role != VIEWER:
        made.append(_binding(f"{roles.prefix}-{LEDGER_USERS}", "Role", subject, roles.ledger_namespace))
    return made


def reach(cluster_role: Manifest) -> str:
    """What a ClusterRole gives beside our own kinds, for people: given everywhere, it reaches what is not ours."""
    rules = [each for each in cluster_role.get("rules") or () if each.get("apiGroups") != [GROUP]]
    return "; ".join(f"{', '.join(each['verbs'])} {_resources(each)}" for each in rules)


def _resources(rule: Manifest) -> str:
    names = rule.get("resourceNames") or ()
    return ", ".join(rule.get("resources") or ()) + (f" of {', '.join(names)}" if names else "")


def grants_of(roles: Roles, bindings: Iterable[Manifest]) -> list[Grant]:
    """The bindings that grant something of ours."""
    meant = ((roles.meant(each), each) for each in bindings)
    return [Grant(role, binding) for role, binding in meant if role is not None]


def rows(grants: Iterable[Grant], account: str | None) -> Iterator[Row]:
    """Who has what, in an account, or in all (None): a line for each subject of each binding."""
    for grant in grants:
        if account is not None and grant.account not in {None, account} and grant.role != LEDGER_USERS:
            continue
        for subject in sorted(grant.subjects):
            yield {
                "subject": str(subject),
                "role": grant.role,
                "account": grant.account or "all" if grant.role in ROLES else "-",
                "binding": grant.named,
                "of": grant.binding["roleRef"]["name"],
                "grantedBy": "kubectl maas" if grant.made_here else "others",
            }


def going(grants: Sequence[Grant], subject: Subject, account: str | None) -> list[Grant]:
    """What is removed so that a subject has nothing in an account, or anywhere (None), by what this tool granted. What
    belongs to a role comes before it: where removing is interrupted, the role is still there to go on from."""
    theirs = [each for each in grants if each.made_here and each.subjects == [subject]]
    if account is None:
        return _roles_last(theirs)
    removed = [each for each in theirs if each.role in ROLES and each.account == account]
    stays = [each for each in theirs if each.role in ROLES and each.account != account]
    if removed and not stays:
        return _roles_last([each for each in theirs if each.role != OWN_NEEDS])
    if removed and all(each.role == VIEWER for each in stays):
        removed += [each for each in theirs if each.role == LEDGER_USERS]
    return _roles_last(removed)


def _roles_last(grants: Iterable[Grant]) -> list[Grant]:
    return sorted(grants, key=lambda each: each.role in ROLES)


def cleared(grants: Sequence[Grant], account: str | None) -> list[Grant]:
    """What is removed so that nobody has anything in an account, or anywhere (None), by what this tool granted. What
    the release itself was granted stays, since services stop working without it: revoke it by its service account."""
    of_people = [each for each in grants if each.made_here and each.role != OWN_NEEDS]
    subjects = {each for grant in of_people for each in grant.subjects}
    return [grant for subject in sorted(subjects) for grant in going(of_people, subject, account)]


def _binding(role: str, kind: str, subject: Subject, namespace: str | None) -> Manifest:
    metadata: Manifest = {"name": _named(role, subject), "labels": {LABEL_MANAGED_BY: MANAGER}}
    return {
        "apiVersion": RBAC,
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata | ({"namespace": namespace} if namespace else {}),
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": kind, "name": role},
        "subjects": [subject.manifest()],
    }


def _named(role: str, subject: Subject) -> str:
    """A binding's name: what is granted again has the same."""
    return f"{role}-{hashlib.sha256(f'{subject}'.encode()).hexdigest()[:8]}"
