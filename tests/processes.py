"""Our processes as tests and benchmarks run them: each can be killed at any moment, and tells what it cost."""

import contextlib
import fcntl
import functools
import itertools
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Self

CHECKOUT = Path(__file__).parents[1]
PORTS = range(23_000, 32_000)
"""Below those that outgoing connections take by themselves."""
_NEXT_PORTS = itertools.cycle(random.sample(PORTS, len(PORTS)))
END_SECONDS = 30.0
"""Limit for a process to be gone after a signal: kubelets wait no longer either."""
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of `PORTS` that nobody listens on. Who asks may not listen yet: none is given again before all were, and
    none that another process was given, while that runs (one byte of a file is locked for each)."""
    for port in itertools.islice(_NEXT_PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            fcntl.lockf(_given_ports(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            return port
    raise OSError(f"no port of {PORTS} is free")


@functools.cache
def _given_ports() -> IO[bytes]:
    return (Path(tempfile.gettempdir()) / f"maas-operator-ports-{os.getuid()}").open("ab")


def cpu_seconds(pid: int) -> float:
    """User and system CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib(pid: int) -> float:
    """Resident set of a process now."""
    return _mib(pid, "VmRSS")


def _mib(pid: int, field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


class Process:
    """A program, Python unless another is named, that logs into `log`."""

    def __init__(self, log: Path, *arguments: str, program: str = sys.executable) -> None:
        self._log = log
        self._command = [program, *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        environment = os.environ | {"PYTHONPATH": f"{CHECKOUT}/operator:{CHECKOUT}"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=environment, stdout=log, stderr=log, cwd=CHECKOUT)
        return self

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def end(self, how: signal.Signals = signal.SIGKILL, seconds: float = END_SECONDS) -> int:
        """Kill it (or send it another signal) and return its exit code; 0 where it never started."""
        if self._process is None:
            return 0
        self._process.send_signal(how)
        code = self._process.wait(seconds)
        self._process = None
        return code

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def cpu_seconds(self) -> float:
        """User and system CPU time so far."""
        return cpu_seconds(self.pid)

    def peak_mib(self) -> float:
        """Largest resident set so far."""
        return _mib(self.pid, "VmHWM")
