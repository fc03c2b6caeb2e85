"""`kubectl maas`, by its own entry point, on a release of the chart; and what a user may do there."""

from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from maas_operator.cli import cluster as users
from maas_operator.cli.main import cli
from tests.chart.release import Releases

RBAC = "/apis/rbac.authorization.k8s.io/v1"
SEEN_SECONDS = 10.0
"""Limit until the API server obeys what was granted or taken: it sees roles by a watch of its own."""
OPERATOR = "maas-maas-operator"


@dataclass(frozen=True)
class Said:
    """What a command printed."""

    code: int
    out: str
    err: str


def as_(kubeconfig: Path) -> users.Cluster:
    return users.Cluster(str(kubeconfig), None, None)


def maas(releases: Releases, *arguments: str, user: str | None = None, typed: str = "") -> Said:
    """`kubectl maas`, as the cluster's admin or as a user."""
    kubeconfig = releases.cluster.user_kubeconfig(user) if user else releases.cluster.kubeconfig
    done = CliRunner().invoke(cli, [*arguments, f"--kubeconfig={kubeconfig}"], input=typed, catch_exceptions=False)
    return Said(done.exit_code, done.stdout, done.stderr)


def may(releases: Releases, user: str, verb: str, resource: str, account: str = "") -> bool:
    """What the API server tells a user who asks, with a certificate of their own, of RESOURCE[.GROUP][/NAME][/SUB]."""
    what, name, subresource = (*resource.split("/"), "", "")[:3]
    plural, _, group = what.partition(".")
    attributes = {"verb": verb, "group": group, "resource": plural, "namespace": account}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes | {"name": name, "subresource": subresource}},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asking = as_(releases.cluster.user_kubeconfig(user))
    return bool(asking.ask("POST", path, review, what=f"ask what {user} may do")["status"]["allowed"])
