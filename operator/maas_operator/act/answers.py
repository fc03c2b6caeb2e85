"""What the API server's refusals mean."""

import json
import re
from http import HTTPStatus

from maas_operator.api.conditions import Reason
from maas_operator.api.permissions import PERMISSIONS
from maas_operator.api.seen import Manifest, WriteFailure

_NOT_ALLOWED = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"')


class Refused(Exception):  # noqa: N818 it is an answer
    """A write that did not succeed."""

    def __init__(self, failure: WriteFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Outdated(Exception):  # noqa: N818
    """The object is not the one that was seen: look again before deciding anything."""


class Gone(Exception):  # noqa: N818
    """There is nothing to write to any more: the object or its namespace is being deleted."""


class ApiError(OSError):
    """An answer that is not a success. `status` is the HTTP status, `answer` the API server's Status."""

    def __init__(self, status: int, answer: Manifest) -> None:
        super().__init__(f"HTTP {status}: {answer.get('message', 'no message')}")
        self.status = status
        self.answer = answer

    @property
    def message(self) -> str:
        """The API server's words."""
        return str(self.answer.get("message", f"HTTP status {self.status}"))


def api_error(status: int, body: bytes) -> ApiError:
    """The error of an answer; a proxy in between may have answered something else than JSON."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    return ApiError(status, answer if isinstance(answer, dict) else {})


def judge(what: str, namespace: str, error: ApiError) -> Exception:
    """Refused, Outdated or Gone: what an error on writing an object comes to."""
    if error.status == HTTPStatus.NOT_FOUND or _terminating(error.answer):
        return Gone(error.message)
    if error.status == HTTPStatus.CONFLICT:
        return Outdated(error.message)
    if error.status == HTTPStatus.FORBIDDEN:
        return Refused(_forbidden(what, namespace, error))
    if error.status in {HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST}:
        message = f"the API server refuses {what}: {error.message}"
        return Refused(WriteFailure(what, Reason.REFUSED, message, retry=False))
    return Refused(unanswered(what, error))


def unanswered(what: str, error: Exception) -> WriteFailure:
    """The failure of a write that the API server did not deal with."""
    words = str(error) or type(error).__name__
    return WriteFailure(what, Reason.WRITE_FAILED, f"{what} could not be written: {words}; it is tried again")


def _forbidden(what: str, namespace: str, error: ApiError) -> WriteFailure:
    """A missing permission, named; or a refusal by an admission plugin, such as a quota, in its own words."""
    found = _NOT_ALLOWED.search(error.message)
    if found is None:
        return WriteFailure(what, Reason.REFUSED, f"the API server refuses {what}: {error.message}")
    resource = ".".join(part for part in (found["resource"], found["group"]) if part)
    message = (
        f"the operator may not {found['verb']} {resource}{f' in namespace {namespace}' if namespace else ''}"
        f"{_purpose(found['group'], found['resource'])}: grant it to the operator's service account, as its chart does"
    )
    return WriteFailure(what, Reason.FORBIDDEN, message)


def _purpose(group: str, resource: str) -> str:
    found = next((each for each in PERMISSIONS if (each.group, each.resource) == (group, resource)), None)
    return f" (needed for {found.needed_for})" if found else ""


def _terminating(answer: Manifest) -> bool:
    causes = answer.get("details", {}).get("causes", ())
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
