"""A user who may do what api.permissions says, and nothing else."""

from typing import Any

from maas_operator.api.permissions import PERMISSIONS
from tests.api.operator_process import Account
from tests.cluster import Cluster


class Grants:
    """A user with the operator's own permissions, less some."""

    def __init__(self, cluster: Cluster, user: str) -> None:
        self.kubeconfig = cluster.user_kubeconfig(user)
        self._cluster = cluster
        self._user = user

    def all_but(self, resource: str = "", verb: str = "") -> None:
        """Grant everything in api.permissions but this."""
        rules = [
            {
                "apiGroups": [each.group],
                "resources": [each.resource],
                "verbs": verbs,
            }
            for each in PERMISSIONS
            if (verbs := [name for name in each.verbs if (each.resource, name) != (resource, verb)])
        ]
        rbac = "rbac.authorization.k8s.io"
        metadata = {"name": self._user}
        role = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}
        binding: dict[str, Any] = {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": self._user},
            "subjects": [{"kind": "User", "name": self._user, "apiGroup": rbac}],
        }
        Account.apply_to(self._cluster, role, binding)
