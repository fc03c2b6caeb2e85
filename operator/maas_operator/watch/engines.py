"""What an engine says of itself at /metrics, and whether it makes progress. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

RUNNING, WAITING, KV_CACHE = (
    b"vllm:num_requests_running",
    b"vllm:num_requests_waiting",
    b"vllm:kv_cache_usage_perc",
)
TOKENS_IN, TOKENS_OUT, ENDED = (
    b"vllm:prompt_tokens_total",
    b"vllm:generation_tokens_total",
    b"vllm:request_success_total",
)
"""Names of what is read, in the order in which vLLM writes them. Each has a sample for each engine of the process, and
the last for each reason to end besides."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine says now, of all its parts together."""

    running: int
    waiting: int
    kv_cache: float
    """Of the fullest part, 0 to 1."""
    done: tuple[float, float, float]
    """Tokens of prompts, tokens of answers, requests that ended: they only grow, but for a restart."""

    @property
    def busy(self) -> bool:
        """Whether it has requests."""
        return self.running + self.waiting > 0


def read(text: bytes) -> Engine:
    """Read Prometheus' text format, no more of it than is needed: of the 50 to 100 KB that vLLM writes the first few.
    Raises ValueError where a figure is missing or none."""
    found: dict[bytes, list[float]] = {}
    at = 0
    for name in (RUNNING, WAITING, KV_CACHE, TOKENS_IN, TOKENS_OUT, ENDED):
        begin = _find(text, name, at)
        if begin < 0:
            raise ValueError(f"there is no {name.decode()}")
        samples = list(_samples(text, name, begin))
        found[name] = [value for value, _ in samples]
        at = samples[-1][1]
    sums = {name: sum(values) for name, values in found.items()}
    done = (sums[TOKENS_IN], sums[TOKENS_OUT], sums[ENDED])
    return Engine(int(sums[RUNNING]), int(sums[WAITING]), max(found[KV_CACHE]), done)


def _find(text: bytes, name: bytes, at: int) -> int:
    """Where the first sample of this name begins: after that place as a rule, since vLLM writes them in order."""
    line = b"\n" + name + b"{"
    found = text.find(line, max(at - 1, 0))
    if found < 0:
        found = text.find(line)
    return found + 1 if found >= 0 else -1


def _samples(text: bytes, name: bytes, begin: int) -> Iterator[tuple[float, int]]:
    """The values of the samples of this name, which stand one after another, and where each ends."""
    prefix = name + b"{"
    while text.startswith(prefix, begin):
        end = text.find(b"\n", begin)
        if end < 0:
            end = len(text)
        value = float(text[begin:end].rpartition(b"} ")[2].split(b" ")[0])
        if not 0 <= value < math.inf:
            raise ValueError(f"{name.decode()} is {value}")
        yield value, end
        begin = end + 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an engine had come at a look."""

    done: tuple[float, float, float]
    kv_cache: float
    since: float | None
    """Since which look it has had requests at each, and has come no further: seconds that only grow. None: it has no
    requests."""

    def worked(self, before: "Progress | None") -> bool:
        """Whether it has done something since that look. Less stands there after a restart."""
        if before is None or self.done == before.done:
            return False
        return all(now >= then for now, then in zip(self.done, before.done, strict=True))


def followed(before: Progress | None, engine: Engine, has_requests: bool, now: float) -> Progress:
    """What is known after this look. has_requests: by the engine's own word, or a gateway's.

    A prompt may be as long as it takes minutes until its first token, which is when the counters move; but it fills the
    cache bit by bit.
    """
    since = None
    if has_requests:
        same = before is not None and (before.done, before.kv_cache) == (engine.done, engine.kv_cache)
        since = before.since if before is not None and same and before.since is not None else now
    return Progress(engine.done, engine.kv_cache, since)
