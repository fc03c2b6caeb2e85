"""`python -m benchmarks.rollout [--rollouts 10]`: what it costs callers and accelerators to change a service. JSON out.

Two instances of a tiny model, real vLLM on the CPU of a real node, and streams without a pause. So many roll-outs, one
after another, each an argument of the engine. Failures are all streams that do not end with a finish reason, usage and
[DONE]. Extra accelerator-seconds are those of pods beyond the two, from their binding to a node until they are gone;
`doubled` is what a roll-out that starts all new instances before it stops an old one would have used in the same time.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.platform import ACCOUNT, Platform, platform
from tests.cluster.progress import say
from tests.cluster.waiting import wait_until
from tests.keys import gateway_address, new_key
from tests.streams import Clients

MANIFESTS = Path(__file__).parent / "manifests" / "tiny.yaml"
SERVICE = "changing"
INSTANCES = 2
CLIENTS = 2
SETTLED_SECONDS = 900
SAMPLE_SECONDS = 0.5
"""Between two counts of the pods that hold an accelerator."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=10)
    count = parser.parse_args().rollouts
    sys.stdout, printed = sys.stderr, sys.stdout
    with platform("model-tiny", MANIFESTS) as there:
        results = asyncio.run(measure(there, count))
    sys.stdout = printed
    about = {"instances": INSTANCES, "clients": CLIENTS, "rollouts": count}
    json.dump({"benchmark": "rollout", "cores": os.cpu_count(), **about, "results": results}, sys.stdout, indent=2)
    print()


async def measure(there: Platform, count: int) -> dict[str, Any]:
    there.apply(SERVICE, **spec(0))
    await asyncio.to_thread(settle, there)
    key = new_key(there.cluster, ACCOUNT, "benchmark", "of the benchmark")
    clients = Clients(gateway_address(there.cluster), key, SERVICE)
    held = Held(there)
    seconds = []
    async with clients.running(CLIENTS):
        await clients.more()
        counting = asyncio.create_task(held.count())
        for number in range(1, count + 1):
            begun = time.monotonic()
            there.patch(SERVICE, **spec(number))
            await asyncio.to_thread(settle, there)
            seconds.append(round(time.monotonic() - begun, 1))
            say(f"roll-out {number}: {seconds[-1]} s; streams so far: {dict(ends(clients))}")
        counting.cancel()
        await clients.more()
    return {
        "requests": len(clients.streams),
        "failures": len(clients.streams) - ends(clients)["whole"],
        "ends": dict(ends(clients)),
        "seconds_a_rollout": seconds,
        "extra_accelerator_seconds_a_rollout": round(held.extra / count, 1),
        "doubled_accelerator_seconds_a_rollout": round(INSTANCES * sum(seconds) / count, 1),
    }


def ends(clients: Clients) -> Counter[str]:
    """How many streams ended in which way."""
    return Counter(each.end for each in clients.streams)


def spec(number: int) -> dict[str, Any]:
    return {
        "model": {"name": "tiny", "version": "v1"},
        "resourcePool": "local",
        "flavor": "cpu",
        "instances": INSTANCES,
        "engine": {"args": [f"--max-num-seqs={64 + number}"]},
    }


def settle(there: Platform) -> None:
    """Until the new instances answer, and the old ones are gone."""
    there.wait_ready(SERVICE)
    wait_until(lambda: len(there.pods(SERVICE)) == INSTANCES, SETTLED_SECONDS, "the old instances to be gone")


class Held:
    """Accelerator-seconds of pods beyond those that the service has by its spec."""

    def __init__(self, there: Platform) -> None:
        self._there = there
        self.extra = 0.0

    async def count(self) -> None:
        """Until cancelled."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            pods = await asyncio.to_thread(self._there.pods, SERVICE)
            now = time.monotonic()
            bound = sum(1 for pod in pods if pod["spec"].get("nodeName"))
            self.extra += max(0, bound - INSTANCES) * (now - last)
            last = now


if __name__ == "__main__":
    main()
