"""The workloads of a service as they stand: a Deployment, LeaderWorkerSets, or, while a change goes from one to
another, several of them."""

from collections.abc import Iterator
from typing import Any

from maas_operator.api.names import GROUP, LWS_KIND
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.decide.identity import labels, owned

DEPLOYMENT = "Deployment"
WORKLOADS = (DEPLOYMENT, LWS_KIND)
"""Kinds that run instances. A Deployment is rolled in place; a LeaderWorkerSet is made anew for each template, as a
ReplicaSet is, since version 0.7 has no way to bring a group up before it takes a lone one away."""
_OURS = {
    DEPLOYMENT: ("revisionHistoryLimit", "progressDeadlineSeconds", "selector", "strategy"),
    LWS_KIND: ("startupPolicy",),
}
"""Fields of the spec that the operator sets, beside the number of instances and the template."""
TEMPLATE = {DEPLOYMENT: "template", LWS_KIND: "leaderWorkerTemplate"}
"""Where a workload has what it makes its pods from."""


def workloads(seen: ServiceSeen) -> list[Manifest]:
    """The service's own, in the order of their names."""
    uid = seen.service["metadata"]["uid"]
    found = [live for (kind, _), live in seen.children.items() if kind in WORKLOADS and owned(live, uid)]
    return sorted(found, key=lambda each: (each["kind"], each["metadata"]["name"]))


def replicas(live: Manifest) -> int:
    """How many instances a workload asks for."""
    return int(live.get("spec", {}).get("replicas", 1))


def standing_replicas(seen: ServiceSeen) -> int:
    """How many instances the service's workloads ask for as they stand; 0 where there are none. While a change brings
    another workload, those of the one that has most."""
    return max((replicas(live) for live in workloads(seen)), default=0)


def template_of(live: Manifest) -> Manifest:
    """What a workload makes its pods from; empty where it is not there."""
    found: Manifest = live.get("spec", {}).get(TEMPLATE[live["kind"]]) or {}
    return found


def pod_templates(template: Manifest) -> Iterator[Manifest]:
    """The pod templates in a workload's template: a Deployment's is one, a LeaderWorkerSet's has two, that of the
    leader first."""
    if "workerTemplate" in template:
        yield template.get("leaderTemplate", {})
        yield template["workerTemplate"]
    else:
        yield template


def pod_labels(template: Manifest) -> dict[str, str]:
    """Labels of the pods that take requests."""
    found: dict[str, str] = next(pod_templates(template)).get("metadata", {}).get("labels", {})
    return found


def annotation(live: Manifest, name: str) -> str:
    """An annotation; empty where there is none."""
    return str(live["metadata"].get("annotations", {}).get(name, ""))


def skeleton(live: Manifest) -> Manifest:
    """A workload as the operator applied it, but for its template, the number of its instances and their digests."""
    metadata = live["metadata"]
    ours = {key: value for key, value in metadata.get("labels", {}).items() if key in labels("")}
    kept: dict[str, Any] = {"name": metadata["name"], "namespace": metadata["namespace"], "labels": ours}
    owners = [owner for owner in metadata["ownerReferences"] if owner["apiVersion"].partition("/")[0] == GROUP]
    spec = {key: live["spec"][key] for key in _OURS[live["kind"]] if key in live["spec"]}
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": kept | {"ownerReferences": owners},
        "spec": spec,
    }
