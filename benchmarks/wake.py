"""`python -m benchmarks.wake [--wakes 5]`: how long the first request to a sleeping service waits beyond the engine's
own start. JSON out.

A tiny model, real vLLM on the CPU of a real node, with minInstances 0. In turn, so many times: the service sleeps, a
stream is asked for, and its first byte timed, as a client of the gateway sees it; then, while the service sleeps, a
bare pod like its own is created, and timed from that to the first byte of the same stream asked of the pod itself,
which is tried again every POLL_SECONDS. What the second takes is the engine's own start: node, container, weights.
On a machine with other work two starts of one engine differ by seconds; so of each waking is also told what of it is
ours: from the request until its pod is made, and from when that is ready to the first byte.
Then AT_ONCE requests at a time wake the service, and each has to be answered.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.platform import ACCOUNT, Manifest, Platform, platform
from maas_operator.api.names import PORT
from tests.cluster.progress import say
from tests.cluster.waiting import wait_until
from tests.keys import gateway_address, new_key

MANIFESTS = Path(__file__).parent / "manifests" / "tiny.yaml"
SERVICE, BARE = "sleeper", "bare"
AT_ONCE = 50
SLEEP_AFTER = "10s"
ASLEEP_SECONDS = 300
ANSWER_SECONDS = 600
GONE_SECONDS = 180
POLL_SECONDS = 0.05
KNOWN_SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wakes", type=int, default=5)
    count = parser.parse_args().wakes
    sys.stdout, printed = sys.stderr, sys.stdout
    with platform("model-tiny", MANIFESTS, "settings.measureSeconds=2") as there:
        results = measure(there, count)
    sys.stdout = printed
    json.dump({"benchmark": "wake", "cores": os.cpu_count(), "wakes": count, "results": results}, sys.stdout, indent=2)
    print()


def measure(there: Platform, count: int) -> dict[str, Any]:
    there.apply(SERVICE, **sleeping())
    there.wait_ready(SERVICE)
    key = new_key(there.cluster, ACCOUNT, "benchmark", "of the benchmark")
    gateway = urlsplit(gateway_address(there.cluster)).netloc
    wait_until(lambda: first_byte(gateway, key) is not None, KNOWN_SECONDS, "the gateway to know the key")
    template = there.ready_pods(SERVICE)[0]
    woken, alone = [], []
    for number in range(count):
        asleep(there)
        woken.append(wake(there, gateway, key))
        asleep(there)
        alone.append(bare_start(there, template))
        say(f"wake {number + 1}: {woken[-1]}, the engine alone {alone[-1]:.2f} s")
    asleep(there)
    ours = [each.to_pod + each.from_ready for each in woken]
    return {
        "woken_seconds": [round(each.whole, 2) for each in woken],
        "engine_alone_seconds": [round(each, 2) for each in alone],
        "added_p50_seconds": round(statistics.median(each.whole for each in woken) - statistics.median(alone), 2),
        "request_to_pod_seconds": [round(each.to_pod, 2) for each in woken],
        "ready_to_first_byte_seconds": [round(each.from_ready, 2) for each in woken],
        "ours_p50_seconds": round(statistics.median(ours), 2),
        "ours_max_seconds": round(max(ours), 2),
        "at_once": many(gateway, key),
    }


@dataclass
class Seen:
    """When the service's pod was first seen, and seen to be ready, as its watch told; by time.monotonic."""

    made: float = 0.0
    ready: float = 0.0


@dataclass(frozen=True)
class Wake:
    """Seconds of a waking."""

    whole: float
    """From the request to its first byte."""
    to_pod: float
    """From the request until its pod was there."""
    from_ready: float
    """From when that was ready to the first byte."""

    def __str__(self) -> str:
        return (
            f"{self.whole:.2f} s, {self.to_pod:.2f} s to its pod, {self.from_ready:.2f} s from ready to the first byte"
        )


def wake(there: Platform, gateway: str, key: str) -> Wake:
    """Ask a service that sleeps."""
    with watched(there) as seen:
        begun = time.monotonic()
        taken = answered(first_byte(gateway, key))
    return Wake(taken, seen.made - begun, begun + taken - seen.ready)


@contextmanager
def watched(there: Platform) -> Iterator[Seen]:
    """A watch of the service's pods, of which there is none yet. It may tell a little late, never early."""
    seen = Seen()
    command = [
        str(there.cluster.binary("kubectl")), f"--kubeconfig={there.cluster.kubeconfig}", "get", "pods", "--watch",
        "-n", ACCOUNT, "-l", f"maas-operator.io/service={SERVICE}",
        "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}{"\\n"}',
    ]  # fmt: skip
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        ThreadPoolExecutor(1) as threads,
    ):
        reading = threads.submit(read, process, seen)
        try:
            yield seen
        finally:
            process.terminate()
            reading.result()


def read(process: "subprocess.Popen[str]", seen: Seen) -> None:
    """Note when each line came."""
    assert process.stdout is not None
    for line in process.stdout:
        seen.made = seen.made or time.monotonic()
        if line.strip() == "True":
            seen.ready = seen.ready or time.monotonic()


def sleeping() -> dict[str, Any]:
    return {
        "model": {"name": "tiny", "version": "v1"},
        "resourcePool": "local",
        "flavor": "cpu",
        "scaling": {"minInstances": 0, "maxInstances": 1, "sleepAfter": SLEEP_AFTER},
    }


def asleep(there: Platform) -> None:
    """Until the service sleeps and its last pod is gone."""
    limit = ASLEEP_SECONDS
    wait_until(lambda: there.service(SERVICE)["status"]["instances"]["desired"] == 0, limit, "the service to sleep")
    wait_until(lambda: not there.pods(SERVICE), GONE_SECONDS, "its last instance to be gone")


def bare_start(there: Platform, pod: Manifest) -> float:
    """Seconds from a pod's creation to its first byte, without anything of ours."""
    spec = {name: value for name, value in pod["spec"].items() if name != "nodeName"}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": BARE}, "spec": spec}
    begun = time.monotonic()
    there.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    address: str | None = None
    while address is None or first_byte(f"{address}:{PORT}", "") is None:
        if time.monotonic() - begun > ANSWER_SECONDS:
            raise TimeoutError(f"pod {BARE} does not answer")
        if address is None:
            address = json.loads(there.kubectl("get", "pod", BARE, "-o", "json"))["status"].get("podIP")
        time.sleep(POLL_SECONDS)
    taken = time.monotonic() - begun
    there.kubectl("delete", "pod", BARE, "--grace-period=1", "--wait=true")
    return taken


def many(gateway: str, key: str) -> dict[str, Any]:
    """So many first requests at once."""
    begun = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(lambda _: first_byte(gateway, key), range(AT_ONCE)))
    whole = sum(each is not None for each in answers)
    return {
        "requests": AT_ONCE,
        "answered": whole,
        "lost": AT_ONCE - whole,
        "seconds": round(time.monotonic() - begun, 1),
    }


def answered(taken: float | None) -> float:
    """Raises OSError where a request was not answered."""
    if taken is None:
        raise OSError("the request that should wake the service was not answered")
    return taken


def first_byte(host: str, key: str) -> float | None:
    """Seconds to the first token of a stream, which is read to its end; None where it is not answered whole."""
    body = {"model": SERVICE, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "stream": True}
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    connection = http.client.HTTPConnection(host, timeout=ANSWER_SECONDS)
    begun, first, last = time.monotonic(), None, b""
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        for line in answer:
            if first is None and line.startswith(b"data: "):
                first = time.monotonic() - begun
            last = line.strip() or last
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return first if answer.status == 200 and last == b"data: [DONE]" else None


if __name__ == "__main__":
    main()
