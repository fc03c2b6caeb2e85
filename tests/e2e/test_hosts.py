"""An instance of two hosts: real vLLM on two ranks, made one by the real LeaderWorkerSet controller. It answers, it is
made anew as a whole when one of its hosts is lost, and nothing is left of it."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import GONE_SECONDS, LOADED_SECONDS, MANIFESTS, Account
from tests.e2e.replicas import kill_all, ready
from tests.keys import gateway_address, new_key
from tests.streams import Clients

pytestmark = pytest.mark.e2e
SERVICE = "spread"
ON_TWO_RANKS: dict[str, Any] = {
    "env": [
        {"name": "VLLM_ENABLE_V1_MULTIPROCESSING", "value": "1"},
        {"name": "VLLM_CPU_OMP_THREADS_BIND", "value": "nobind"},
    ]
}
SEEN_SECONDS = 60
"""Limit for the operator to see that LeaderWorkerSet was installed, and for what follows at once."""
LOAD_SECONDS = 2 * LOADED_SECONDS
"""Two engines load at a time; also the limit for a request that waits for it."""


@pytest.fixture(scope="module")
def said_before(cluster: Cluster, account: Account) -> Iterator[dict[str, str]]:
    """What a service says of itself before LeaderWorkerSet is installed, which it is then."""
    cluster.kubectl("apply", "-f", str(MANIFESTS / "hosts.yaml"))
    account.apply(SERVICE, resourcePool="spread", flavor="cpu-x2", engine=ON_TWO_RANKS)
    said = wait_until(lambda: account.condition(SERVICE, "Ready"), SEEN_SECONDS, "what it says")
    with cluster.leader_worker_sets():
        yield said
        account.delete(SERVICE)
    cluster.kubectl("delete", "rpool", "spread")


@pytest.fixture(scope="module")
def clients(cluster: Cluster, account: Account, said_before: dict[str, str]) -> Clients:
    account.wait_ready(SERVICE, LOAD_SECONDS)
    key = new_key(cluster, "team-a", "hosts", "for a test")
    return Clients(gateway_address(cluster), key, SERVICE, max_tokens=30)


def hosts(account: Account) -> dict[str, dict[str, Any]]:
    """The pods of the instance, by their place in it."""
    label = "leaderworkerset.sigs.k8s.io/worker-index"
    return {pod["metadata"]["labels"][label]: pod for pod in account.pods(SERVICE)}


def uids(account: Account) -> set[str]:
    return {pod["metadata"]["uid"] for pod in account.pods(SERVICE)}


def test_without_leader_worker_set_a_service_says_so_and_goes_on_once_it_is_installed(
    said_before: dict[str, str], account: Account
) -> None:
    assert said_before["reason"] == "LeaderWorkerSetMissing"
    assert "spreads an instance over 2 hosts" in said_before["message"]
    wait_until(lambda: account.get("lws"), SEEN_SECONDS, "its LeaderWorkerSet", lambda: account.phase(SERVICE))


async def test_two_hosts_answer_as_one_instance_and_only_the_leader_is_sent_requests(
    account: Account, clients: Clients
) -> None:
    async with clients.running(2):
        await clients.more(4)
    assert clients.ends == {"whole"}
    pods = hosts(account)
    assert sorted(pods) == ["0", "1"]
    assert account.get("msvc", SERVICE)["status"]["instances"]["summary"] == "1/1"
    slices = account.get("endpointslices", "-l", f"kubernetes.io/service-name={SERVICE}")
    addresses = [address for each in slices for endpoint in each["endpoints"] for address in endpoint["addresses"]]
    assert addresses == [pods["0"]["status"]["podIP"]]


def waits(url: str, key: str) -> dict[str, Any]:
    """The answer to a request, however long it is held."""
    body = {"model": SERVICE, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "ignore_eos": True}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=LOAD_SECONDS) as answered:
        answer: dict[str, Any] = json.loads(answered.read())
    return answer


async def test_m9_a_host_that_is_lost_has_the_whole_instance_made_anew_while_a_request_waits(
    cluster: Cluster, account: Account, clients: Clients
) -> None:
    before, worker = uids(account), hosts(account)["1"]
    kill_all(worker)

    def told() -> bool:
        events = account.get("msvc", SERVICE)["status"].get("events", ())
        return any(f"its host {worker['metadata']['name']}" in each["message"] for each in events)

    await asyncio.to_thread(wait_until, told, SEEN_SECONDS, "the failing host to be told of")
    loading = partial(account.wait_phase, SERVICE, "Deploying", SEEN_SECONDS)
    await asyncio.to_thread(loading)
    answer = await asyncio.to_thread(waits, gateway_address(cluster), clients.key)
    assert answer["choices"][0]["finish_reason"] == "length"
    await asyncio.to_thread(account.wait_ready, SERVICE, LOAD_SECONDS)
    assert not uids(account) & before
    whole = partial(wait_until, lambda: all(map(ready, account.pods(SERVICE))), SEEN_SECONDS, "each host to be ready")
    await asyncio.to_thread(whole)


def test_nothing_is_left_of_it(account: Account, clients: Clients) -> None:
    account.kubectl("delete", "msvc", SERVICE)

    def left() -> list[str]:
        kinds = "pods,statefulsets,services,leaderworkersets,poddisruptionbudgets,controllerrevisions"
        return [each["metadata"]["name"] for each in account.get(kinds) if each["metadata"]["name"].startswith(SERVICE)]

    wait_until(lambda: not left(), GONE_SECONDS, "all of it to be gone", lambda: str(left()))
