"""`python -m benchmarks.gateway [--rounds 3 --seconds 8 --only ours bare]`: what a request and a chunk cost in ours, in
Envoy bare, in vllm-router and in LiteLLM, in one run on one machine. JSON out.

The same canned engine behind all of them, one worker each. CPU is the proxy's own, from /proc; that of the agent beside
our Envoy is told apart. Rounds go over the proxies in turn, so that all of them meet the machine's other work; a figure
is the median of the rounds.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.load import Load, Report
from benchmarks.proxies import LiteLLM, Ours, Proxy, bare, engine, vllm_router
from tests.cluster.progress import say

SERVICES, KEYS, KEYS_IN_USE = 1000, 30_000, 20_000
WARM_SECONDS = 3
STREAMS, CHUNKS_PER_SECOND, STREAM_SECONDS = 128, 50, 10
HELD, HELD_CHUNK_SECONDS, HELD_SECONDS = 5000, 5, 10
BEGIN_SECONDS = 10
"""Over which the held streams begin."""
STREAMING = ("bare", "ours", "vllm-router")
"""LiteLLM is left out of streams: at its cost a request it cannot carry them."""
Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--only", nargs="+", choices=START, default=list(START))
    parser.add_argument("--parts", nargs="+", choices=("requests", "latency", "streams", "held"), default=list(PARTS))
    chosen = parser.parse_args()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    sys.stdout, printed = sys.stderr, sys.stdout
    results = {part: PARTS[part](chosen) for part in chosen.parts}
    sys.stdout = printed
    json.dump(
        {"benchmark": "gateway", "cores": os.cpu_count(), "load": os.getloadavg()[0], **results}, sys.stdout, indent=2
    )
    print()


START: Mapping[str, Callable[[int, Path], Proxy]] = {
    "bare": bare,
    "ours": lambda port, folder: Ours(port, folder, SERVICES, KEYS),
    "vllm-router": vllm_router,
    "litellm": LiteLLM,
}


class Running:
    """Proxies in front of an engine, while the block runs."""

    def __init__(self, names: list[str], **engine_options: float) -> None:
        self._names, self._options = names, engine_options

    def __enter__(self) -> tuple[Path, dict[str, Proxy]]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="maas-benchmark-")))
            port = stack.enter_context(engine(folder, **self._options))
            proxies = {}
            for name in self._names:
                say(f"starting {name}")
                proxies[name] = START[name](port, folder)
                stack.callback(proxies[name].stop)
            self._stack = stack.pop_all()
        return folder, proxies

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def requests(chosen: argparse.Namespace) -> Figures:
    """As many requests as are answered, 32 at a time."""
    with Running(chosen.only) as (folder, proxies):
        loads = {name: Load(proxy.base, proxy.requests(KEYS_IN_USE), folder) for name, proxy in proxies.items()}
        for load in loads.values():
            load.all_out(WARM_SECONDS)
        rounds = [
            {name: cost(proxies[name], loads[name].all_out, chosen.seconds) for name in proxies}
            for _ in range(chosen.rounds)
        ]
    return medians(rounds, "requests")


def latency(chosen: argparse.Namespace) -> Figures:
    """Half of the requests a second that saturate ours, sent at that rate whether or not answers come."""
    with Running([name for name in chosen.only if name != "litellm"]) as (folder, proxies):
        loads = {name: Load(proxy.base, proxy.requests(KEYS_IN_USE), folder) for name, proxy in proxies.items()}
        for load in loads.values():
            load.all_out(WARM_SECONDS)
        most = cost(proxies["ours"], loads["ours"].all_out, chosen.seconds)
        rate = most["requests_per_cpu_second"] / 2
        rounds = [
            {name: cost(proxies[name], partial(loads[name].at, rate), chosen.seconds) for name in proxies}
            for _ in range(chosen.rounds)
        ]
    found = medians(rounds, "latency")
    added = {field: round(found["ours"][field] - found["bare"][field], 2) for field in ("p50_ms", "p99_ms")}
    return {"rate": round(rate)} | found | {"added_by_ours": added}


def cost(proxy: Proxy, attack: Callable[[float], Report], seconds: float) -> Figures:
    """What it costs to answer."""
    cpu, agent = proxy.cpu_seconds(), agent_seconds(proxy)
    report = attack(seconds)
    cpu = proxy.cpu_seconds() - cpu
    found = {
        "cpu_us": round(cpu / report.requests * 1e6, 1),
        "requests_per_second": round(report.requests / report.seconds),
        "requests_per_cpu_second": round(report.requests / cpu),
        "busy": round(cpu / report.seconds, 2),
        "p50_ms": report.p50_ms,
        "p99_ms": report.p99_ms,
    }
    if isinstance(proxy, Ours):
        found["agent_cpu_us"] = round((agent_seconds(proxy) - agent) / report.requests * 1e6, 1)
    return found


def agent_seconds(proxy: Proxy) -> float:
    return proxy.agent.cpu_seconds() if isinstance(proxy, Ours) else 0.0


def streams(chosen: argparse.Namespace) -> Figures:
    """128 streams of 50 chunks a second each."""
    names = [name for name in chosen.only if name in STREAMING]
    chunks = CHUNKS_PER_SECOND * (STREAM_SECONDS + 4)
    with Running(names, chunks=chunks, chunk_ms=1000 / CHUNKS_PER_SECOND) as (folder, proxies):
        loads = {
            name: Load(proxy.base, proxy.requests(STREAMS, stream=True), folder) for name, proxy in proxies.items()
        }
        rounds = [{name: a_chunk(proxies[name], loads[name]) for name in proxies} for _ in range(chosen.rounds)]
    return medians(rounds, "streams")


def a_chunk(proxy: Proxy, load: Load) -> Figures:
    found: Figures = {}

    def during() -> None:
        cpu, begun = proxy.cpu_seconds(), time.monotonic()
        time.sleep(STREAM_SECONDS)
        seconds = time.monotonic() - begun
        found["cpu_us_a_chunk"] = round((proxy.cpu_seconds() - cpu) / (STREAMS * CHUNKS_PER_SECOND * seconds) * 1e6, 1)

    load.streams(STREAMS, 1, during)
    return found


def held(chosen: argparse.Namespace) -> Figures:
    """5,000 streams at a time, of which each says something every five seconds."""
    chunks = (BEGIN_SECONDS + HELD_SECONDS) // HELD_CHUNK_SECONDS + 2
    found = {}
    with Running(
        [name for name in chosen.only if name in STREAMING], chunks=chunks, chunk_ms=HELD_CHUNK_SECONDS * 1000
    ) as (
        folder,
        proxies,
    ):
        for name, proxy in proxies.items():
            load = Load(proxy.base, proxy.requests(HELD, stream=True), folder)
            found[name] = holding(proxy, load)
            say(f"held, {name}: {json.dumps(found[name])}")
    return found


def holding(proxy: Proxy, load: Load) -> Figures:
    before = proxy.resident_mib()
    found: Figures = {}

    def during() -> None:
        cpu = proxy.cpu_seconds()
        time.sleep(HELD_SECONDS)
        found["cpu_share"] = round((proxy.cpu_seconds() - cpu) / HELD_SECONDS, 3)
        found["kib_a_stream"] = round((proxy.resident_mib() - before) * 1024 / HELD, 1)
        found["mib"] = round(proxy.resident_mib())

    report = load.streams(HELD, BEGIN_SECONDS, during)
    return {"streams": report.requests, **found}


def medians(rounds: list[dict[str, Figures]], part: str) -> Figures:
    found = {
        name: {field: statistics.median(each[name][field] for each in rounds) for field in figures}
        for name, figures in rounds[0].items()
    }
    for name, figures in found.items():
        say(f"{part}, {name}: {json.dumps(figures)}")
    return found


PARTS: Mapping[str, Callable[[argparse.Namespace], Figures]] = {
    "requests": requests,
    "latency": latency,
    "streams": streams,
    "held": held,
}


if __name__ == "__main__":
    main()
