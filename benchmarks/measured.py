"""What a process costs, as /proc tells it, with all that it starts."""

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.processes import CHECKOUT, Process, cpu_seconds

START_SECONDS = 120
POLL_SECONDS = 0.05


def resident_mib(pid: int) -> float:
    """Resident set now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


class Measured(Process):
    """A process in a session of its own, begun at once."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        program, *arguments = command
        super().__init__(log, *arguments, program=program)
        self._environment = environment or {}
        self.start()

    def start(self) -> Self:
        environment = os.environ | {"PYTHONPATH": f"{CHECKOUT}/operator:{CHECKOUT}", **self._environment}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=CHECKOUT,
                start_new_session=True,
            )
        return self

    def cpu_seconds(self) -> float:
        return sum(cpu_seconds(pid) for pid in self._pids())

    def resident_mib(self) -> float:
        return sum(resident_mib(pid) for pid in self._pids())

    def _pids(self) -> Iterator[int]:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                session = int(stat.read_text().rpartition(")")[2].split()[3])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if session == self.pid:
                yield int(stat.parent.name)

    def tell(self, line: bytes) -> None:
        """Write to its standard input."""
        if self._process and self._process.stdin:
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def until(self, true: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until it is true. Raises TimeoutError with the end of what the process said."""
        begun = time.monotonic()
        while not true():
            if not self.running() or time.monotonic() - begun > seconds:
                raise TimeoutError(f"{self._command[:3]}:\n{self.said()[-3000:]}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End it and all that it started."""
        if self._process:
            os.killpg(self.pid, signal.SIGKILL)
            self.end()


def answers(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers or {})), timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
