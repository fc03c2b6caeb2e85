"""The operator as a process of its own, and what it costs."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 30
_TICKS = os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class OperatorProcess:
    """`maas-operator run` against a kubeconfig, without leader election unless asked for; its log goes to a file."""

    def __init__(self, kubeconfig: Path, log: Path, elect: bool = True) -> None:
        self.metrics_port, self.health_port = _free_port(), _free_port()
        command = [sys.executable, "-m", "maas_operator.main", "run", f"--kubeconfig={kubeconfig}"]
        command += [f"--metrics-port={self.metrics_port}", f"--health-port={self.health_port}", "--namespace=default"]
        command += [] if elect else ["--no-leader-election"]
        self.began = time.monotonic()
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def cpu_seconds(self) -> float:
        """User and system CPU time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def peak_mib(self) -> float:
        """Largest resident set so far."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0

    def metrics(self) -> Mapping[str, float]:
        """The samples of /metrics by name and labels, as they stand there; empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def running(self) -> int:
        """ModelServices of phase Running, as the operator counts them."""
        return int(self.metrics().get('maas_operator_services{phase="Running"}', 0))

    def queued(self) -> int:
        """Keys that wait; -1 while it cannot tell."""
        return int(self.metrics().get("maas_operator_queue_depth", -1))

    def stop(self) -> None:
        """End it as Kubernetes does: SIGTERM, then SIGKILL."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
