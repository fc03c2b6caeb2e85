"""Cutting a log into batches. Pure: the same stretch gives the same batch."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from maas_operator.api.usage import DURATION_BOUNDS, FIRST_TOKEN_BOUNDS, Batch, Latencies, UsageRow
from maas_operator.gateway.access_log import Line
from maas_operator.gateway.shipping.lines import read, whole

FIRST_FAILURE = 400


@dataclass(frozen=True)
class LogName:
    """Which log of which gateway."""

    origin: str
    log: str


@dataclass(frozen=True)
class Cut:
    """A batch, and what was read to make it."""

    batch: Batch
    lines: int
    broken: int


def cut(name: LogName, start: int, data: bytes, last: bool, limit: int) -> Cut | None:
    """The batch of what stands at byte `start`; None while no line is whole.

    data: at most `limit` bytes. last: no more will ever follow them, so that a line without its end counts as it is.
    """
    end = whole(data, last, limit)
    if not end:
        return None
    found = read(data[:end])
    batch = Batch(
        origin=name.origin,
        log=name.log,
        start=start,
        end=start + end,
        rows=_rows(found.lines),
        latencies=_latencies(found.lines),
    )
    return Cut(batch, len(found.lines), found.broken)


def _rows(lines: Iterable[Line]) -> list[UsageRow]:
    sums: dict[tuple[str, str, str, str, str, int], list[int]] = {}
    for line in lines:
        minute = (line.started + line.duration) // 60_000 * 60
        key = (line.account, line.key, _service(line), line.model or "", line.model_version or "", minute)
        row = sums.setdefault(key, [0] * 8)
        for index, value in enumerate(_values(line)):
            row[index] += value
    return [
        UsageRow(
            account=account,
            key=key,
            service=service,
            model=model,
            version=version,
            minute=minute,
            requests=row[0],
            answered=row[1],
            failures=row[2],
            prompt_tokens=row[3],
            completion_tokens=row[4],
            first_tokens=row[5],
            first_token_ms=row[6],
            duration_ms=row[7],
        )
        for (account, key, service, model, version, minute), row in sums.items()
    ]


def _values(line: Line) -> tuple[int, ...]:
    """What a line adds, in the order of a row's sums."""
    answered, first_token = line.answered, _first_token(line)
    return (
        1,
        int(answered),
        int(_failed(line)),
        line.prompt_tokens or 0,
        line.completion_tokens or 0,
        int(first_token is not None),
        first_token or 0,
        line.duration if answered else 0,
    )


def _service(line: Line) -> str:
    return f"{line.service_namespace}/{line.service}" if line.service_namespace and line.service else ""


def _failed(line: Line) -> bool:
    return line.code >= FIRST_FAILURE or (bool(line.flags) and not line.hung_up)


def _first_token(line: Line) -> int | None:
    """Milliseconds to a stream's first token; within the answer's duration, whatever clocks did."""
    if line.first_token is None:
        return None
    return min(max(line.first_token - line.started, 0), line.duration)


@dataclass
class _Histograms:
    first_token: list[int] = field(default_factory=lambda: [0] * (len(FIRST_TOKEN_BOUNDS) + 1))
    first_token_ms: int = 0
    duration: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BOUNDS) + 1))
    duration_ms: int = 0


def _latencies(lines: Iterable[Line]) -> list[Latencies]:
    services: dict[str, _Histograms] = {}
    for line in lines:
        if not line.answered or not _service(line):
            continue
        histograms = services.setdefault(_service(line), _Histograms())
        _count(histograms.duration, DURATION_BOUNDS, line.duration)
        histograms.duration_ms += line.duration
        first_token = _first_token(line)
        if first_token is not None:
            _count(histograms.first_token, FIRST_TOKEN_BOUNDS, first_token)
            histograms.first_token_ms += first_token
    return [
        Latencies(
            service=service,
            first_token=each.first_token,
            first_token_ms=each.first_token_ms,
            duration=each.duration,
            duration_ms=each.duration_ms,
        )
        for service, each in services.items()
    ]


def _count(buckets: list[int], bounds: Sequence[float], milliseconds: int) -> None:
    buckets[bisect_left(bounds, milliseconds / 1000)] += 1
