"""An API server for unit tests: it answers what it is told to, and remembers what it was asked."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from maas_operator.act.answers import TEST_FAILED, ApiError
from maas_operator.act.http import Body
from maas_operator.api.seen import Manifest

Answer = Manifest | Exception | None


@dataclass
class FakeHttp:
    """Answers by method and path. A function is called for its answer; without an answer a write gives its body. A JSON
    Patch is taken as the merge patch that would say the same."""

    answers: dict[tuple[str, str], Answer | Callable[[Manifest], Answer]] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    async def read(self, path: str) -> Answer:
        return self._answer("GET", path, None)

    async def write(self, method: str, path: str, body: Body, *_: Any) -> Answer:
        return self._answer(method, path, as_object(body) if isinstance(body, list) else body)

    def writes(self) -> list[tuple[str, str, Any]]:
        return [each for each in self.asked if each[0] != "GET"]

    def _answer(self, method: str, path: str, body: Any) -> Answer:
        self.asked.append((method, path, body))
        found = self.answers.get((method, path), body)
        answer: Answer = found(body) if callable(found) else found
        if isinstance(answer, Exception):
            raise answer
        return answer


def patched(stands: Manifest, patch: list[Manifest]) -> Manifest:
    """What a JSON Patch makes of an object (RFC 6902: tests, additions, removals), or the API server's refusal."""
    made = deepcopy(stands)
    for each in patch:
        *parents, last = each["path"].split("/")[1:]
        where: Manifest | None = made
        for parent in parents:
            where = (where or {}).get(parent)
        match each["op"]:
            case "add" if where is not None:
                where[last] = each["value"]
            case "remove" if where and last in where:
                del where[last]
            case "test" if where and where.get(last) == each["value"]:
                pass
            case _:
                raise ApiError(422, {"reason": "Invalid", "message": TEST_FAILED, "details": {}})
    return made


def as_object(patch: list[Manifest]) -> Manifest:
    """What a JSON Patch tests and adds, in its place; None where it removes something."""
    made: Manifest = {}
    for each in patch:
        assert each["op"] in {"test", "add", "remove"}
        *parents, last = each["path"].split("/")[1:]
        where = made
        for parent in parents:
            where = where.setdefault(parent, {})
        where[last] = each.get("value")
    return made
