"""Whether the operator may do what it has to: asked of the API server, told in the log and as a metric."""

import asyncio

import aiohttp
import structlog

from maas_operator import metrics
from maas_operator.act.answers import ApiError
from maas_operator.act.http import Http
from maas_operator.api.permissions import PERMISSIONS, Permission

REVIEW_SECONDS = 300.0
"""Between two reviews."""
AT_ONCE = 4
"""Questions in flight."""
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

log = structlog.get_logger()


class Permissions:
    """Reviews api.permissions' table."""

    def __init__(self, http: Http, namespace: str, lease: str) -> None:
        self._http = http
        self._own = {"namespace": namespace, "name": lease}
        self._missing: set[tuple[str, str, str]] = set()

    async def review_now_and_then(self) -> None:
        """Review now, and every REVIEW_SECONDS."""
        while True:
            try:
                await self.review()
            except (ApiError, aiohttp.ClientError, OSError) as error:
                log.warning("permissions could not be reviewed", error=str(error))
            await asyncio.sleep(REVIEW_SECONDS)

    async def review(self) -> None:
        """Ask for each verb; one log line for what is newly missing, and one when it was granted."""
        free = asyncio.Semaphore(AT_ONCE)

        async def ask(permission: Permission, verb: str) -> None:
            async with free:
                self._note(permission, verb, await self._allowed(permission, verb))

        await asyncio.gather(*(ask(each, verb) for each in PERMISSIONS for verb in each.verbs))

    async def _allowed(self, permission: Permission, verb: str) -> bool:
        resource, _, subresource = permission.resource.partition("/")
        attributes = {"group": permission.group, "resource": resource, "verb": verb}
        if subresource:
            attributes["subresource"] = subresource
        if permission.own_namespace:
            attributes |= self._own
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = await self._http.write("POST", _REVIEWS, body)
        return bool(answer["status"]["allowed"])

    def _note(self, permission: Permission, verb: str, allowed: bool) -> None:
        labels = (permission.group, permission.resource, verb)
        metrics.PERMISSION_MISSING.labels(*labels).set(0 if allowed else 1)
        named = {"resource": permission.resource, "group": permission.group, "verb": verb}
        if not allowed and labels not in self._missing:
            self._missing.add(labels)
            log.error("a permission is missing", **named, needed_for=permission.needed_for)
        elif allowed and labels in self._missing:
            self._missing.discard(labels)
            log.info("a permission was granted", **named)
