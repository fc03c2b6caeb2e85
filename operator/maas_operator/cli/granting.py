"""Reading, making and removing bindings in the cluster."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from maas_operator.api.names import LABEL_APP, LABEL_MANAGED_BY
from maas_operator.cli import bindings, release
from maas_operator.cli.bindings import OWN_NEEDS, Grant, Roles
from maas_operator.cli.cluster import MANAGER, Cluster
from maas_operator.cli.errors import CliError, ConflictError, GoneError
from maas_operator.cli.needed import Manifest
from maas_operator.cli.subjects import Subject

_API = "/apis/rbac.authorization.k8s.io/v1"
_LEDGERS = f"{LABEL_APP}=maas-ledger"
_MADE_HERE = f"{LABEL_MANAGED_BY}={MANAGER}"


class Granting:
    """The bindings of the release's roles. What goes wrong is raised as CliError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._own_needs = self._listed("ClusterRole", _MADE_HERE) + self._listed("Role", _MADE_HERE)
        self._charts = self._listed("ClusterRole", release.SELECTOR)
        self.roles: Roles = bindings.roles_of(self._charts, self._listed("Role", _LEDGERS), self._own_needs)

    def grants(self) -> list[Grant]:
        """All there are, by whomever."""
        there = self._listed("ClusterRoleBinding") + self._listed("RoleBinding")
        return bindings.grants_of(self.roles, there)

    def reach(self, role: str) -> str:
        """What a role for people gives beside our own kinds, for people; empty where the chart made none."""
        name = f"{self.roles.prefix}-{role}"
        return next((bindings.reach(each) for each in self._charts if each["metadata"]["name"] == name), "")

    def grant(self, role: str, subject: Subject, account: str | None) -> list[Manifest]:
        """Make what is not there yet; returns it."""
        wanted = bindings.wanted(self.roles, role, subject, account)
        there = {each.named: each for each in self.grants()}
        made = []
        for each in wanted:
            grant = Grant(role, each)
            known = there.get(grant.named) or self._made(grant)
            if known is None:
                made.append(each)
            elif known.subjects != [subject] or known.binding["roleRef"] != each["roleRef"]:
                raise CliError(f"{grant.named} was changed by somebody since it was made: remove it, and grant again")
        return made

    def _made(self, grant: Grant) -> Grant | None:
        """Make a binding; returns what stands in its place where somebody was faster: several grants share bindings."""
        path, name = _path(grant.binding), grant.binding["metadata"]["name"]
        try:
            self._cluster.ask("POST", path, grant.binding, what=f"make {grant.named}")
        except ConflictError:
            return Grant(grant.role, self._cluster.ask("GET", f"{path}/{name}", what=f"read {grant.named}"))
        return None

    def remove(self, grants: Iterable[Grant]) -> None:
        """Remove bindings, in this order, and the roles that were made for them alone; unless somebody changed one
        meanwhile. What is gone already is left at that."""
        for each in grants:
            self._remove(each.binding)
            if each.role == OWN_NEEDS:
                kind, name = each.binding["roleRef"]["kind"], each.binding["roleRef"]["name"]
                where = each.binding["metadata"].get("namespace")
                self._remove(next(role for role in self._own_needs if _is(role, kind, name, where)))

    def _remove(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        seen = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        what = f"remove {manifest['kind']} {metadata['name']}"
        with suppress(GoneError):
            self._cluster.ask("DELETE", f"{_path(manifest)}/{metadata['name']}", {"preconditions": seen}, what=what)

    def _listed(self, kind: str, selector: str | None = None) -> list[Manifest]:
        resource = f"{kind.lower()}s"
        found = self._cluster.ask("GET", f"{_API}/{resource}", what=f"list all {resource}", selector=selector)
        items: Sequence[Manifest] = found["items"]
        return [{"kind": kind} | each for each in items]  # items of a list do not say their kind


def apply(cluster: Cluster, manifest: Manifest) -> None:
    """Make a role or a binding, or make it what it was made as."""
    name = manifest["metadata"]["name"]
    cluster.apply(f"{_path(manifest)}/{name}", manifest, what=f"make {manifest['kind']} {name}")


def _is(role: Manifest, kind: str, name: str, namespace: str | None) -> bool:
    metadata = role["metadata"]
    return (role["kind"], metadata["name"], metadata.get("namespace")) == (kind, name, namespace)


def _path(manifest: Manifest) -> str:
    namespace = manifest["metadata"].get("namespace")
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{_API}{where}/{manifest['kind'].lower()}s"
