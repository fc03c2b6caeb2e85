"""The pods of the account's services: which there are, their logs, and what they say on their ports."""

import json
from collections.abc import Iterator
from typing import Any

from kubernetes.client import CoreV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.watch import Watch

from maas_operator.api.names import CONTAINER, FIELD_MANAGER, LABEL_LWS_WORKER, LABEL_MANAGED_BY, LABEL_SERVICE
from maas_operator.cli.cluster import SECONDS, Cluster, explained

Manifest = dict[str, Any]


class Pods:
    """Pods, as the user may see them. What goes wrong is raised as CliError."""

    def __init__(self, cluster: Cluster) -> None:
        self._core: Any = CoreV1Api(cluster.client)
        self._account = cluster.account

    def of(self, service: str | None) -> list[Manifest]:
        """The instances of a service, or of all of the account's services."""
        with explained(f"list the pods of account {self._account}"):
            found = self._core.list_namespaced_pod(
                self._account, label_selector=_selector(service), _preload_content=False, _request_timeout=SECONDS
            )
            return _items(found)

    def everywhere(self, selector: str, namespace: str | None) -> list[Manifest]:
        """Pods by their labels, in a namespace, or in all."""
        whose = f"namespace {namespace}" if namespace else "all namespaces"
        with explained(f"list the pods of {whose}"):
            options = {"label_selector": selector, "_preload_content": False, "_request_timeout": SECONDS}
            if namespace:
                return _items(self._core.list_namespaced_pod(namespace, **options))
            return _items(self._core.list_pod_for_all_namespaces(**options))

    def watch(self, service: str) -> Iterator[Manifest]:
        """The instances of a service as they are, and each again whenever it changes; without end."""
        with explained(f"watch the pods of account {self._account}"):
            pods = self._core.list_namespaced_pod
            watch: Any = Watch()  # type: ignore[no-untyped-call]
            for event in watch.stream(pods, self._account, label_selector=_selector(service), deserialize=False):
                yield event["object"]

    def log(
        self, pod: str, *, follow: bool = False, since: int | None = None, tail: int | None = None, last: bool = False
    ) -> Iterator[str]:
        """The lines of an engine's log, each with its time before it. since: seconds ago; tail: the last so many lines;
        last: of the run before the present one."""
        with explained(f"read the log of instance {pod}"):
            options = {"since_seconds": since, "tail_lines": tail} | ({"previous": True} if last else {})
            answer = self._core.read_namespaced_pod_log(
                pod,
                self._account,
                container=CONTAINER,
                follow=follow,
                timestamps=True,
                _preload_content=False,
                _request_timeout=None if follow else SECONDS,
                **{name: value for name, value in options.items() if value is not None},
            )
            _raise_for(answer)
            for line in answer:
                yield line.decode(errors="replace").rstrip("\n")

    def page(self, namespace: str, pod: str, port: int, path: str) -> str:
        """What a pod answers on a port, read through the API server."""
        with explained(f"read {path} of pod {namespace}/{pod}"):
            answer = self._core.connect_get_namespaced_pod_proxy_with_path(
                f"{pod}:{port}", namespace, path, _preload_content=False, _request_timeout=SECONDS
            )
            _raise_for(answer)
            return str(answer.data.decode(errors="replace"))


def leads(pod: Manifest) -> bool:
    """Whether it is the pod of its instance that takes requests: of an instance of several hosts the first."""
    return bool(pod["metadata"].get("labels", {}).get(LABEL_LWS_WORKER, "0") == "0")


def _selector(service: str | None) -> str:
    whose = LABEL_SERVICE if service is None else f"{LABEL_SERVICE}={service}"
    return f"{LABEL_MANAGED_BY}={FIELD_MANAGER},{whose}"


def _items(answer: Any) -> list[Manifest]:
    _raise_for(answer)
    items: list[Manifest] = json.loads(answer.data)["items"]
    return items


def _raise_for(answer: Any) -> None:
    """Raise what the client raises by itself where it reads the answer."""
    if not 200 <= answer.status < 300:
        raise ApiException(status=answer.status, reason=answer.reason, body=answer.data.decode(errors="replace"))
