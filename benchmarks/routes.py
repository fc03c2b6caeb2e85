"""`python -m benchmarks.routes [--sizes 10:100 5000:30000]`: what many services and keys cost the gateway. JSON out.

For each size (SERVICES:KEYS) a replica of its own, Envoy with one worker and the agent, with all limits on. A change is
live from the moment that the agent has seen it (the API server's watch comes before) until a client notices.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import scene
from benchmarks.gateway import KEYS_IN_USE, WARM_SECONDS, cost
from benchmarks.load import Load
from benchmarks.proxies import Ours, engine
from maas_operator.api.apikey import MAX_KEYS_PER_ACCOUNT
from maas_operator.api.kinds import API_KEY
from tests.cluster.progress import say

SIZES = ("10:100", "100:1000", "1000:30000", "5000:100", "5000:30000")
CHANGES = 10
"""Of each kind, one after another."""
LIVE_SECONDS = 30
POLL_SECONDS = 0.002
PROBE = 1
"""The key that asks for new services: of the first account."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    chosen = parser.parse_args()
    sizes = [tuple(map(int, size.split(":"))) for size in chosen.sizes]
    sys.stdout, printed = sys.stderr, sys.stdout
    results = [measure(services, keys, chosen.rounds, chosen.seconds) for services, keys in sizes]
    sys.stdout = printed
    json.dump(
        {"benchmark": "routes", "cores": os.cpu_count(), "load": os.getloadavg()[0], "results": results},
        sys.stdout,
        indent=2,
    )
    print()


def measure(services: int, keys: int, rounds: int, seconds: float) -> dict[str, Any]:
    """All figures of one size."""
    with tempfile.TemporaryDirectory(prefix="maas-benchmark-") as name, engine(Path(name)) as port:
        begun = time.monotonic()
        ours = Ours(port, Path(name), services, keys)
        try:
            found: dict[str, Any] = {"services": services, "keys": keys}
            found["start_seconds"] = round(time.monotonic() - begun, 1)
            load = Load(ours.base, ours.requests(KEYS_IN_USE), Path(name))
            load.all_out(WARM_SECONDS)
            found["cpu_us"] = statistics.median(cost(ours, load.all_out, seconds)["cpu_us"] for _ in range(rounds))
            changes = Changes(ours, port)
            found["new_service_ms"] = changes.new_services()
            found["deleted_key_ms"] = changes.deleted_keys()
            found["envoy_mib"] = round(ours.resident_mib())
            found["agent_mib"] = round(ours.agent.resident_mib())
        finally:
            ours.stop()
    say(json.dumps(found))
    return found


class Changes:
    """Changes, and how long until a client notices."""

    def __init__(self, ours: Ours, port: int) -> None:
        self._ours, self._port = ours, port
        self._accounts = max(1, ours.keys // MAX_KEYS_PER_ACCOUNT)
        self._connection = http.client.HTTPConnection(ours.base.removeprefix("http://"))

    def new_services(self) -> dict[str, float]:
        """From a new ModelService with an instance to its first answer."""
        taken = []
        for number in range(CHANGES):
            # of the first account
            made = scene.service(self._accounts * (self._ours.services + number), self._accounts, self._port)
            taken.append(self._live({"put": made}, PROBE, made[0]["metadata"]["name"], 200))
        return summary(taken)

    def deleted_keys(self) -> dict[str, float]:
        """From a key's deletion to its first refusal."""
        taken = []
        for number in range(PROBE + 1, PROBE + 1 + CHANGES):
            if number % scene.NARROWED:
                metadata = scene.key(number)["metadata"]
                drop = [API_KEY.kind, metadata["namespace"], metadata["name"]]
                taken.append(self._live({"drop": [drop]}, number, scene.popular(number, self._ours.services), 401))
        return summary(taken)

    def _live(self, change: dict[str, Any], key: int, model: str, status: int) -> float:
        """Seconds until the call is answered so."""
        assert self._status(key, model) != status
        self._ours.agent.tell(json.dumps(change).encode() + b"\n")
        begun = time.monotonic()
        while self._status(key, model) != status:
            if time.monotonic() - begun > LIVE_SECONDS:
                raise TimeoutError(f"{model}: not {status} within {LIVE_SECONDS} s")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - begun

    def _status(self, key: int, model: str) -> int:
        headers = {"Authorization": f"Bearer {scene.text_of(key)}", "Content-Type": "application/json"}
        self._connection.request("POST", "/v1/chat/completions", scene.body(model), headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status


def summary(seconds: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds) * 1000), "most": round(max(seconds) * 1000)}


if __name__ == "__main__":
    main()
