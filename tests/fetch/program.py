"""`maas-operator fetch` as a process of its own, as the pods run it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.request import urlopen

from tests.processes import CHECKOUT, free_port

END_SECONDS = 40.0
"""Limit for a fetch to end: a first import of its libraries takes seconds on a busy machine."""
LOOK_SECONDS = 0.02


class Program:
    """A fetch under way."""

    def __init__(self, source: str, cache: Path, folder: Path, *more: str, **variables: str) -> None:
        self.port = free_port()
        self.last_words_file = folder / f"last-words-{self.port}"
        self._log = folder / f"log-{self.port}"
        self._command = [
            *(sys.executable, "-m", "maas_operator.main", "fetch", source, f"--cache={cache}"),
            *(f"--port={self.port}", f"--last-words={self.last_words_file}", *more),
        ]
        self._environment = os.environ | {"PYTHONPATH": f"{CHECKOUT}/operator"} | variables

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stderr=log, stdout=log, cwd=CHECKOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(END_SECONDS)

    def end(self, how: signal.Signals = signal.SIGKILL) -> int:
        self._process.send_signal(how)
        return self.ended()

    @property
    def last_words(self) -> str:
        return self.last_words_file.read_text() if self.last_words_file.exists() else ""

    @property
    def log(self) -> str:
        return self._log.read_text()

    def progress(self) -> dict[str, object]:
        """What it tells; empty while it does not."""
        with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{self.port}/fetch", timeout=5) as answer:
            told: dict[str, object] = json.load(answer)
            return told
        return {}

    def done(self) -> int:
        """Bytes that it says are there."""
        return int(str(self.progress().get("done", 0)))

    def until(self, there: Callable[[], bool], what: str) -> None:
        """Wait until something is the case, as long as the program runs."""
        limit = time.monotonic() + END_SECONDS
        while not there():
            assert self._process.poll() is None, f"it ended before {what}:\n{self.log}"
            assert time.monotonic() < limit, f"no {what} within {END_SECONDS:.0f} s:\n{self.log}"
            time.sleep(LOOK_SECONDS)
