"""Whether a process may do what it has to: asked of the API server, told in the log and as a metric."""

import asyncio
from collections.abc import Iterable, Sequence

import aiohttp
import structlog

from maas_operator import metrics
from maas_operator.act.answers import ApiError
from maas_operator.act.http import Http
from maas_operator.api.permissions import Lack, Permission

REVIEW_SECONDS = 300.0
"""Between two reviews of everything."""
RECHECK_SECONDS = 15.0
"""Between two questions whether what is missing has been granted; none is asked while nothing is missing."""
AT_ONCE = 4
"""Questions in flight."""
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

log = structlog.get_logger()


class Permissions:
    """Reviews what of api.permissions is needed. A review stores nothing: it is no write."""

    def __init__(self, http: Http, needed: Sequence[Permission], namespace: str, lease: str) -> None:
        self._http = http
        self._needed = [(each, verb) for each in needed for verb in each.verbs]
        self._own = {"namespace": namespace, "name": lease}
        self.missing: set[Lack] = set()
        """What was missing when it was asked last."""
        self.changed = asyncio.Event()
        """Something else is missing than before. Whoever acts on it clears it."""

    async def review_now_and_then(self) -> None:
        """Review now, and every REVIEW_SECONDS; what is missing, sooner."""
        loop = asyncio.get_running_loop()
        while True:
            await self._tried(self._needed)
            due = loop.time() + REVIEW_SECONDS
            while (left := due - loop.time()) > 0:
                await asyncio.sleep(min(left, RECHECK_SECONDS) if self.missing else left)
                await self._tried([each for each in self._needed if _lack(*each) in self.missing])

    async def review(self, asked: Iterable[tuple[Permission, str]] | None = None) -> None:
        """Ask for each verb, of everything or of this alone; one log line for what is newly missing, and one when it
        was granted. All is asked, whatever goes wrong with one; then the first of what went wrong is raised (ApiError,
        aiohttp.ClientError, OSError)."""
        free, before = asyncio.Semaphore(AT_ONCE), frozenset(self.missing)

        async def ask(permission: Permission, verb: str) -> None:
            async with free:
                self._note(permission, verb, await self._allowed(permission, verb))

        asking = (ask(*each) for each in (self._needed if asked is None else asked))
        answers = await asyncio.gather(*asking, return_exceptions=True)
        if self.missing != before:
            self.changed.set()
        if failed := next(filter(None, answers), None):
            raise failed

    async def _tried(self, asked: Iterable[tuple[Permission, str]]) -> None:
        try:
            await self.review(asked)
        except (ApiError, aiohttp.ClientError, OSError) as error:
            log.warning("permissions could not be reviewed", error=str(error))

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
        lack = _lack(permission, verb)
        metrics.PERMISSION_MISSING.labels(*lack).set(0 if allowed else 1)
        named = {"resource": permission.resource, "group": permission.group, "verb": verb}
        if not allowed and lack not in self.missing:
            self.missing.add(lack)
            log.error("a permission is missing", **named, needed_for=permission.needed_for)
        elif allowed and lack in self.missing:
            self.missing.discard(lack)
            log.info("a permission was granted", **named)


def _lack(permission: Permission, verb: str) -> Lack:
    return Lack(permission.group, permission.resource, verb)
