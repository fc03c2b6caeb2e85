"""Users who may do what a table of permissions says, and nothing else."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from maas_operator.api.permissions import PERMISSIONS, Permission
from tests.cluster import Cluster

RBAC = "rbac.authorization.k8s.io"


def granted(cluster: Cluster, user: str, permissions: Iterable[Permission]) -> Path:
    """A kubeconfig that may do what the table says."""
    rules = [
        {"apiGroups": [each.group], "resources": [each.resource], "verbs": list(each.verbs)} for each in permissions
    ]
    metadata = {"name": user}
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": user},
        "subjects": [{"kind": "User", "name": user, "apiGroup": RBAC}],
    }
    whole = {"apiVersion": "v1", "kind": "List", "items": [role, binding]}
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(whole))
    return cluster.user_kubeconfig(user)


class Grants:
    """A user with the operator's own permissions, less some."""

    def __init__(self, cluster: Cluster, user: str) -> None:
        self.kubeconfig = cluster.user_kubeconfig(user)
        self._cluster = cluster
        self._user = user

    def all_but(self, resource: str = "", verb: str = "") -> None:
        """Grant everything in api.permissions but this."""
        left = [
            replace(each, verbs=tuple(name for name in each.verbs if (each.resource, name) != (resource, verb)))
            for each in PERMISSIONS
        ]
        granted(self._cluster, self._user, [each for each in left if each.verbs])
