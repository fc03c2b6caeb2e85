"""Kubernetes events: told once for each object, reason and message, also over a restart."""

import hashlib
from collections import OrderedDict
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp
import structlog

from maas_operator.act.answers import ApiError
from maas_operator.act.http import Http
from maas_operator.api.decision import Event
from maas_operator.api.names import FIELD_MANAGER
from maas_operator.api.seen import Manifest
from maas_operator.api.times import written

REMEMBERED = 4096
"""Events that are known to have been told."""
MESSAGE_LENGTH = 1024
"""Characters that the API server takes in an event's message."""
CLUSTER_EVENTS_NAMESPACE = "default"
"""Where events about objects without a namespace go, as everywhere in Kubernetes."""

log = structlog.get_logger()


class Events:
    """Tells events. It never fails: what cannot be told is logged."""

    def __init__(self, http: Http, instance: str) -> None:
        self._http = http
        self._instance = instance
        self._told: OrderedDict[str, None] = OrderedDict()

    async def tell(self, subject: Manifest, event: Event) -> None:
        """Tell an event about an object, unless it was told before."""
        name = event_name(subject, event)
        if name in self._told:
            self._told.move_to_end(name)
            return
        manifest = self._manifest(name, subject, event)
        path = f"/api/v1/namespaces/{manifest['metadata']['namespace']}/events"
        try:
            await self._http.write("POST", path, manifest)
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:  # a conflict: it was told before this process began
                log.warning("an event could not be told", event_reason=event.reason, error=error.message)
                return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("an event could not be told", event_reason=event.reason, error=str(error))
            return
        self._remember(name)

    def _remember(self, name: str) -> None:
        self._told[name] = None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def _manifest(self, name: str, subject: Manifest, event: Event) -> Manifest:
        metadata = subject["metadata"]
        now = written(datetime.now(UTC))
        reference = {"apiVersion": subject["apiVersion"], "kind": subject["kind"], "name": metadata["name"]}
        reference |= {key: metadata[key] for key in ("namespace", "uid") if key in metadata}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata.get("namespace", CLUSTER_EVENTS_NAMESPACE)},
            "involvedObject": reference,
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:MESSAGE_LENGTH],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self._instance,
        }


def event_name(subject: Manifest, event: Event) -> str:
    """The event's own name: equal for equal events about the same object."""
    told = "\0".join((subject["metadata"]["uid"], event.type, event.reason, event.message, event.at or ""))
    return f"{subject['metadata']['name'][:200]}.{hashlib.sha256(told.encode()).hexdigest()[:16]}"
