"""A gateway's world, as manifests: accounts with 30 keys each, services, one instance for all of them."""

import hashlib
import json
import random
from collections.abc import Iterator
from typing import Any

from benchmarks.load import Request
from maas_operator.api.apikey import MAX_KEYS_PER_ACCOUNT, MAX_TOKEN_QUOTA
from maas_operator.api.fields import MAX_REQUESTS_PER_MINUTE, MAX_TOKENS_PER_MINUTE
from maas_operator.api.modelservice import MAX_QPS
from maas_operator.api.names import GROUP, VERSION
from maas_operator.gateway.seeing import SLICE

MODEL = "model"
POPULAR = 20
"""Services that everyone may call, and everyone calls: over hundreds, connections to instances would idle out."""
NARROWED = 10
"""One key in so many may call some services of its account alone; it is not used."""
GATEWAY = ("maas-system", "gateway")
"""Namespace and name of the gateway's own Service."""
QUESTION = "What is the capital of France? Answer in one sentence, and say how you know. " * 2
Manifest = dict[str, Any]


def text_of(key: int) -> str:
    """The key itself, as long as `kubectl maas key create` makes them."""
    return f"sk-{hashlib.sha256(str(key).encode()).hexdigest()[:43]}"


def requests(count: int, keys: int, services: int, stream: bool = False) -> list[Request]:
    """Chats of so many of the keys, in no order, each with one of the popular services."""
    usable = [number for number in range(keys) if number % NARROWED]
    chosen = random.Random(1).sample(usable, min(count, len(usable)))
    return [Request(text_of(each), body(popular(each, services), stream)) for each in chosen]


def popular(key: int, services: int) -> str:
    """Name of the popular service that a key calls."""
    return _name(key % min(POPULAR, services))


def body(model: str, stream: bool = False) -> bytes:
    """A chat, some 400 bytes long."""
    asked: Manifest = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 64}
    return json.dumps(asked | ({"stream": True} if stream else {})).encode()


def world(services: int, keys: int, port: int) -> Iterator[Manifest]:
    """All there is: limits of every kind, none of which is reached."""
    accounts = max(1, keys // MAX_KEYS_PER_ACCOUNT)
    for number in range(services):
        yield from service(number, accounts, port)
    for number in range(keys):
        yield key(number)
    # the gateway itself, in two replicas: each holds half of a limit
    yield _slice(*GATEWAY, "http", 8080, "127.0.0.1", "127.0.0.2")


def service(number: int, accounts: int, port: int) -> tuple[Manifest, Manifest]:
    """A service with all limits, and where it answers."""
    namespace, name = _account(number % accounts), _name(number)
    limits = {"requestsPerMinute": MAX_REQUESTS_PER_MINUTE, "tokensPerMinute": MAX_TOKENS_PER_MINUTE}
    spec = {"model": {"name": MODEL}, "resourcePool": "pool", "flavor": "one", "qps": MAX_QPS, "limits": limits}
    spec |= {"sharing": {"all": True}} if number < POPULAR else {}
    status = {"model": {"name": MODEL, "version": "v1"}}
    made = {**_object("ModelService", namespace, name), "spec": spec, "status": status}
    return made, _slice(namespace, name, "http", port, "127.0.0.1")


def key(number: int) -> Manifest:
    """A key with all limits."""
    limits = {"requestsPerMinute": MAX_REQUESTS_PER_MINUTE, "tokensPerMinute": MAX_TOKENS_PER_MINUTE}
    spec: Manifest = {
        "tag": f"k{number}",
        "description": "of the benchmark",
        "sha256": hashlib.sha256(text_of(number).encode()).hexdigest(),
        "limits": limits | {"tokenQuota": MAX_TOKEN_QUOTA},
    }
    if number % NARROWED == 0:
        spec["services"] = [_name(number)]
    status = {"conditions": [{"type": "Accepted", "status": "True"}]}
    account = _account(number // MAX_KEYS_PER_ACCOUNT)
    return {**_object("ApiKey", account, f"k{number:05}"), "spec": spec, "status": status}


def _account(number: int) -> str:
    return f"account-{number:04}"


def _name(number: int) -> str:
    return f"s{number:05}"


def _object(kind: str, namespace: str, name: str, version: str = f"{GROUP}/{VERSION}") -> Manifest:
    uid = hashlib.sha256(f"{kind}/{namespace}/{name}".encode()).hexdigest()
    metadata = {
        "namespace": namespace,
        "name": name,
        "uid": f"{uid[:8]}-{uid[8:12]}-{uid[12:16]}-{uid[16:20]}-{uid[20:32]}",
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _slice(namespace: str, name: str, port_name: str, port: int, *addresses: str) -> Manifest:
    made = _object(SLICE, namespace, f"{name}-1", "discovery.k8s.io/v1")
    made["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    ports = [{"name": port_name, "port": port, "protocol": "TCP"}]
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    return {**made, "addressType": "IPv4", "ports": ports, "endpoints": endpoints}
