"""The access logs on the disk: the one that Envoy writes, and those that were set aside under names of their own."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

HEAD = 4096
"""Bytes of a log's first line that tell it from every other log: they hold a request's id."""


@dataclass(frozen=True)
class Log:
    """One file. `closed`: Envoy writes another one by now, so that nothing will be added."""

    path: Path
    name: str
    size: int
    closed: bool


class Logs:
    """The logs beside `current`, the path that Envoy is told to write to."""

    def __init__(self, current: Path) -> None:
        self.current = current

    def present(self) -> list[Log]:
        """All logs, oldest first; without those of which nothing can be said yet.

        A log that was set aside is closed once Envoy has opened a new one in its place; it closes before it opens.
        """
        reopened = self.current.exists()  # first: what is closed now can be read to its end afterwards
        aside = self._aside()
        logs = [_look(path, closed=reopened or path != aside[-1]) for path in aside]
        if reopened:
            logs.append(_look(self.current, closed=False))
        return [log for log in logs if log]

    def newest(self) -> list[Path]:
        """What Envoy wrote to last: the current log and the one before."""
        return [path for path in [*self._aside()[-1:], self.current] if path.exists()]

    def to_be_reopened(self) -> bool:
        """Whether Envoy may still write to a log that was set aside."""
        return bool(self._aside()) and not self.current.exists()

    def set_aside(self) -> Path:
        """Rename the log that Envoy writes. Raises FileNotFoundError where there is none."""
        aside = self._aside()
        stamp = time.time_ns()
        if aside:  # a clock that was set back must not mix up the order
            stamp = max(stamp, _stamp(aside[-1]) + 1)
        target = self.current.with_name(f"{self.current.name}.{stamp:020}")
        self.current.rename(target)
        return target

    def _aside(self) -> list[Path]:
        found = self.current.parent.glob(f"{self.current.name}.*")
        return sorted((path for path in found if path.suffix[1:].isdecimal()), key=_stamp)


def _stamp(path: Path) -> int:
    return int(path.suffix[1:])


def read_at(log: Log, start: int, limit: int) -> bytes:
    """At most `limit` bytes from there."""
    with log.path.open("rb") as file:
        file.seek(start)
        return file.read(limit)


def _look(path: Path, closed: bool) -> Log | None:
    """The log, named by its first line and inode: an inode is used again soon after a file was removed."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            status = path.stat()
    except FileNotFoundError:
        return None
    first, newline, _ = head.partition(b"\n")
    if not (newline or len(head) == HEAD or closed):
        return None
    digest = hashlib.sha256(first).hexdigest()[:16]
    return Log(path, f"{status.st_ino:x}-{digest}", status.st_size, closed)
