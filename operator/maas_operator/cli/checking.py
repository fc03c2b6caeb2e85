"""Asking the API server what the release's service accounts may do."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import yaml

from maas_operator.api.names import LABEL_APP
from maas_operator.cli import release
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.errors import CliError
from maas_operator.cli.needed import (
    OPERATOR,
    TABLES,
    Identity,
    Manifest,
    Question,
    identity_of,
    named,
    questions,
    review,
)

AT_ONCE = 4
"""Questions in flight."""
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_WORKLOADS = (("Deployment", "/apis/apps/v1/deployments"), ("Job", "/apis/batch/v1/jobs"))
_CLUSTER_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


@dataclass(frozen=True, slots=True)
class Installed:
    """What is installed."""

    identities: tuple[Identity, ...]
    elsewhere: tuple[str, ...]
    """What has the release's labels outside of its namespace, by name: whoever may write there can say so."""


def installed(cluster: Cluster, namespace: str | None = None) -> Installed:
    """The service accounts of the release, of its namespace alone: the one that its ClusterRoles say; `namespace`, as
    -n names it, counts where they say none. Raises CliError where nothing is installed."""
    roles = cluster.ask("GET", _CLUSTER_ROLES, what="list the ClusterRoles of maas-operator", selector=release.SELECTOR)
    where = release.chosen(release.namespace_of(roles["items"]), namespace)
    found, elsewhere = [], []
    for kind, path in _WORKLOADS:
        selector = f"{LABEL_APP} in ({','.join(TABLES)})"
        listed = cluster.ask("GET", path, what=f"list the {kind}s of all namespaces", selector=selector)["items"]
        for each in ({"kind": kind} | each for each in listed):  # items of a list do not say their kind
            if each["metadata"]["namespace"] == where:
                found.append(identity_of(each, notifies=_notifies(cluster, each)))
            else:
                elsewhere.append(named(each))
    if not any(each.part == OPERATOR for each in found):
        raise CliError(
            f"maas-operator is not installed in namespace {where}: no Deployment has the label {LABEL_APP}={OPERATOR}"
        )
    return Installed(tuple(dict.fromkeys(found)), tuple(elsewhere))


def missing(cluster: Cluster, identities: Sequence[Identity]) -> list[Question]:
    """What they need and may not do."""
    asked = list(questions(identities))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda each: _allowed(cluster, each), asked))
    return [question for question, allowed in zip(asked, answers, strict=True) if not allowed]


def _allowed(cluster: Cluster, question: Question) -> bool:
    answer = cluster.ask(
        "POST", _REVIEWS, review(question), what=f"ask what service account {question.identity.name} may do"
    )
    return bool(answer["status"]["allowed"])


def _notifies(cluster: Cluster, workload: Manifest) -> bool:
    """Whether it is the operator, with notifications on. Raises CliError where its settings are not the chart's."""
    if workload["metadata"]["labels"][LABEL_APP] != OPERATOR:
        return False
    volumes = workload["spec"]["template"]["spec"].get("volumes") or ()
    volume = next((each for each in volumes if each["name"] == "settings"), None)
    if volume is None:
        return False
    if "configMap" not in volume:
        raise CliError(f"{named(workload)} has its settings from no ConfigMap: it is not as the chart makes it")
    namespace, name = workload["metadata"]["namespace"], volume["configMap"].get("name", "")
    where = f"{namespace}/{name}"
    path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
    return notifications_on(cluster.ask("GET", path, what=f"read ConfigMap {where}"), where)


def notifications_on(settings: Manifest, where: str) -> bool:
    """Whether the operator's settings, a ConfigMap, have notifications on. Raises CliError where they are no settings.
    Settings that are newer than this CLI are read, too: what else they say does not matter here."""
    try:
        read = yaml.safe_load((settings.get("data") or {})["settings.yaml"]) or {}
        return bool((read.get("notifications") or {}).get("enabled"))
    except (KeyError, AttributeError, yaml.YAMLError) as error:
        raise CliError(
            f"ConfigMap {where} has no settings of the operator in settings.yaml: is it the chart's?"
        ) from error
