"""Asking gateways and engines: real HTTP on loopback, of which some is slow, broken or far too much."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from maas_operator import metrics
from maas_operator.api.fetching import FetchProgress, Step
from maas_operator.api.names import PORT
from maas_operator.api.seen import Measured, ServiceSeen
from maas_operator.api.traffic import PATH, ServiceTraffic, Traffic
from maas_operator.watch import measuring
from maas_operator.watch.keys import Key
from maas_operator.watch.measuring import Measuring
from maas_operator.watch.objects import Altered
from maas_operator.watch.store import Store
from tests.unit.watch import vllm
from tests.unit.watch.test_store import OURS, SERVICE, made, service

UID = "ModelService-assistant"


class Server:
    """Answers with what it is told, at an address of its own."""

    def __init__(self) -> None:
        self.address = ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])
        self.body: Any = b""
        self.status = 200
        self.silent = False
        self.asked: list[web.Request] = []
        self.reached = asyncio.Event()

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Server"]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.address, PORT).start()
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        self.reached.set()
        if self.silent:
            await asyncio.Event().wait()
        return web.Response(body=self.body, status=self.status)


def pod(name: str, address: str, version: int = 1) -> dict[str, Any]:
    status = {"podIP": address, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return made("Pod", name, version, "team-a", spec={"containers": []}, status=status, metadata={"labels": OURS})


def told(**of_service: Any) -> bytes:
    traffic = Traffic(replica="x", since=time.time(), services={UID: ServiceTraffic(**of_service)})
    return traffic.model_dump_json(by_alias=True).encode()


class House:
    """A store with a service and its pods, and what measures it."""

    def __init__(self, gateway: Server, *engines: Server, gateways: tuple[str, ...] = ()) -> None:
        self.store = Store()
        self.store.put(service(spec={"scaling": {"minInstances": 1, "maxInstances": 2}}))
        for number, engine in enumerate(engines):
            self.store.put(pod(f"p{number}", engine.address))
        self.altered: Altered = set()
        names = gateways or (f"{gateway.address}:{PORT}",)
        self.measuring = Measuring(self.store, self.altered.update, names, 15)

    async def look(self) -> Measured:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=measuring.SECONDS)) as session:
            await self.measuring.look(session)
        seen = self.store.snapshot(SERVICE)
        assert isinstance(seen, ServiceSeen)
        assert seen.measured
        return seen.measured


@pytest.fixture
async def gateway() -> AsyncIterator[Server]:
    async with Server().served() as server:
        server.body = told()
        yield server


@pytest.fixture
async def engine() -> AsyncIterator[Server]:
    async with Server().served() as server:
        server.body = vllm.metrics()
        yield server


@pytest.fixture
async def other() -> AsyncIterator[Server]:
    async with Server().served() as server:
        server.body = vllm.metrics(running=1)
        yield server


async def test_all_are_asked_and_what_they_say_is_kept(gateway: Server, engine: Server, other: Server) -> None:
    gateway.body, engine.body = told(held=2), vllm.metrics(running=3, waiting=1, kv_cache=0.5)
    measured = await House(gateway, engine, other).look()
    assert measured.held == 2
    assert {name: (each.running, each.waiting, each.kv_cache) for name, each in measured.instances.items()} == {
        "p0": (3, 1, 50),
        "p1": (1, 0, 0),
    }
    assert ([each.path for each in gateway.asked], [each.path for each in engine.asked]) == ([PATH], ["/metrics"])


BROKEN: dict[str, dict[str, Any]] = {
    "says something else": {"body": b"ok"},
    "says no": {"status": 500},
    "sends elsewhere": {"status": 302},
    "says too much": {"body": vllm.metrics() + b"\n" * 3_000},
    "says nothing": {"silent": True},
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_engine_stops_nothing_and_is_told_of_once(
    gateway: Server, engine: Server, other: Server, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "LARGEST_ENGINE", 2_999)
    monkeypatch.setattr(measuring, "SECONDS", 0.3)
    house = House(gateway, engine, other)
    for name, value in BROKEN[how].items():
        setattr(engine, name, value)
    failures = metrics.MEASURE_FAILURES.labels("engine")._value.get()
    with capture_logs() as logs:
        assert set((await house.look()).instances) == {"p1"}
        assert set((await house.look()).instances) == {"p1"}
        engine.body, engine.status, engine.silent = vllm.metrics(), 200, False
        assert set((await house.look()).instances) == {"p0", "p1"}
    assert [(each["event"], each["who"]) for each in logs] == [
        ("cannot be measured", "team-a/p0"),
        ("can be measured again", "team-a/p0"),
    ]
    assert metrics.MEASURE_FAILURES.labels("engine")._value.get() == failures + 2


@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_gateway_leaves_the_engines(
    gateway: Server, other: Server, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "LARGEST_GATEWAY", 2_999)
    monkeypatch.setattr(measuring, "SECONDS", 0.3)
    house = House(gateway, other)
    assert (await house.look()).since
    for name, value in BROKEN[how].items():
        setattr(gateway, name, value)
    measured = await house.look()
    assert (measured.held, measured.since, set(measured.instances)) == (None, None, {"p0"})


async def test_a_name_that_is_not_found_leaves_those_that_were(gateway: Server, engine: Server) -> None:
    house = House(gateway, engine, gateways=(f"{gateway.address}:{PORT}", "no.such.name.invalid:1"))
    with capture_logs() as logs:
        assert (await house.look()).since is None
        assert (await house.look()).since is None
    assert [each["who"] for each in logs] == ["no.such.name.invalid:1"]
    assert len(gateway.asked) == 2


async def test_engines_that_are_gone_are_not_asked_nor_remembered(gateway: Server, engine: Server) -> None:
    house = House(gateway, engine)
    engine.status = 500
    await house.look()
    house.store.drop(Key("Pod", "team-a", "p0"))
    await house.look()
    assert (len(engine.asked), house.measuring._silent) == (1, set())


async def test_a_plain_service_is_not_decided_anew_and_one_that_scales_is(gateway: Server, engine: Server) -> None:
    house = House(gateway, engine)
    house.store.put(service(2))
    gateway.body = told(under_way={f"{engine.address}:{PORT}": 1})
    await house.look()
    assert (len(engine.asked), house.altered) == (1, set())
    house.store.put(service(3, spec={"scaling": {"minInstances": 1, "maxInstances": 2}}))
    await house.look()
    assert house.altered == {SERVICE}


async def test_the_engine_of_a_plain_service_without_requests_is_not_asked(gateway: Server, engine: Server) -> None:
    house = House(gateway, engine)
    house.store.put(service(2))
    await house.look()
    assert engine.asked == []


async def test_what_is_unheard_of_does_not_end_the_measuring(
    gateway: Server, engine: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(gateway, engine)
    house.measuring._seconds = 0.01
    monkeypatch.setattr(measuring, "LEAST_PAUSE", 0.0)
    services, failed = house.store.services, iter([ZeroDivisionError(), KeyError()])

    def sometimes() -> Any:
        if error := next(failed, None):
            raise error
        return services()

    monkeypatch.setattr(house.store, "services", sometimes)
    with capture_logs() as logs:
        running = asyncio.create_task(house.measuring.run())
        async with asyncio.timeout(10):
            await engine.reached.wait()
        running.cancel()
    assert [each["event"] for each in logs] == ["a task failed: it is tried again"] * 2


def fetching(name: str, address: str, version: int, **labels: str) -> dict[str, Any]:
    statuses = [{"name": "fetch", "restartCount": 0, "state": {"running": {}}}]
    status = {"podIP": address, "phase": "Pending", "initContainerStatuses": statuses}
    return made("Pod", name, version, "team-a", spec={"containers": []}, status=status, metadata={"labels": labels})


async def test_those_that_fetch_weights_tell_how_far_they_are() -> None:
    async with Server().served() as gateway, Server().served() as instance, Server().served() as job:
        gateway.body = told()
        instance.body = b'{"step": "Waiting", "done": 5, "total": 10}'
        job.body = b'{"step": "Fetching", "done": 5, "total": 10, "secondsLeft": 7}'
        house = House(gateway)
        of_a_job = {"app.kubernetes.io/managed-by": "maas-operator", "maas-operator.io/fetches-for": "assistant"}
        house.store.put(fetching("instance", instance.address, 1, **OURS))
        house.store.put(fetching("job", job.address, 1, **of_a_job))
        house.store.put(fetching("stranger", job.address, 1))
        measured = await house.look()
        assert measured.fetching == {
            "instance": FetchProgress(step=Step.WAITING, done=5, total=10),
            "job": FetchProgress(step=Step.FETCHING, done=5, total=10, seconds_left=7),
        }
        assert SERVICE in house.altered
        assert [request.path for request in job.asked] == ["/fetch"]
        job.body = b"nonsense"
        with capture_logs() as logs:
            assert set((await house.look()).fetching) == {"instance"}
        assert [(line["what"], line["who"]) for line in logs] == [("fetch", "team-a/job")]
        seen = house.store.snapshot(SERVICE)
        assert isinstance(seen, ServiceSeen)
        assert [pod.name for pod in seen.fetchers] == ["job"]
        assert [pod.name for pod in seen.pods] == ["instance"]
