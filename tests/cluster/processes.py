"""Host processes, each with its own record (command line, pid, start time) and its own log."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.waiting import wait_until

TAIL_LINES = 15
END_SECONDS = 30.0


@dataclass(frozen=True)
class Record:
    """How a process was started, and as which: a pid counts only together with its start time."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    network_namespace: str | None
    pid: int = 0
    started: int = 0

    @property
    def running(self) -> bool:
        return self.pid > 0 and start_time(self.pid) == self.started


class Processes:
    """The processes of one cluster, remembered in `directory`/processes, logging into `directory`/logs."""

    def __init__(self, directory: Path) -> None:
        self._records = directory / "processes"
        self._logs = directory / "logs"

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def names(self) -> list[str]:
        return sorted(file.stem for file in self._records.glob("*.json"))

    def running(self, name: str) -> bool:
        record = self.record(name)
        return record is not None and record.running

    def record(self, name: str) -> Record | None:
        try:
            return Record(**json.loads((self._records / f"{name}.json").read_text()))
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def start(
        self,
        name: str,
        argv: Sequence[str],
        environment: Mapping[str, str] | None = None,
        network_namespace: str | None = None,
    ) -> None:
        """Start the process, unless it runs already."""
        if not self.running(name):
            self._spawn(Record(name, list(argv), dict(environment or {}), network_namespace))

    def restart(self, name: str) -> None:
        """Start the process again by the command line it had, unless it runs."""
        record = self.record(name)
        if record is None:
            raise ClusterError(f"this cluster has no process {name}; it has {', '.join(self.names())}")
        if not record.running:
            self._spawn(record)

    def stop(self, name: str, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End the process and wait until it is gone; one that ignores the signal for 30 s is killed."""
        record = self.record(name)
        if record is None or not record.running:
            return
        end(record.pid, with_signal)
        try:
            wait_until(lambda: not record.running, END_SECONDS, f"{name} to end")
        except ClusterError:
            end(record.pid, signal.SIGKILL)
            wait_until(lambda: not record.running, END_SECONDS, f"{name} to end after SIGKILL")
        wait_until(lambda: _threads(record.pid) <= 1, END_SECONDS, f"the threads of {name} to end: they hold its ports")

    def wait(self, name: str, ready: Callable[[], bool], limit: float) -> None:
        """Wait until the process is ready; a process that dies meanwhile fails at once, with its log's tail."""

        def ready_or_dead() -> bool:
            if not self.running(name):
                raise ClusterError(f"{name} ended while starting. {self.tail(name)}")
            return ready()

        wait_until(ready_or_dead, limit, f"{name} to be ready", lambda: self.tail(name))

    def tail(self, name: str) -> str:
        """The end of the process's log, and where the whole of it is."""
        log = self.log(name)
        lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:] if log.exists() else []
        return "\n".join([f"The end of {log}:", *(f"    {line}" for line in lines)])

    def _spawn(self, record: Record) -> None:
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        entered = ["nsenter", f"--net=/run/netns/{record.network_namespace}", "--"] if record.network_namespace else []
        with self.log(record.name).open("ab") as log:
            process = subprocess.Popen(
                [*entered, *record.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **record.environment},
                start_new_session=True,
            )
        started = start_time(process.pid) or 0
        text = json.dumps({**asdict(record), "pid": process.pid, "started": started}, indent=1)
        fresh = self._records / f"{record.name}.new"
        fresh.write_text(text)
        fresh.rename(self._records / f"{record.name}.json")


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when it is gone or a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # ours to bury when we are its parent
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def end(pid: int, with_signal: signal.Signals) -> None:
    """Send the signal, unless the process is gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, with_signal)


def find(executables: Sequence[str], mentioning: Sequence[Path] | None = None) -> dict[int, str]:
    """The processes that run one of the executables, by pid with their command lines; where `mentioning` is given, only
    those with one of its directories on the command line."""
    commands = {int(entry.name): _command(entry, executables) for entry in Path("/proc").glob("[0-9]*")}
    return {
        pid: command
        for pid, command in commands.items()
        if command and (mentioning is None or any(f"{directory}/" in command for directory in mentioning))
    }


def _command(entry: Path, executables: Sequence[str]) -> str:
    """The command line of a process of /proc; empty where it runs none of the executables, or has just ended."""
    try:
        executable = (entry / "exe").readlink().name.removesuffix(" (deleted)")
        return (entry / "cmdline").read_bytes().decode(errors="replace") if executable in executables else ""
    except OSError:
        return ""


def _threads(pid: int) -> int:
    """How many threads a process has; a dead one's first stays until its parent asks, and holds nothing."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except OSError:
        return 0
