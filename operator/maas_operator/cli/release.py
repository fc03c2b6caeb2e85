"""In which namespace the release is. Pure.

The chart's ClusterRoles say it. Nobody makes one who has rights in namespaces alone; what has the chart's labels in a
namespace proves nothing.
"""

from collections.abc import Iterable

from maas_operator.api.names import ANNOTATION_RELEASE_NAMESPACE, LABEL_APP
from maas_operator.cli.errors import CliError
from maas_operator.cli.needed import OPERATOR, Manifest

SELECTOR = f"{LABEL_APP}={OPERATOR}"
"""Of the ClusterRoles that say it."""
_HELMS = "meta.helm.sh/release-namespace"
"""Helm's own, on all that it installs: releases of older charts have no other."""


def namespace_of(cluster_roles: Iterable[Manifest]) -> str | None:
    """As the chart's ClusterRoles say; None: none does. Raises CliError where they contradict each other."""
    said: dict[str, str] = {}
    for each in cluster_roles:
        metadata = each["metadata"]
        annotations = metadata.get("annotations") or {}
        namespace = annotations.get(ANNOTATION_RELEASE_NAMESPACE) or annotations.get(_HELMS)
        if namespace:
            said.setdefault(namespace, metadata["name"])
    if len(said) > 1:
        told = ", ".join(f"{namespace} (ClusterRole {name})" for namespace, name in sorted(said.items()))
        raise CliError(
            f"ClusterRoles tell of releases in several namespaces: {told}; remove what no release has any more"
        )
    return next(iter(said), None)


def chosen(said: str | None, named: str | None) -> str:
    """The release's namespace, as the ClusterRoles or, where they say nothing, -n names it. Raises CliError."""
    if said and named and said != named:
        raise CliError(f"-n {named}: the release is in namespace {said}, as its ClusterRoles say; leave -n out")
    if not (said or named):
        raise CliError(
            f"no ClusterRole with the label {SELECTOR} says which namespace the release is in "
            f"(annotation {ANNOTATION_RELEASE_NAMESPACE}): where maas-operator is installed, name its namespace by -n"
        )
    return said or named or ""
