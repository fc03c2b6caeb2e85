"""Running the steps of a build: what is done, how long it usually and really takes, the log's end if it fails."""

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.progress import say
from tests.images.errors import ImageError

TAIL_LINES = 20
REPORT_SECONDS = 15  # between lines where the output is not a terminal
DOCKERFILE_STEP = re.compile(r"^(?:\[\d+/\d+\] )?STEP \d+/\d+: .*", re.MULTILINE)


def run_step(what: str, usual_seconds: int, command: Sequence[str | Path], log: Path) -> None:
    """Run the command, its output into `log`; raises ImageError if it fails, and leaves no process behind."""
    started = time.monotonic()
    say(f"{what} (usually {usual_seconds} s)")
    with log.open("ab") as written:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=written, stderr=written)
        try:
            _watch(process, what, started, log)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise ImageError(f"{what}: failed with status {process.returncode}; {tail(log)}")
    say(f"{what}: done in {time.monotonic() - started:.0f} s")


def tail(log: Path) -> str:
    """The end of the log, and where the whole of it is."""
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join([f"the whole log is {log}, its end:", *(f"    {line}" for line in lines)])


def _watch(process: subprocess.Popen[bytes], what: str, started: float, log: Path) -> None:
    """Say now and then how long it has taken, and which step of the Dockerfile it is at."""
    terminal = sys.stdout.isatty()
    said = started
    while process.poll() is None:
        now = time.monotonic()
        if terminal or now - said >= REPORT_SECONDS:
            line = f"{what}: {now - started:.0f} s{_position(log)}"
            print(f"\r{line[:110]:<110}" if terminal else line, end="" if terminal else "\n", flush=True)
            said = now
        time.sleep(0.2)
    if terminal:
        print("\r" + " " * 110, end="\r")


def _position(log: Path) -> str:
    steps = DOCKERFILE_STEP.findall(log.read_text(errors="replace"))
    return f", {steps[-1][:80]}" if steps else ""
