"""The lines of a stretch of the access log, also where a crash of Envoy or a full disk has cut one off."""

from collections.abc import Iterator
from dataclasses import dataclass
from json import JSONDecoder

from pydantic import ValidationError

from maas_operator.gateway.access_log import Line

LARGEST = 10**12
"""What no honest count of tokens or milliseconds reaches; beyond, sums could overflow."""
LONGEST_NAME = 253
_OBJECT = '{"'
_DECODER = JSONDecoder()


@dataclass(frozen=True)
class Read:
    """What a stretch holds. `broken`: lines that hold something else too: one that was cut off."""

    lines: tuple[Line, ...]
    broken: int


def whole(data: bytes, last: bool, limit: int) -> int:
    """How many of these bytes can be read now: up to the end of the last line; 0 where there is none yet.

    data: at most `limit` bytes, which is more than twice the longest line. last: no more will ever follow them.
    """
    if last:
        return len(data)
    end = data.rfind(b"\n") + 1
    if end or len(data) < limit:
        return end
    # No line is that long: it is what many crashes have left. A line that begins in the second half may go on.
    return max([limit // 2, *(end for begin, end in _objects(data) if begin < limit // 2)])


def read(data: bytes) -> Read:
    """Read whole lines; the last one may lack its end."""
    lines: list[Line] = []
    broken = 0
    for text in data.split(b"\n"):
        line = _parsed(text)
        if line:
            lines.append(line)
        elif text.strip():
            found = [line for begin, end in _objects(text) if (line := _parsed(text[begin:end]))]
            lines += found
            broken += 1
    return Read(tuple(lines), broken)


def _objects(text: bytes) -> Iterator[tuple[int, int]]:
    """Where objects begin and end in a text. Where a line was cut off, the next one follows it directly."""
    letters = text.decode("latin-1")  # one letter a byte
    begin = letters.find(_OBJECT)
    while begin >= 0:
        try:
            _, end = _DECODER.raw_decode(letters, begin)
            yield begin, end
        except (ValueError, RecursionError):
            end = begin + 1
        begin = letters.find(_OBJECT, end)


def _parsed(text: bytes) -> Line | None:
    try:
        line = Line.model_validate_json(text)
    except ValidationError:
        return None
    names = (line.account, line.key, line.service_namespace, line.service, line.model, line.model_version)
    if any(name and (len(name) > LONGEST_NAME or not name.isprintable()) for name in names):
        return None
    numbers = (line.prompt_tokens or 0, line.completion_tokens or 0, line.duration, line.started // 1000)
    return line if max(numbers) < LARGEST else None
