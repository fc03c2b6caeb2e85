"""`python -m benchmarks.affinity [--conversations 24]`: what it is worth to send a conversation to the instance that
knows its beginning. JSON out.

Three instances of a small model, real vLLM on the CPU of a real node, and conversations of several turns, some of which
share a long system prompt. The same load three times, each with words of its own, so that nothing is known from before:
by the gateway with prefix affinity, by the gateway with least request, and to the pods themselves, one after another.
Hits are vLLM's own count, in tokens; times are the client's, from a request to its first token.
"""

import argparse
import http.client
import itertools
import json
import os
import random
import re
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.platform import ACCOUNT, READY_SECONDS, Platform, platform
from maas_operator.api.names import PORT
from tests.cluster.progress import say
from tests.cluster.waiting import wait_until
from tests.keys import gateway_address, new_key

EXAMPLES = Path(__file__).parent.parent / "examples" / "demo"
SERVICE = "assistant"
INSTANCES = 3
KNOWN_SECONDS = 120
SETTLE_SECONDS = 5
"""For the gateway to hear of another balancing."""
TURNS = 4
SHARED_BY = 3
"""Conversations that begin with the same system prompt."""
AT_A_TIME = 3
SYSTEM_WORDS, TURN_WORDS = 250, 40
ANSWER_TOKENS = 8
ANSWER_SECONDS = 300
Send = Callable[[dict[str, Any]], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=24)
    count = parser.parse_args().conversations
    sys.stdout, printed = sys.stderr, sys.stdout
    with platform("model-smollm2-135m-instruct", EXAMPLES) as there:
        prepare(there)
        results = measure(there, count)
    sys.stdout = printed
    about = {"instances": INSTANCES, "conversations": count, "turns": TURNS, "shared_by": SHARED_BY}
    json.dump({"benchmark": "affinity", "cores": os.cpu_count(), **about, "results": results}, sys.stdout, indent=2)
    print()


def prepare(there: Platform) -> None:
    """The demo's service, in more instances."""
    there.patch(SERVICE, instances=INSTANCES, qps=None)
    there.wait_ready(SERVICE)
    wait_until(lambda: len(pods(there)) == INSTANCES, READY_SECONDS, "all instances to be ready")


def pods(there: Platform) -> list[str]:
    """Addresses of the instances that are ready."""
    return sorted(pod["status"]["podIP"] for pod in there.ready_pods(SERVICE))


def measure(there: Platform, count: int) -> dict[str, Any]:
    addresses = pods(there)
    key = new_key(there.cluster, ACCOUNT, "benchmark", "of the benchmark")
    gateway = gateway_address(there.cluster).removeprefix("http://")
    in_turn = itertools.cycle(addresses)
    ways: dict[str, tuple[str | None, Send]] = {
        "PrefixAffinity": ("PrefixAffinity", lambda body: first_token(gateway, body, key)),
        "LeastRequest": ("LeastRequest", lambda body: first_token(gateway, body, key)),
        "round robin": (None, lambda body: first_token(f"{next(in_turn)}:{PORT}", body, "")),
    }
    wait_until(lambda: answers(gateway, key), KNOWN_SECONDS, "the gateway to know the key and the service")
    results = {}
    for name, (balancing, send) in ways.items():
        if balancing:
            there.patch(SERVICE, balancing=balancing)
            time.sleep(SETTLE_SECONDS)
        results[name] = run(addresses, send, count, name)
        say(f"{name}: {json.dumps(results[name])}")
    return results


def run(addresses: list[str], send: Send, count: int, salt: str) -> dict[str, Any]:
    """All conversations, a few at a time."""
    words = random.Random(salt)
    systems = [text(words, SYSTEM_WORDS) for _ in range(0, count, SHARED_BY)]
    begun = [counters(address) for address in addresses]
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        seeds = [words.random() for _ in range(count)]
        turns = threads.map(lambda i: converse(send, systems[i % len(systems)], random.Random(seeds[i])), range(count))
        times = [seconds for conversation in turns for seconds in conversation]
    ended = [counters(address) for address in addresses]
    queries, hits = (sum(e[i] - b[i] for b, e in zip(begun, ended, strict=True)) for i in (0, 1))
    later = [seconds for number, seconds in enumerate(times) if number % TURNS]
    return {
        "tokens_asked": queries,
        "hit_share": round(hits / queries, 3),
        "first_token_p50_ms": round(statistics.median(times) * 1000),
        "first_token_p90_ms": round(statistics.quantiles(times, n=10)[8] * 1000),
        "later_turns_p50_ms": round(statistics.median(later) * 1000),
        "tokens_by_instance": [e[0] - b[0] for b, e in zip(begun, ended, strict=True)],
    }


def converse(send: Send, system: str, words: random.Random) -> list[float]:
    """Seconds to the first token of each turn. The answers are made up, so that all runs ask for the same."""
    messages = [{"role": "system", "content": system}]
    taken = []
    for _ in range(TURNS):
        messages.append({"role": "user", "content": text(words, TURN_WORDS)})
        body = {"model": SERVICE, "messages": messages, "max_tokens": ANSWER_TOKENS, "stream": True, "temperature": 0}
        taken.append(send(body))
        messages.append({"role": "assistant", "content": text(words, ANSWER_TOKENS)})
    return taken


def text(words: random.Random, count: int) -> str:
    return " ".join(words.choice(VOCABULARY) for _ in range(count))


VOCABULARY = re.findall(r"[a-z]{3,}", (__doc__ or "").lower())


def first_token(host: str, body: dict[str, Any], key: str) -> float:
    """Seconds to the first token of a stream, which is read to its end."""
    connection = http.client.HTTPConnection(host, timeout=ANSWER_SECONDS)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    begun = time.monotonic()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    answer = connection.getresponse()
    if answer.status != 200:
        raise OSError(f"{host}: {answer.status} {answer.read()[:300]!r}")
    taken = None
    for line in answer:
        if taken is None and b'"content":"' in line and b'"content":""' not in line:
            taken = time.monotonic() - begun
    connection.close()
    return taken if taken is not None else time.monotonic() - begun


def answers(gateway: str, key: str) -> bool:
    body = {"model": SERVICE, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1, "stream": True}
    try:
        first_token(gateway, body, key)
    except OSError:
        return False
    return True


def counters(address: str) -> tuple[int, int]:
    """Tokens that an instance looked for in its cache, and those that were there."""
    with urllib.request.urlopen(f"http://{address}:{PORT}/metrics", timeout=30) as answer:
        said = answer.read().decode()
    return _total(said, "queries"), _total(said, "hits")


def _total(said: str, name: str) -> int:
    found = re.findall(rf"^vllm:prefix_cache_{name}_total\{{.*\}} (\S+)$", said, re.MULTILINE)
    return round(sum(map(float, found)))


if __name__ == "__main__":
    main()
