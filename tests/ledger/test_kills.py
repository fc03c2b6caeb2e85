"""Real processes, killed again and again while requests go on: the ledger's sum is the log's."""

import json
import random
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.ledger.processes import NAMESPACE, WRITER, LedgerProcess, token, wait_until
from tests.processes import Process, free_port

PER_SECOND = 2000
ROTATE = 400_000
KILLS = 12


@dataclass
class Scene:
    """The three processes of one gateway, and where their files are."""

    folder: Path
    logs: Path
    kept: Path
    token: str
    ledger: LedgerProcess
    shipper: Process
    admin_port: int
    restarts: int = 0

    def envoy(self) -> Process:
        self.restarts += 1
        number = str(self.restarts * 1_000_000)
        arguments = (str(self.logs / "access.log"), str(self.admin_port), str(PER_SECOND), number)
        return Process(self.folder / "envoy.log", "-m", "tests.ledger.envoy_like", *arguments)

    def counted(self, query: str = "") -> dict[str, Any]:
        request = urllib.request.Request(f"{self.ledger.address}/v1/usage{query}")
        request.add_header("X-Maas-Ledger-Token", self.token)
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def logged(self) -> tuple[int, int]:
        """Requests and tokens of every whole line that was ever written, read by other means than the shipper's."""
        text = b"\n".join(path.read_bytes() for path in [*self.kept.iterdir(), *self.logs.iterdir()])
        whole = re.findall(rb'\{[^{}]*"prompt_tokens":(\d+)[^{}]*\}', text)
        return len(whole), sum(map(int, whole))

    def settled(self) -> bool:
        counted = self.counted()
        return (counted["requests"], counted["promptTokens"]) == self.logged()


@pytest.fixture
def scene(tmp_path: Path, cluster: Cluster, url: str) -> Iterator[Scene]:
    made = _scene(tmp_path, tmp_path / "logs", cluster, url)
    yield made
    for process in (made.shipper, made.ledger):
        process.end()


def _scene(folder: Path, logs: Path, cluster: Cluster, url: str) -> Scene:
    kept = folder / "kept"
    for each in (logs, kept):
        each.mkdir(exist_ok=True)
    ledger = LedgerProcess(folder, cluster, url, free_port(), free_port()).start()
    secret, admin_port = folder / "token", free_port()
    secret.write_text(token(cluster, NAMESPACE, WRITER))
    admin = f"http://127.0.0.1:{admin_port}"
    arguments = [str(logs / "access.log"), ledger.address, str(secret), admin, str(ROTATE), str(kept)]
    shipper = Process(folder / "shipper.log", "-m", "tests.ledger.shipper_process", *arguments)
    return Scene(folder, logs, kept, secret.read_text(), ledger, shipper.start(), admin_port)


def test_no_kill_of_envoy_shipper_or_ledger_loses_or_doubles_a_token(scene: Scene) -> None:
    dice = random.Random(4)
    processes = {"envoy": scene.envoy().start(), "shipper": scene.shipper, "ledger": scene.ledger}
    try:
        for number in range(KILLS):
            time.sleep(dice.uniform(0.1, 0.6))
            name = ("shipper", "ledger", "envoy")[number % 3]
            processes[name].end(signal.SIGKILL)
            if name == "envoy":
                processes[name] = scene.envoy()
            processes[name].start()
    finally:
        processes["envoy"].end()
    wait_until(scene.settled, "the ledger to have counted all", lambda: f"{scene.counted()} {scene.logged()}")
    requests, _ = scene.logged()
    assert requests > 3000
    assert any(scene.kept.iterdir()), "nothing was rotated"


def test_what_is_there_at_the_end_is_sent_before_the_shipper_ends(scene: Scene) -> None:
    """The gateway's pod is stopped: Envoy first, then the shipper, which sends what is left."""
    envoy = scene.envoy().start()
    wait_until(lambda: scene.counted()["requests"] > 100, "usage to arrive")
    envoy.end(signal.SIGTERM)
    assert scene.shipper.end(signal.SIGTERM) == 0
    assert scene.settled()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_full_disk_stops_no_one_for_good(tmp_path: Path, cluster: Cluster, url: str) -> None:
    """The logs' volume is full while the ledger is away; lines are cut off. What was written whole is counted."""
    logs = tmp_path / "small"
    logs.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(logs)], check=True)
    scene = _scene(tmp_path, logs, cluster, url)
    scene.ledger.end()
    envoy = scene.envoy().start()
    try:
        wait_until(lambda: sum(path.stat().st_size for path in logs.iterdir()) > 1_000_000, "a full disk")
        time.sleep(0.5)
        scene.ledger.start()
        wait_until(lambda: any(scene.kept.iterdir()), "room to be made", scene.shipper.said)
        time.sleep(1)
        envoy.end()
        wait_until(scene.settled, "all to be counted", lambda: f"{scene.counted()} {scene.logged()}")
    finally:
        for process in (envoy, scene.shipper, scene.ledger):
            process.end()
        subprocess.run(["umount", str(logs)], check=True)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_ledger_that_was_away_gets_everything_and_the_log_is_kept_until_then(scene: Scene) -> None:
    scene.ledger.end()
    envoy = scene.envoy().start()
    wait_until(lambda: len(list(scene.logs.iterdir())) >= 3, "logs to be set aside", scene.shipper.said)
    assert not any(scene.kept.iterdir()), "a log was let go that nobody counted"
    assert "usage is not acknowledged: it is kept, and sent again" in scene.shipper.said()
    scene.ledger.start()
    envoy.end()
    wait_until(scene.settled, "the ledger to have counted all")
    wait_until(lambda: len(list(scene.kept.iterdir())) >= 2, "the logs to be let go")
