"""People of a cluster, as the API server sees them: each request is made in their name, as `kubectl --as` does it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes import config

from maas_operator.api.names import GROUP, VERSION
from tests.cluster import Cluster

SECONDS = 30
MERGE_PATCH = "application/merge-patch+json"
METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
READ = ("get", "list", "watch")
WRITE = tuple(METHODS)
"""Every verb that a resource has."""


@dataclass(frozen=True)
class Answer:
    """Of the API server."""

    status: int
    text: str

    @property
    def allowed(self) -> bool:
        """Whether RBAC let the request through; what else may be wrong with it is a mistake of the test."""
        assert self.status < 300 or self.status == 403, f"{self.status} {self.text}"
        return self.status != 403

    @property
    def refusal(self) -> str:
        """What a policy, or RBAC, says against it; empty where it was done."""
        return "" if self.status < 300 else str(json.loads(self.text)["message"])


class People:
    """Everybody, on one connection of the cluster's admin, who may speak in the name of each."""

    def __init__(self, cluster: Cluster) -> None:
        self._client = config.new_client_from_config(str(cluster.kubeconfig))  # type: ignore[no-untyped-call]

    def ask(
        self,
        person: str,
        method: str,
        path: str,
        body: object = None,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """A request in a person's name ("": the admin's own). A watch is left as soon as it begins."""
        headers = {"Content-Type": content} | ({"Impersonate-User": person} if person else {})
        answer = self._client.rest_client.pool_manager.request(
            method,
            self._client.configuration.host + path,
            fields=query if method == "GET" else None,
            body=json.dumps(body) if body is not None else None,
            headers=headers,
            preload_content=False,
            timeout=SECONDS,
            retries=False,
        )
        try:
            watches = bool(query and "watch" in query) and answer.status < 300
            return Answer(answer.status, "" if watches else answer.read().decode())
        finally:
            answer.close()

    def tries(self, person: str, verb: str, resource: str, stands: Mapping[str, Any]) -> Answer:
        """A verb on RESOURCE[/SUBRESOURCE], tried for real, and without leaving a trace where it changes something.

        stands: an object of the resource that is there.
        """
        plural, _, subresource = resource.partition("/")
        path, name = collection(stands, plural), stands["metadata"]["name"]
        if verb not in {"list", "watch", "create", "deletecollection"}:
            path += f"/{name}" + (f"/{subresource}" if subresource else "")
        query = {"watch": "true"} if verb == "watch" else {}
        if verb not in READ:
            path += "?dryRun=All"
        body: Any = None
        if verb == "create":
            kept = {key: stands["metadata"][key] for key in ("namespace",) if key in stands["metadata"]}
            body = {**stands, "metadata": {**kept, "name": f"{name}-2"}}
        elif verb == "update":
            body = json.loads(self.ask("", "GET", path.removesuffix("?dryRun=All")).text)
        elif verb == "patch":
            body = {"metadata": {"labels": {"tried": "yes"}}} if not subresource else {"spec": {}}
        return self.ask(
            person, METHODS[verb], path, body, MERGE_PATCH if verb == "patch" else "application/json", query
        )

    def may(self, person: str, verb: str, resource: str, namespace: str = "") -> bool:
        """What the API server says of a verb on RESOURCE[/SUBRESOURCE] of ours, or on Secrets."""
        plural, _, subresource = resource.partition("/")
        group = "" if plural == "secrets" else GROUP
        attributes = {"verb": verb, "group": group, "resource": plural, "subresource": subresource}
        review = {"spec": {"user": person, "resourceAttributes": attributes | {"namespace": namespace}}}
        answer = self.ask("", "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(json.loads(answer.text)["status"]["allowed"])


def collection(manifest: Mapping[str, Any], plural: str) -> str:
    """The path of an object's fellows."""
    namespace = manifest["metadata"].get("namespace")
    group, _, version = manifest["apiVersion"].rpartition("/")
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return f"{root}{f'/namespaces/{namespace}' if namespace else ''}/{plural}"


def ours(kind: str, name: str, spec: Mapping[str, Any], namespace: str | None = None) -> dict[str, Any]:
    """A manifest of one of our kinds."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": metadata, "spec": dict(spec)}
