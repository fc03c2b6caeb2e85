"""`python -m benchmarks.revoke [--keys 1000 30000]`: how long a deleted key goes on working, and what that costs.

A real API server with so many accepted keys; replicas of the gateway, agent and Envoy each, as processes of their own.
Keys are made and deleted one after another while both replicas are called with them. JSON out. Times are seconds from
the request to the API server; CPU seconds are of one agent, or one Envoy, a change of a key.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.cluster import Cluster
from tests.cluster.progress import say
from tests.gateway.backend import Backend
from tests.gateway.replica import gateway_cluster, own_address
from tests.gateway.revocation import Replicas, Revocation, fill
from tests.processes import Process

NUMBER = int(os.environ.get("MAAS_BENCH_CLUSTER", "38"))
REPLICAS = 2
REVOCATIONS = 40
WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, nargs="+", default=[1000, 30000])
    parser.add_argument("--revocations", type=int, default=REVOCATIONS)
    options = parser.parse_args()
    sys.stdout, printed = sys.stderr, sys.stdout
    results = [measure(count, options.revocations) for count in options.keys]
    sys.stdout = printed
    json.dump({"benchmark": "revoke", "cores": os.cpu_count(), "replicas": REPLICAS, "results": results}, sys.stdout)
    print()


def measure(count: int, revocations: int) -> dict[str, Any]:
    """All figures at so many keys, on a cluster made for it."""
    folder = Path(tempfile.mkdtemp(prefix="maas-revoke-"))
    try:
        with gateway_cluster(NUMBER, folder / "cluster") as cluster:
            begun = time.monotonic()
            fill(cluster, count)
            say(f"{count} keys are there after {time.monotonic() - begun:.0f} s")
            return {"keys": count} | asyncio.run(run(cluster, folder, revocations))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def run(cluster: Cluster, folder: Path, revocations: int) -> dict[str, Any]:
    replicas = Replicas(cluster, folder, REPLICAS)
    async with Backend("assistant", "tiny", host=own_address()) as engine:
        try:
            begun = time.monotonic()
            await replicas.start(engine)
            started = time.monotonic() - begun
            for number in range(WARM_UP):
                await replicas.revoke(f"warm-up-{number}")
            agents, envoys = [r.agent for r in replicas.all], [r.envoy for r in replicas.all]
            cpu = seconds(agents), seconds(envoys)
            made = [await replicas.revoke(f"leaver-{number}") for number in range(revocations)]
            changes = 2 * revocations * REPLICAS
            return figures(made) | {
                "start_seconds": round(started, 1),
                "agent_cpu_seconds_a_change": round((seconds(agents) - cpu[0]) / changes, 3),
                "envoy_cpu_seconds_a_change": round((seconds(envoys) - cpu[1]) / changes, 3),
                "agent_peak_mib": round(max(each.peak_mib() for each in agents), 1),
                "envoy_peak_mib": round(max(each.peak_mib() for each in envoys), 1),
            }
        finally:
            replicas.end()


def seconds(processes: list[Process]) -> float:
    return sum(each.cpu_seconds() for each in processes)


def figures(made: list[Revocation]) -> dict[str, Any]:
    """Of the slower replica each time: a key is revoked when the last one refuses it."""
    refused = sorted(max(each.refused) for each in made)
    known = sorted(max(each.known) for each in made)
    return {
        "revocations": len(made),
        "refused_p50_ms": milliseconds(statistics.median(refused)),
        "refused_max_ms": milliseconds(refused[-1]),
        "known_p50_ms": milliseconds(statistics.median(known)),
        "known_max_ms": milliseconds(known[-1]),
    }


def milliseconds(value: float) -> int:
    return round(value * 1000)


if __name__ == "__main__":
    main()
