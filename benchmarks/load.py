"""Load, by vegeta: it costs some 40 us of CPU a request, takes each request from a list (so that each can have a key of
its own), sends at a given rate without waiting for answers, and counts latencies."""

import base64
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.build import binary

CONNECTIONS = 32
"""Requests at a time, where as many are sent as are answered."""
TIMEOUT = "600s"


@dataclass(frozen=True)
class Request:
    """What is asked for with which key."""

    key: str
    body: bytes
    path: str = "/v1/chat/completions"


@dataclass(frozen=True)
class Report:
    """What came back, all of it with status 200."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


class FailedError(Exception):
    """Requests were not answered with 200."""


class Load:
    """The same requests again and again, in order, against one address."""

    def __init__(self, base: str, requests: Iterable[Request], folder: Path) -> None:
        self._base = base
        self._targets = Path(tempfile.mkstemp(dir=folder, suffix=".targets")[1])
        with self._targets.open("w") as file:
            for each in requests:
                header = {"Authorization": [f"Bearer {each.key}"], "Content-Type": ["application/json"]}
                target: dict[str, Any] = {"method": "POST", "url": base + each.path, "header": header}
                json.dump(target | {"body": base64.b64encode(each.body).decode()}, file)
                file.write("\n")

    def all_out(self, seconds: float, connections: int = CONNECTIONS) -> Report:
        """As many as are answered, so many at a time."""
        return self._attack("-rate=0", f"-workers={connections}", f"-max-workers={connections}", seconds=seconds)

    def at(self, rate: float, seconds: float) -> Report:
        """So many a second, whether or not the ones before are answered."""
        return self._attack(f"-rate={rate:.0f}/1s", f"-workers={CONNECTIONS}", seconds=seconds)

    def streams(self, count: int, begin_seconds: float, during: Callable[[], None]) -> Report:
        """So many at a time, begun evenly over the first seconds; meanwhile `during` runs once all have begun."""
        rate = f"-rate={count / begin_seconds:.0f}/1s"
        arguments = (rate, f"-workers={count}", f"-max-workers={count}", f"-duration={begin_seconds}s")
        output = self._targets.with_suffix(".results")
        attack = subprocess.Popen([*self._command(), *arguments, f"-output={output}"])
        try:
            time.sleep(begin_seconds + 1)
            during()
        finally:
            attack.wait()
        return self._report(output)

    def _attack(self, *arguments: str, seconds: float) -> Report:
        output = self._targets.with_suffix(".results")
        subprocess.run([*self._command(), *arguments, f"-duration={seconds}s", f"-output={output}"], check=True)
        return self._report(output)

    def _command(self) -> list[str]:
        vegeta = str(binary("vegeta"))
        return [vegeta, "attack", "-format=json", f"-targets={self._targets}", f"-timeout={TIMEOUT}"]

    def _report(self, output: Path) -> Report:
        done = subprocess.run(
            [str(binary("vegeta")), "report", "-type=json", str(output)], check=True, capture_output=True
        )
        output.unlink()
        said: Mapping[str, Any] = json.loads(done.stdout)
        if said["success"] != 1:
            raise FailedError(f"{self._base}: {said['status_codes']} {said['errors'][:3]}")
        latencies = said["latencies"]
        return Report(
            said["requests"],
            (said["duration"] + said["wait"]) / 1e9,
            round(latencies["50th"] / 1e6, 2),
            round(latencies["99th"] / 1e6, 2),
        )
