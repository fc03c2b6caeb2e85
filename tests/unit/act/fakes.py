"""An API server for unit tests: it answers what it is told to, and remembers what it was asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from maas_operator.api.seen import Manifest

Answer = Manifest | Exception | None


@dataclass
class FakeHttp:
    """Answers by method and path. A function is called for its answer; without an answer a write gives its body."""

    answers: dict[tuple[str, str], Answer | Callable[[Manifest], Answer]] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    async def read(self, path: str) -> Answer:
        return self._answer("GET", path, None)

    async def write(self, method: str, path: str, body: Manifest, *_: Any) -> Answer:
        return self._answer(method, path, body)

    def writes(self) -> list[tuple[str, str, Any]]:
        return [each for each in self.asked if each[0] != "GET"]

    def _answer(self, method: str, path: str, body: Any) -> Answer:
        self.asked.append((method, path, body))
        found = self.answers.get((method, path), body)
        answer: Answer = found(body) if callable(found) else found
        if isinstance(answer, Exception):
            raise answer
        return answer
