"""Hangs (M9), by vLLM's own pause: the engine answers /health and does nothing. Clients with streams all the time."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import LOADED_SECONDS, Account
from tests.installation import install
from tests.keys import gateway_address, new_key
from tests.streams import Clients

pytestmark = pytest.mark.e2e

SERVICE = "pausing"
HANG_SECONDS = 15
FOUND_SECONDS = 90
"""Limit for a hang to be found: HANG_SECONDS, and what a busy machine takes."""
DEVELOPMENT = {"env": [{"name": "VLLM_SERVER_DEV_MODE", "value": "1"}]}
"""With it vLLM can be paused by HTTP."""


@pytest.fixture(scope="module")
def service(cluster: Cluster, account: Account) -> Iterator[str]:
    """Two instances, and an operator that waits for less long than usual. Where the gateway answers."""
    install(cluster, f"settings.hangSeconds={HANG_SECONDS}", "settings.measureSeconds=2")
    account.apply(SERVICE, instances=2, engine=DEVELOPMENT)
    account.wait_ready(SERVICE, 2 * LOADED_SECONDS)
    yield gateway_address(cluster)
    account.delete(SERVICE)
    install(cluster)


def pause(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Have vLLM keep its requests and do nothing."""
    path = f"/api/v1/namespaces/team-a/pods/{pod['metadata']['name']}:8000/proxy"
    cluster.kubectl("create", "--raw", f"{path}/pause?mode=keep", "-f", "-", stdin="{}")
    assert cluster.kubectl("get", "--raw", f"{path}/health") == ""


def told(account: Account) -> list[dict[str, Any]]:
    return list(account.get("events", "--field-selector", f"reason=SuspectedSuspension,involvedObject.name={SERVICE}"))


def names(account: Account) -> set[str]:
    """The instances that answer and stay."""
    return {
        pod["metadata"]["name"]
        for pod in account.pods(SERVICE)
        if "deletionTimestamp" not in pod["metadata"]
        and any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"]["conditions"])
    }


async def test_m9_a_paused_instance_is_found_told_of_taken_out_and_replaced_and_the_others_streams_go_on(
    cluster: Cluster, account: Account, service: str
) -> None:
    key = new_key(cluster, "team-a", "pausing", "for a test")
    clients = Clients(service, key, SERVICE, max_tokens=60)
    first, second = account.pods(SERVICE)
    hung, well = first["metadata"]["name"], second["metadata"]["name"]
    async with clients.running(4):
        await clients.more(8)
        begun = len(clients.streams)
        await asyncio.to_thread(pause, cluster, first)

        def found() -> str:
            """What is said of the suspension."""
            condition = account.condition(SERVICE, "Ready")
            return condition["message"] if condition["reason"] == "SuspectedSuspension" else ""

        message = await asyncio.to_thread(wait_until, found, FOUND_SECONDS, "the hang to be found")
        assert f"instance {hung}" in message
        assert account.phase(SERVICE) == "Alarm"
        (event,) = await asyncio.to_thread(wait_until, lambda: told(account), FOUND_SECONDS, "the event")
        assert (event["type"], f"instance {hung} " in event["message"]) == ("Warning", True)

        await clients.more(8)  # by the other one, while the hung one leaves
        await asyncio.to_thread(account.wait_ready, SERVICE, LOADED_SECONDS)
        await clients.more(8)
    after = names(account)
    assert (len(after), hung in after, well in after) == (2, False, True)
    assert account.phase(SERVICE) == "Running"
    assert "suspension" not in account.get("msvc", SERVICE)["status"]
    assert len(told(account)) == 1, "it was the only one"
    broken = [each for each in clients.streams if each.end != "whole"]
    assert len(broken) <= 4, "what the hung one had, and no more"
    assert begun < len(clients.streams)
    assert [pod["metadata"]["name"] for pod in account.pods(SERVICE) if restarts(pod)] == []


def restarts(pod: dict[str, Any]) -> int:
    return sum(each["restartCount"] for each in pod["status"]["containerStatuses"])
