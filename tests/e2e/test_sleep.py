"""A service that sleeps is woken by the requests that are held for it, and follows its load; through kills and
roll-outs no request is lost and none is cut."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from maas_operator.api.names import ANNOTATION_DELETION_COST as DELETION_COST
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import GONE_SECONDS, LOADED_SECONDS, Account
from tests.e2e.replicas import address, gateway_pods, kill_all, operator_pods, ready
from tests.installation import NAMESPACE, install
from tests.keys import gateway_address, maas, new_key, used
from tests.streams import Clients

pytestmark = pytest.mark.e2e
TEAM, SERVICE, KEY = "team-a", "sleeper", "sleeps"
MEASURE_SECONDS = 2
REQUESTS = 50
TARGET = 3
LOAD = 4
"""Requests under way at a time that are more than that."""
LOAD_TOKENS = 1000
PAUSE_SECONDS = 0.5
"""Between two streams of a client, so that engines that start get their share of two cores."""
SETTLE_SECONDS = 60
"""Limit for the gateway and the operator to take something up, and for usage to be shipped."""
AT_ONCE_SECONDS = 10
"""Limit for what is held to be answered once the service is stopped."""
ANSWER_SECONDS = 300
SCALING = {
    "minInstances": 0,
    "maxInstances": 1,
    "sleepAfter": "10s",
    "metrics": [{"type": "Concurrency", "target": TARGET}],
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 15}},
}


@dataclass(frozen=True)
class Answer:
    """What a client got: the status, or what was wrong; the tokens that it was told of."""

    end: str
    tokens: int = 0


@dataclass
class Scene:
    """The gateway in front of a service that sleeps, and a key for it."""

    cluster: Cluster
    account: Account
    key: str

    @property
    def scaling(self) -> dict[str, Any]:
        return dict(self.account.get("msvc", SERVICE)["status"].get("scaling", {}))

    def told(self, reason: str) -> str:
        """The messages of its events of this reason."""
        selector = f"--field-selector=reason={reason},involvedObject.name={SERVICE}"
        return self.account.kubectl("get", "events", selector, "-o", "jsonpath={.items[*].message}")

    def is_asleep(self) -> bool:
        """Nothing of it runs, and that is as it should be."""
        row = self.account.kubectl("get", "msvc", SERVICE, "--no-headers").split()
        condition = self.account.condition(SERVICE, "Ready")
        said = (condition["status"], condition["reason"])
        return {"Running", "0/0"} <= set(row) and said == ("True", "Asleep") and not self.account.pods(SERVICE)

    def fall_asleep(self) -> None:
        wait_until(self.is_asleep, GONE_SECONDS, "it to fall asleep", lambda: json.dumps(self.scaling))

    def held(self) -> int:
        """Requests, by all replicas together."""
        return int(sum(self.metric(pod, 8082, "maas_gateway_held_requests") for pod in gateway_pods(self.cluster)))

    def measured_at(self) -> float:
        """When the operator last measured."""
        return max(
            self.metric(pod, 8080, "maas_operator_measured_timestamp_seconds") for pod in operator_pods(self.cluster)
        )

    def metric(self, pod: dict[str, Any], port: int, name: str) -> float:
        """What a pod says of it now."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:{port}/proxy/metrics"
        lines = self.cluster.kubectl("get", "--raw", path).splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def used(self) -> Counter[str]:
        """As the ledger has it."""
        found = used(self.cluster, TEAM, KEY)
        return Counter({name: int(found.get(name, 0)) for name in ("requests", "failures", "totalTokens")})

    def parted(self) -> tuple[int, int] | None:
        """What the removal of the instance that stays would cost, and of the one that leaves; None while both stay."""
        costs = {
            "deletionTimestamp" in pod["metadata"]: int(pod["metadata"]["annotations"].get(DELETION_COST, "0"))
            for pod in self.account.pods(SERVICE)
        }
        return (costs[False], costs[True]) if True in costs else None

    @asynccontextmanager
    async def loaded(self, number: int) -> AsyncIterator[None]:
        """So many requests are under way all the time, none of which is lost; at the end the last are waited for."""
        stop, ends = asyncio.Event(), set()

        async def client() -> None:
            while not stop.is_set():
                ends.add((await self.ask(gateway_address(self.cluster), stream=False, tokens=LOAD_TOKENS)).end)

        clients = [asyncio.create_task(client()) for _ in range(number)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*clients)
        assert ends == {"whole"}

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = SETTLE_SECONDS) -> Any:
        return await asyncio.to_thread(wait_until, condition, seconds, what, lambda: json.dumps(self.scaling))

    async def ask(self, url: str, stream: bool, tokens: int = 20) -> Answer:
        """One request, whole or as a stream, of a client that waits."""
        body: dict[str, Any] = {
            "model": SERVICE,
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": tokens,
            "ignore_eos": True,
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session,
                session.post(
                    f"{url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {self.key}"}
                ) as answer,
            ):
                text = await answer.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Answer(type(error).__name__)
        if answer.status != 200:
            return Answer(f"{answer.status} {json.loads(text)['error_code']}")
        return of_stream(text) if stream else of_object(text)


def of_object(text: str) -> Answer:
    answer = json.loads(text)
    reasons = [choice["finish_reason"] for choice in answer["choices"]]
    return Answer("whole" if reasons == ["length"] else f"finished {reasons}", answer["usage"]["total_tokens"])


def of_stream(text: str) -> Answer:
    *chunks, last = [line.removeprefix("data: ") for line in text.splitlines() if line]
    if last != "[DONE]":
        return Answer("cut")
    parsed = [json.loads(chunk) for chunk in chunks]
    reasons = [choice["finish_reason"] for chunk in parsed for choice in chunk["choices"] if choice["finish_reason"]]
    return Answer("whole" if reasons == ["length"] else f"finished {reasons}", parsed[-1]["usage"]["total_tokens"])


@pytest.fixture(scope="module")
def scene(cluster: Cluster, account: Account) -> Iterator[Scene]:
    """Everything is measured often, so that nothing takes long."""
    install(cluster, f"settings.measureSeconds={MEASURE_SECONDS}")
    account.apply(SERVICE, scaling=SCALING)
    account.wait_ready(SERVICE, LOADED_SECONDS)
    yield Scene(cluster, account, new_key(cluster, TEAM, KEY, "for a test"))
    account.delete(SERVICE)
    install(cluster)


def test_m10_it_falls_asleep_by_itself_and_nothing_is_written_while_it_sleeps(scene: Scene) -> None:
    scene.fall_asleep()
    version, measured = scene.account.get("msvc", SERVICE)["metadata"]["resourceVersion"], scene.measured_at()
    wait_until(lambda: scene.measured_at() > measured + 2 * MEASURE_SECONDS, SETTLE_SECONDS, "it to be measured")
    assert scene.account.get("msvc", SERVICE)["metadata"]["resourceVersion"] == version


async def test_m10_it_is_woken_by_fifty_requests_of_which_none_is_lost_though_all_is_replaced_meanwhile(
    scene: Scene,
) -> None:
    assert scene.is_asleep()
    await scene.until(lambda: all(map(ready, gateway_pods(scene.cluster))), "the gateway to be ready")
    replicas = gateway_pods(scene.cluster)
    assert len(replicas) == 2
    before = scene.used()
    asked = [
        asyncio.create_task(scene.ask(address(replicas[number % 2]), stream=number % 4 < 2))
        for number in range(REQUESTS)
    ]
    await scene.until(lambda: scene.held() == REQUESTS, "all to be held")
    for pod in operator_pods(scene.cluster):
        kill_all(pod)
    scene.cluster.kubectl("rollout", "restart", "deployment/maas-operator-gateway", "-n", NAMESPACE)
    answers = await asyncio.gather(*asked)
    assert {each.end for each in answers} == {"whole"}
    rollout = ("rollout", "status", "deployment/maas-operator-gateway", "-n", NAMESPACE, f"--timeout={SETTLE_SECONDS}s")
    await asyncio.to_thread(scene.cluster.kubectl, *rollout)
    tokens = sum(each.tokens for each in answers)
    expected = {"requests": REQUESTS, "failures": 0, "totalTokens": tokens}
    await scene.until(lambda: scene.used() - before >= Counter(expected), "all to be in the ledger")
    assert scene.used() - before == Counter(expected)


async def test_m14_it_follows_its_load_and_the_least_busy_instance_goes_first(scene: Scene) -> None:
    """The load is less while the second instance starts, so that it starts in time on two busy cores."""
    url = gateway_address(scene.cluster)
    streams = Clients(url, scene.key, SERVICE, max_tokens=200, pause=PAUSE_SECONDS)
    one = Clients(url, scene.key, SERVICE, max_tokens=600)
    async with streams.running(2):
        await streams.more()
        async with scene.loaded(LOAD):
            await asyncio.to_thread(maas, scene.cluster, TEAM, "scale", SERVICE, "--max", "2")
            await scene.until(lambda: scene.scaling["desired"] == 2, "it to need two instances")
        assert f"per instance over the target {TARGET} asks for 2" in scene.scaling["reason"]
        await asyncio.to_thread(scene.account.wait_ready, SERVICE, 2 * LOADED_SECONDS)
        async with one.running(1):
            await scene.until(lambda: scene.scaling["desired"] == 1, "it to need one")
            assert f"per instance under the target {TARGET} asks for 1" in scene.scaling["reason"]
            stays, goes = await scene.until(scene.parted, "one to leave")
            assert stays >= goes
            assert stays > 0
            await scene.until(lambda: len(scene.account.pods(SERVICE)) == 1, "it to be gone", GONE_SECONDS)
            await streams.more()
    assert streams.ends | one.ends == {"whole"}


async def test_m13_woken_by_its_user_and_stopped_while_requests_are_held(scene: Scene) -> None:
    await asyncio.to_thread(scene.fall_asleep)
    maas(scene.cluster, TEAM, "start", SERVICE)
    await scene.until(lambda: scene.scaling["desired"] == 1, "it to be woken")
    await scene.until(lambda: "woken by its user" in scene.told("Woken"), "that to be told")
    asked = [
        asyncio.create_task(scene.ask(address(pod), stream=stream))
        for pod in gateway_pods(scene.cluster)
        for stream in (True, False)
    ]
    await scene.until(lambda: scene.held() == len(asked), "all to be held")
    stopped = time.monotonic()
    maas(scene.cluster, TEAM, "stop", SERVICE)
    assert {each.end for each in await asyncio.gather(*asked)} == {"401 ModelArts.81004"}
    assert time.monotonic() - stopped < AT_ONCE_SECONDS
    await scene.until(lambda: scene.account.phase(SERVICE) == "Stopped", "it to be stopped")
    maas(scene.cluster, TEAM, "start", SERVICE)
    await scene.until(lambda: scene.scaling.get("desired") == 1, "it to be started")
