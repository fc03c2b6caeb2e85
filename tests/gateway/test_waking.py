"""A service that sleeps and is called wakes, whether or not there is a place to hold the request, through Envoy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from maas_operator.gateway import waking
from maas_operator.gateway.facts import Key, Limits, Service
from maas_operator.gateway.waking import WakeError
from tests.gateway.backend import Backend
from tests.gateway.dozing import House, dozy, ended, house
from tests.gateway.scene import key, service

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT_ONCE = 1.0
"""Seconds within which the operator is asked."""


class Asked:
    """Whom the operator was asked to wake."""

    def __init__(self, gateway: House) -> None:
        self.names: list[str] = []
        self.tries = 0
        self.away = False
        self._gateway = gateway

    async def wake(self, service: Service) -> None:
        self.tries += 1
        if self.away:
            raise WakeError("the API server is away")
        self.names.append(service.name)

    async def until(self, *names: str) -> float:
        """Seconds until these were asked for, and no others."""

        async def so() -> bool:
            return self.names == list(names)

        return await self._gateway.until(so)


def sleeping(name: str, **fields: Any) -> Service:
    return service(name, **{"awaited": True, "asleep": True, **fields})


@asynccontextmanager
async def woken(*services: Service, keys: tuple[Key, ...] = (), **settings: Any) -> AsyncIterator[tuple[House, Asked]]:
    async with house(*services, **settings) as gateway:
        gateway.facts = replace(gateway.facts, keys=(*gateway.facts.keys, *keys))
        await gateway.see(*services)
        asked = Asked(gateway)
        publisher = gateway.publisher
        run = waking.run(publisher.calls, publisher.holder.held, lambda: publisher.facts, asked.wake)
        task = asyncio.create_task(run)
        try:
            yield gateway, asked
        finally:
            await ended(task)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_0203_where_nothing_is_held_each_call_is_refused_and_the_first_wakes(stream: bool) -> None:
    async with woken(sleeping("dozy"), holding={"requests": 0}) as (gateway, asked):
        for _ in range(20):
            answer = await gateway.chat("key-a", "dozy", stream=stream)
            assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "APIG.0203", "1")
        assert await asked.until("dozy") < AT_ONCE
        await gateway.lines(20)
        assert asked.names == ["dozy"], "one wish, however many calls"


async def test_who_hangs_up_while_it_is_held_has_woken_the_service_as_well() -> None:
    async with woken(sleeping("dozy")) as (gateway, asked):
        (waiting,) = await gateway.held(1)
        waiting.cancel()
        assert await asked.until("dozy") < AT_ONCE


async def test_0203_all_places_being_others_keeps_nobody_asleep() -> None:
    """Of two other services that load, and of another account."""
    loading = [service(name, namespace="team-b", awaited=True) for name in ("slow", "slower")]
    bounds = {"requests": 2, "requestsPerService": 1}
    async with woken(*loading, sleeping("dozy"), holding=bounds) as (gateway, asked):
        waiting = []
        for each in loading:
            waiting.append(gateway.ask(model=each.name, key_="key-b"))
            await gateway.until_held(1, each.id)
        full = await gateway.chat("key-a", "dozy")
        assert (full.status, full.code, full.headers["retry-after"]) == (503, "APIG.0203", "10")
        assert await asked.until("dozy") < AT_ONCE
        for held in waiting:
            held.cancel()


async def test_what_is_refused_for_another_reason_wakes_nobody(dozing: Backend) -> None:
    """The other service's call shows that what came before it has been read."""
    keys = (key("key-frozen", frozen=True), key("key-spent", quota_used_up=True), key("key-other", services=("other",)))
    limited = {"limits": Limits(60)}  # two at once
    services = dozy(dozing, **limited), sleeping("other")
    async with woken(*services, keys=keys, holding={"requests": 0}) as (gateway, asked):
        used_up = [await gateway.chat("key-a", "dozy") for _ in range(3)]
        assert [each.status for each in used_up] == [200, 200, 429]
        await gateway.see(dozy(asleep=True, **limited), services[1])
        refused = {
            "ModelArts.81101": await gateway.chat("key-a", "dozy"),
            "ModelArts.81003": await gateway.chat("nobody", "dozy"),
            "ModelArts.81002": await gateway.chat(None, "dozy"),
            "ModelArts.81004": await gateway.chat("key-other", "dozy"),
            "ModelArts.81005": await gateway.chat("key-spent", "dozy"),
            "ModelArts.81006": await gateway.chat("key-frozen", "dozy"),
            "ModelArts.81009": await gateway.chat("key-b", "dozy"),
        }
        assert {code: each.code for code, each in refused.items()} == {code: code for code in refused}
        headers = {"Authorization": "Bearer key-a"}
        assert (await gateway.call("GET", "/v1/infers/id-dozy/v1/models", headers=headers)).status == 200
        assert (await gateway.chat("key-a", "other")).status == 503
        await asked.until("other")


async def test_a_wish_that_cannot_be_told_is_tried_again() -> None:
    async with woken(sleeping("dozy"), holding={"requests": 0}) as (gateway, asked):
        asked.away = True
        assert (await gateway.chat("key-a", "dozy")).status == 503

        async def tried() -> bool:
            return asked.tries >= 2

        await gateway.until(tried)
        asked.away = False
        await asked.until("dozy")
