"""Who asks: a service account, proven by a short-lived token for the ledger's audience alone.

The API server says whose token it is (TokenReview). There is no password of the ledger's own.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kubernetes.client import AuthenticationV1Api, V1TokenReview, V1TokenReviewSpec
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from maas_operator.api.usage import LEDGER_AUDIENCE

BELIEVED_SECONDS = 60.0
"""A verdict is asked for again after this time: a deleted service account is out by then."""
BELIEVED_AT_MOST_SECONDS = 3600.0
"""While the API server does not answer, an earlier verdict counts for so long."""
REVIEW_SECONDS = 10.0
KEPT = 1000
"""Verdicts that are remembered."""
_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True)
class Identity:
    """A service account."""

    namespace: str
    name: str


class NotReviewedError(Exception):
    """The API server did not say whose token it is."""


Review = Callable[[str], Awaitable[Identity | None]]
"""Token -> whose it is; None: nobody's. Raises NotReviewedError."""


def reviewer(api: AuthenticationV1Api) -> Review:
    """Ask this API server."""

    def ask(token: str) -> Identity | None:
        body = V1TokenReview(spec=V1TokenReviewSpec(token=token, audiences=[LEDGER_AUDIENCE]))
        try:
            status = api.create_token_review(body, _request_timeout=REVIEW_SECONDS).status
        except (ApiException, HTTPError, OSError) as error:
            raise NotReviewedError(f"the API server did not review a token: {error}") from error
        if not status or not status.authenticated or LEDGER_AUDIENCE not in (status.audiences or ()):
            return None
        return identity((status.user and status.user.username) or "")

    async def review(token: str) -> Identity | None:
        return await asyncio.to_thread(ask, token)

    return review


def identity(username: str) -> Identity | None:
    """The service account of this user name; None for what is none."""
    namespace, _, name = username.removeprefix(_PREFIX).partition(":")
    return Identity(namespace, name) if username.startswith(_PREFIX) and namespace and name else None


class Remembered:
    """Reviews, remembered for a short time; by the token's digest, so that no token lies in memory for long."""

    def __init__(self, review: Review, clock: Callable[[], float] = time.monotonic) -> None:
        self._review = review
        self._clock = clock
        self._verdicts: dict[bytes, tuple[float, Identity]] = {}

    async def __call__(self, token: str) -> Identity | None:
        """Whose token it is. Raises NotReviewedError."""
        digest, now = hashlib.sha256(token.encode()).digest(), self._clock()
        at, known = self._verdicts.get(digest, (0.0, None))
        if known and now - at < BELIEVED_SECONDS:
            return known
        try:
            found = await self._review(token)
        except NotReviewedError:
            if known and now - at < BELIEVED_AT_MOST_SECONDS:
                return known
            raise
        self._verdicts.pop(digest, None)
        if found:
            self._verdicts[digest] = (now, found)
            while len(self._verdicts) > KEPT:
                del self._verdicts[next(iter(self._verdicts))]
        return found
