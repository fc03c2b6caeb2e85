"""The must: over 60 s, with 1, 2 and 4 replicas, never more than 2 % over a limit, however the load falls; no more than
2 % below where it falls evenly, and with the store wherever it falls. By default and with the store, side by side."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from maas_operator.gateway.access_log import Line
from maas_operator.gateway.facts import Facts, Key, Limits, Service
from maas_operator.gateway.publishing import Publisher
from tests.gateway.backend import PROMPT_TOKENS, Backend
from tests.gateway.gateway import Gateway
from tests.gateway.scene import key, service
from tests.gateway.store import RateLimitService, Store, servers

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECONDS = 60
MINUTELY = 600
DEMAND = 1.5
"""Times the limit that is asked for."""
EVENLY, SKEWED, ON_ONE = "evenly", "80 to 20", "all on one"
WORDS = 1
ANSWER = PROMPT_TOKENS + WORDS
"""Tokens of an answer."""
TOKENS = 60 * 10 * ANSWER
"""A minute. A second's share is a whole number of answers: the one that crosses the line is charged afterwards."""
LAG = 0.25
"""Seconds that a request may take without its load being called late: this machine is shared."""


@dataclass
class Case:
    """A limit, the load on it, and what came through."""

    name: str
    falls: str
    key: Key
    service: Service
    allowed: int
    """Requests in SECONDS."""
    spent: float = 0.0
    """Seconds that all the answers took together."""
    asked: int = 0
    passed: list[int] = field(default_factory=list)
    """When Envoy got what it let through, milliseconds since 1970."""
    other: list[str] = field(default_factory=list)
    late: float = 0.0
    """Seconds of the load that came late, on the replica where that was longest."""
    not_counted: int = 0
    """Requests that the store's service did not answer in time: they go on."""

    def shares(self, replicas: int) -> list[float]:
        """Of the load, on each replica."""
        if replicas == 1 or self.falls == EVENLY:
            return [1 / replicas] * replicas
        first = 0.8 if self.falls == SKEWED else 1.0
        return [first, *[(1 - first) / (replicas - 1)] * (replicas - 1)]


def cases(engine: Backend, replicas: int) -> list[Case]:
    """Each with a key and a service of its own."""
    minutely = Limits(MINUTELY)
    loads = (EVENLY, SKEWED, ON_ONE) if replicas > 1 else (EVENLY,)
    made = [
        Case("0308 requests a second of a service", EVENLY, key("qps"), service("qps", engine, qps=10), MINUTELY),
        Case("81101 few requests a minute", EVENLY, key("few", limits=Limits(12)), service("few", engine), 12),
    ]
    for falls in loads:
        name = falls.replace(" ", "-")
        of_key = key(f"key-{name}", limits=minutely)
        made.append(Case("81101 requests a minute of a key", falls, of_key, service(f"k-{name}", engine), MINUTELY))
    of_service = service("minutely", engine, limits=minutely)
    made.append(Case("81101 requests a minute of a service", loads[-1], key("s"), of_service, MINUTELY))
    of_key = key("tokens", limits=Limits(None, TOKENS))
    made.append(Case("81103 tokens a minute of a key", loads[-1], of_key, service("tokens", engine), TOKENS // ANSWER))
    return made


@asynccontextmanager
async def replicas_of(facts: Facts, count: int, **settings: Any) -> AsyncIterator[list[Gateway]]:
    """Replicas that know of each other, each with its agent's part in limits."""
    gateways = [Gateway(facts, **settings) for _ in range(count)]
    known = replace(facts, replicas=tuple(("127.0.0.1", gateway.settings.port) for gateway in gateways))
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        publishing = []
        for gateway in gateways:
            publisher = Publisher(gateway.settings, gateway.files.folder, gateway.log)
            publisher.put(known)
            gateway.facts = publisher.facts
            await stack.enter_async_context(gateway)
            publishing.append(tasks.create_task(publisher.run()))
        yield gateways
        for task in publishing:
            task.cancel()


async def run(case: Case, gateways: list[Gateway]) -> None:
    """Ask for SECONDS."""
    shares = case.shares(len(gateways))
    begun = time.monotonic()

    async def one(gateway: Gateway, number: int, due: float) -> float:
        asked = time.monotonic()
        answer = await gateway.chat(case.key.name, case.service.name, max_tokens=WORDS, stream=number % 2 == 0)
        if answer.status == 200:
            case.spent += time.monotonic() - asked
        elif answer.status != 429:
            case.other.append(repr(answer))
        return max(0.0, time.monotonic() - due - LAG)

    async def send(gateway: Gateway, each_second: float, later: float) -> float:
        asking = set()
        number = 0
        while (due := later + number / each_second) < SECONDS:
            await asyncio.sleep(begun + due - time.monotonic())
            asking.add(asyncio.create_task(one(gateway, number, begun + due)))
            number += 1
        case.asked += number
        return sum(await asyncio.gather(*asking)) / each_second

    each_second = case.allowed * DEMAND / SECONDS
    case.late = max(
        await asyncio.gather(
            *(
                send(gateway, each_second * share, place / each_second)
                for place, (gateway, share) in enumerate(zip(gateways, shares, strict=True))
                if share
            )
        )
    )


async def count(ran: list[Case], gateways: list[Gateway]) -> None:
    """From the access logs: by Envoy's clock, since what the load itself does late is not the gateway's."""

    async def written() -> bool:
        return sum(gateway.log.read_bytes().count(b"\n") for gateway in gateways) >= sum(case.asked for case in ran)

    await gateways[0].until(written)
    of_service = {case.service.id: case for case in ran}
    for gateway in gateways:
        for text in gateway.log.read_text().splitlines():
            line = Line.model_validate_json(text)
            if line.code == 200:
                of_service[line.service_id or ""].passed.append(line.started)
        stats = f"http://127.0.0.1:{gateway.settings.admin_port}/stats?format=json&filter=ratelimit.*error"
        async with gateway.client.get(stats) as answer:
            for stat in (await answer.json(content_type=None))["stats"]:
                name = stat["name"].split(".")[1]
                of_service[f"id-{name.removeprefix('team-a_')}"].not_counted += stat["value"]


def over(milliseconds: list[int]) -> tuple[int, int]:
    """How many lie in the first SECONDS, and in those SECONDS in which most do."""
    times = sorted(milliseconds)
    within = [bisect_left(times, begin + SECONDS * 1000) - place for place, begin in enumerate(times)]
    return within[0], max(within)


@pytest.mark.parametrize("replicas", [1, 2, 4])
async def test_over_60_s_never_2_percent_over_a_limit(replicas: int, tmp_path: Path) -> None:
    available = sorted(servers().items())
    _, server = available[replicas % len(available)]
    store = Store(tmp_path, server)
    limiter = RateLimitService(tmp_path, store)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Backend())
        by_default, shared = cases(engine, replicas), cases(engine, replicas)
        engine.models = tuple(name for case in by_default for name in case.service.names)
        stack.callback(store.start().kill)
        stack.callback(limiter.start().kill)
        facts = Facts(services=tuple(case.service for case in by_default), keys=tuple(case.key for case in by_default))
        alone = await stack.enter_async_context(replicas_of(facts, replicas))
        together = await stack.enter_async_context(replicas_of(facts, replicas, rate_limit_service=limiter.address))
        async with asyncio.TaskGroup() as tasks:
            for case in by_default:
                tasks.create_task(run(case, alone))
            for case in shared:
                tasks.create_task(run(case, together))
        await count(by_default, alone)
        await count(shared, together)
    wrong = [
        text
        for backend, ran in (("default", by_default), ("store", shared))
        for case in ran
        for text in found(case, backend, replicas)
    ]
    assert not wrong, "\n".join(wrong)


def found(case: Case, backend: str, replicas: int) -> Iterator[str]:
    """What is wrong with what came through."""
    first, most = over(case.passed)
    what = f"{replicas} replicas, {backend}, {case.name}, {case.falls}"
    print(f"{what}: {first / case.allowed:.1%} of the limit, in the worst 60 s {most / case.allowed:.1%}")
    print(f"  answers under way: {case.spent / SECONDS:.2f}, late: {case.late:.1f} s, not counted: {case.not_counted}")
    yield from (f"{what}: {other}" for other in case.other[:3])
    allowed = case.allowed * 1.02
    if "tokens" in case.name:  # and the answers under way when a second's share is used up
        allowed += 2 * case.spent + 1
    if most > allowed + case.not_counted:
        yield f"{what}: {most} of {case.allowed} in 60 s"
    if backend == "default" and case.falls != EVENLY:
        return
    least = case.allowed * 0.98 * (1 - case.late / SECONDS)
    if case.allowed < 50:  # one at a time: of so few, one is more than 2 %, and one that comes early is refused
        least = case.allowed - 1 if backend == "store" else case.allowed / 2
    if first < least:
        yield f"{what}: {first} of {case.allowed} in 60 s"


async def test_a_change_of_routes_or_keys_does_not_begin_a_bucket_anew(engine: Backend) -> None:
    facts = Facts(services=(service("minutely", engine, limits=Limits(3)),), keys=(key("key-a"),))
    async with Gateway(facts) as gateway:
        assert (await gateway.chat("key-a", "minutely")).status == 200
        changed = (*facts.services, service("chat", engine))
        gateway.put(replace(facts, services=changed, keys=(*facts.keys, key("key-b", limits=Limits(None, 5)))))

        async def live() -> bool:
            return (await gateway.chat("key-b", "chat")).status == 200

        await gateway.until(live)
        answer = await gateway.chat("key-a", "minutely")
        assert answer.code == "ModelArts.81101"
        assert answer.headers["retry-after"] == "20"


async def test_each_key_and_each_service_has_a_bucket_of_its_own(engine: Backend) -> None:
    one = Limits(59)
    facts = Facts(
        services=(service("chat", engine), service("qps", engine, qps=1), service("prefix", engine, qps=1)),
        keys=(key("key-a", limits=one), key("key-b", limits=one), key("key-c")),
    )
    async with Gateway(facts) as gateway:
        assert [(await gateway.chat(text, "chat")).status for text in ("key-a", "key-b", "key-a")] == [200, 200, 429]
        calls = [(await gateway.chat("key-c", model)).status for model in ("qps", "qps", "prefix", "qps", "chat")]
        assert calls == [200, 200, 200, 429, 200]
