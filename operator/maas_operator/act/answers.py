"""What the API server's refusals mean."""

import json
import re
from collections.abc import Sequence
from http import HTTPStatus

from maas_operator.api.conditions import Reason
from maas_operator.api.names import FIELD_MANAGER
from maas_operator.api.permissions import NOTIFICATION_PERMISSIONS, PERMISSIONS, Lack
from maas_operator.api.seen import Manifest, WriteFailure

NAMED = 3
"""Missing permissions that a message names; `kubectl maas auth check` names all."""
_NOT_ALLOWED = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"')
_MANAGER = re.compile('conflict with "(?P<manager>[^"]+)"')
TEST_FAILED = "the server rejected our request due to an error in our request"
"""All that the API server says of a JSON Patch that cannot be applied (422, without a cause). Of ours only the tests
can fail."""
FIELDS_TOLD = 3
"""Fields of another manager that are named."""


class Refused(Exception):  # noqa: N818 it is an answer
    """A write that did not succeed."""

    def __init__(self, failure: WriteFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Outdated(Exception):  # noqa: N818
    """The object is not the one that was seen: look again before deciding anything."""


class Contested(Outdated):
    """Other field managers own fields of the object. `by`: them and their fields, for people; "" where it is ourselves,
    by another way of writing."""

    def __init__(self, message: str, by: str) -> None:
        super().__init__(message)
        self.by = by


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
    if error.status == HTTPStatus.NOT_FOUND or _terminating(error):
        return Gone(error.message)
    if error.status == HTTPStatus.CONFLICT:
        owned = [cause for cause in _causes(error) if cause.get("reason") == "FieldManagerConflict"]
        return Contested(error.message, _others(owned)) if owned else Outdated(error.message)
    if error.status == HTTPStatus.UNPROCESSABLE_ENTITY and _another(error):
        return Outdated(f"{what} is another one than was seen: {error.message}")
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
    lack = Lack(found["group"], found["resource"], found["verb"])
    return WriteFailure(what, Reason.FORBIDDEN, may_not([lack], f" in namespace {namespace}" if namespace else ""))


def may_not(lacks: Sequence[Lack], where: str = "") -> str:
    """What the operator may not do, what it is needed for, and how it is granted."""
    named = [f"{each.verb} {each.title}{where}{_purpose(each)}" for each in lacks[:NAMED]]
    more = f", and {len(lacks) - NAMED} more" if len(lacks) > NAMED else ""
    return (
        f"the operator may not {'; '.join(named)}{more}: grant it to the operator's service account, as its chart does "
        "(kubectl maas auth grant operator)"
    )


def _purpose(lack: Lack) -> str:
    known = (*PERMISSIONS, *NOTIFICATION_PERMISSIONS)
    found = next((each for each in known if lack in each.lacks()), None)
    return f" (needed for {found.needed_for})" if found else ""


def _causes(error: ApiError) -> list[Manifest]:
    return list(error.answer.get("details", {}).get("causes") or ())


def _others(causes: list[Manifest]) -> str:
    """The managers other than this operator, each with its fields."""
    fields: dict[str, list[str]] = {}
    for cause in causes:
        found = _MANAGER.search(cause.get("message", ""))
        manager = found["manager"] if found else "another"
        if manager != FIELD_MANAGER:
            fields.setdefault(manager, []).append(cause.get("field", ""))
    return ", ".join(f"{manager} ({_some(sorted(theirs))})" for manager, theirs in sorted(fields.items()))


def _some(fields: list[str]) -> str:
    more = len(fields) - FIELDS_TOLD
    return ", ".join(fields[:FIELDS_TOLD]) + (f" and {more} more" if more > 0 else "")


def _another(error: ApiError) -> bool:
    """Whether the object has another uid, or resourceVersion, than the patch says: an apply or a merge patch would have
    changed the uid, which cannot be; a JSON Patch's test has failed."""
    causes = _causes(error)
    other_uid = any(cause.get("field") == "metadata.uid" for cause in causes)
    return other_uid or (error.message == TEST_FAILED and not causes)


def _terminating(error: ApiError) -> bool:
    return any(cause.get("reason") == "NamespaceTerminating" for cause in _causes(error))
