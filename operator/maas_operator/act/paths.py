"""Where the API server has the objects that the operator writes or removes."""

from maas_operator.api.kinds import KINDS
from maas_operator.api.names import API_VERSION, LWS_GROUP, LWS_KIND, LWS_VERSION
from maas_operator.api.seen import Manifest

_CHILDREN = {
    "ConfigMap": ("v1", "configmaps"),
    "Deployment": ("apps/v1", "deployments"),
    "Job": ("batch/v1", "jobs"),
    LWS_KIND: (f"{LWS_GROUP}/{LWS_VERSION}", "leaderworkersets"),
    "Pod": ("v1", "pods"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "Secret": ("v1", "secrets"),
    "Service": ("v1", "services"),
}
_PLACES = _CHILDREN | {kind.kind: (API_VERSION, kind.plural) for kind in KINDS}


def path_of(kind: str, namespace: str, name: str) -> str:
    """The path of an object; `namespace` is empty for the cluster's own. Raises KeyError for a kind never written."""
    return f"{path_of_all(kind, namespace)}/{name}"


def path_of_all(kind: str, namespace: str) -> str:
    """The path under which objects of a kind are made."""
    version, plural = _PLACES[kind]
    root = "/apis" if "/" in version else "/api"
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}/{version}{within}/{plural}"


def path_of_manifest(manifest: Manifest) -> str:
    """The path of an object, from its manifest."""
    metadata = manifest["metadata"]
    return path_of(manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def title(kind: str, namespace: str, name: str) -> str:
    """An object as people call it: "Deployment team-a/assistant"."""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
