"""Requests that were under way when Envoy was killed get their last line here, from what Envoy wrote of them last.

Who starts Envoy anew first gives another name to the folder of what it wrote of requests under way
(envoy/bootstrap.py). So what stands in such a folder is a dead Envoy's, and a request in it that did not end will never
have a line in the access log. Its last line so far is put at the access log's end, where it is shipped and counted by
position as any other.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

from maas_operator.gateway.access_log import DEAD, ENDED, KILLED, PROGRESS, PROGRESS_LOG, PROGRESS_SECONDS
from maas_operator.gateway.shipping.lines import read
from maas_operator.gateway.shipping.logs import Logs

SET_ASIDE = "progress.log.old"
LATE_SECONDS = 10 * PROGRESS_SECONDS
"""A request of which Envoy wrote nothing for so long before its death was not under way: its last line was cut off by a
full disk. Without this it would be counted twice."""

log = structlog.get_logger()

Fields = Mapping[str, Any]
"""Of a line, as Envoy wrote them."""


class Progress:
    """What Envoys wrote of requests under way, beside this access log."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._folder = logs.current.with_name(PROGRESS)

    def settle(self) -> int:
        """Write the last lines of requests whose Envoy is dead; how many. Nothing is lost or written twice if this is
        cut off and done again, as long as no log is let go in between. Raises OSError."""
        settled = 0
        for folder in sorted(self._logs.current.parent.glob(f"{DEAD}.*")):
            cut_off = unfinished(_written(folder))
            if cut_off:
                known = self._ended()
                missing = [fields for id_, fields in cut_off.items() if id_ not in known]
                if not self._logs.current.exists():
                    break  # Envoy has not opened it yet; to make it here would say that the one set aside is closed
                self._append(missing)
                settled += len(missing)
            shutil.rmtree(folder)
        return settled

    def rotate(self, size: int) -> None:
        """Set the file aside when it is so large, in the place of the one before: what matters is what was written
        last. Raises OSError."""
        try:
            if (self._folder / PROGRESS_LOG).stat().st_size >= size:
                (self._folder / PROGRESS_LOG).rename(self._folder / SET_ASIDE)
        except FileNotFoundError:  # Envoy is being started
            return

    def to_be_reopened(self) -> bool:
        """Whether Envoy may still write to a file that was set aside."""
        return (self._folder / SET_ASIDE).exists() and not (self._folder / PROGRESS_LOG).exists()

    def _ended(self) -> set[str]:
        """Requests that have their last line. It can be here and not in the dead Envoy's folder: it wrote the two files
        one after the other."""
        return {line.request_id for path in self._logs.newest() for line in read(path.read_bytes()).lines}

    def _append(self, missing: Iterable[Fields]) -> None:
        """Write these to the access log in one piece. Those for which the disk has no room are given up: to keep them
        would keep the shipper from making room."""
        text = b"".join(json.dumps(fields, separators=(",", ":")).encode() + b"\n" for fields in missing)
        try:
            with self._logs.current.open("ab", buffering=0) as file:
                written = file.write(text)
        except OSError as error:
            log.error("what requests under way had used when Envoy was killed is lost", error=str(error))  # noqa: TRY400
        else:
            if written < len(text):
                log.error("what some requests had used when Envoy was killed is lost: the disk is full")


def unfinished(lines: Iterable[bytes]) -> dict[str, Fields]:
    """The last lines, by request, of those that were under way when the last of these lines was written."""
    last: dict[str, tuple[bool, int, Fields]] = {}
    for text in lines:
        try:
            fields = json.loads(text)
            ended = fields.pop("type") == ENDED
            last[fields["request_id"]] = ended, int(fields["started"]) + int(fields["duration"]), fields
        except (ValueError, KeyError, TypeError, AttributeError):  # cut off by a crash or a full disk
            continue
    since = max((at for _, at, _ in last.values()), default=0) - LATE_SECONDS * 1000
    return {id_: {**fields, "flags": KILLED} for id_, (ended, at, fields) in last.items() if not ended and at >= since}


def _written(folder: Path) -> Iterable[bytes]:
    for name in (SET_ASIDE, PROGRESS_LOG):
        if (folder / name).exists():
            with (folder / name).open("rb") as file:
                yield from file
