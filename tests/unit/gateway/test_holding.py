"""When requests that are held go on: Envoy has to know the instance first. What Envoy has taken is passed in."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from maas_operator.gateway.envoy.bootstrap import MOST_OF_AGENT, bootstrap
from maas_operator.gateway.envoy.names import AGENT
from maas_operator.gateway.facts import Facts, Key, Reach, Service
from maas_operator.gateway.holding import Holder
from maas_operator.gateway.places import Answer
from maas_operator.gateway.settings import GatewaySettings, Holding

HERE = (("10.0.0.1", 8000),)
LATE = ("127.0.0.1", 9905)
NOW = 1000.0
KEY = Key("team-a", "main", "key-uid", "ab" * 32)
TURNS = 20
"""Of the event loop, in which nothing happens if nothing is to happen."""


class Told:
    """An Envoy that takes what it is told when the test says so."""

    def __init__(self) -> None:
        self.told = 0
        self.taken = 0
        self.asked = asyncio.Event()

    def tell(self, _: Mapping[str, bytes]) -> int:
        self.told += 1
        return self.told

    async def number(self) -> int:
        self.asked.set()
        return self.taken


class Scene:
    def __init__(self, **settings: int) -> None:
        self.envoy = Told()
        self.changes = 0
        self.changed = asyncio.Event()
        self.holder = Holder(Holding.model_validate(settings), self.envoy, LATE, self._changed, lambda: NOW)

    def _changed(self) -> None:
        self.changes += 1
        self.changed.set()

    def tell(self, *services: Service, keys: tuple[Key, ...] = (KEY,)) -> Facts:
        """What Envoy is told of these."""
        facts = Facts(services=services, keys=keys)
        applied = self.holder.applied_to(facts)
        self.holder.told(facts, {})
        return applied

    def take(self) -> None:
        self.envoy.taken = self.envoy.told

    def ask(self, arrived: float = NOW, id_: str = "uid") -> asyncio.Task[Answer]:
        return asyncio.create_task(self.holder.wait(id_, KEY.path, arrived))

    async def still(self, *asked: asyncio.Task[Answer]) -> bool:
        """Whether all wait, after Envoy has been looked at once more."""
        self.envoy.asked.clear()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        return not any(each.done() for each in asked)


@asynccontextmanager
async def scene(**settings: int) -> AsyncIterator[Scene]:
    made = Scene(**settings)
    running = asyncio.create_task(made.holder.run())
    yield made
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def chat(endpoints: tuple[tuple[str, int], ...] = (), **fields: Any) -> Service:
    made = Service("team-a", "chat", "uid", ("chat",), "m", "1k", endpoints=endpoints, awaited=True)
    return replace(made, **fields)


async def test_they_go_on_once_envoy_has_taken_that_there_is_an_instance() -> None:
    async with scene() as made:
        assert made.tell(chat()).holding == {"uid"}
        made.take()
        first, second = made.ask(NOW - 1), made.ask(NOW - 2)
        assert await made.still(first, second)
        assert made.holder.held() == {"uid": 2}
        assert made.tell(chat(HERE)).holding == {"uid"}, "none that comes later gets before them"
        assert await made.still(first, second)
        made.take()
        assert [await first, await second] == [Answer.GO, Answer.GO]
        assert made.changes == 1
        assert made.tell(chat(HERE)).holding == frozenset()


async def test_m22_a_key_that_is_gone_or_frozen_ends_its_requests_and_no_others() -> None:
    other = replace(KEY, name="other")
    async with scene() as made:
        made.tell(chat(), keys=(KEY, other))
        asked = made.ask()
        neighbour = asyncio.create_task(made.holder.wait("uid", other.path, NOW))
        assert await made.still(asked, neighbour)
        made.tell(chat(), keys=(other,))
        assert await asked == Answer.BAD_KEY
        made.tell(chat(), keys=(replace(other, frozen=True),))
        assert await neighbour == Answer.FROZEN
        assert made.holder.held() == {}


async def test_m22_a_key_that_went_before_its_request_was_held_lets_it_go_nowhere() -> None:
    async with scene() as made:
        made.tell(chat(), keys=())
        asked = made.ask()
        assert await made.still(asked)
        made.holder.applied_to(Facts(services=(chat(HERE),)))
        made.holder.told(Facts(services=(chat(HERE),)), {})
        made.take()
        assert await asked == Answer.BAD_KEY


async def test_what_is_late_for_the_last_instance_is_held_until_envoy_has_taken_the_next() -> None:
    async with scene() as made:
        made.tell(chat(HERE))
        made.take()
        gone = made.tell(chat())
        assert gone.services[0].endpoints == (LATE,)
        assert gone.holding == {"uid"}
        made.take()
        assert made.tell(chat(HERE)).services[0].endpoints == HERE
        late = made.ask()
        assert await made.still(late), "by what Envoy has taken, it would come here again"
        made.take()
        assert await late == Answer.GO


async def test_for_what_will_have_no_instance_nothing_is_late() -> None:
    async with scene() as made:
        made.tell(chat(HERE))
        assert made.tell(chat(awaited=False)).services[0].endpoints == ()
    async with scene(requests=0) as made:
        assert made.tell(chat()).services[0].endpoints == ()


async def test_an_instance_that_comes_and_goes_before_envoy_took_it_lets_nobody_on() -> None:
    async with scene() as made:
        made.tell(chat())
        asked = made.ask()
        await made.still()
        made.tell(chat(HERE))
        made.tell(chat())
        made.take()
        assert await made.still(asked)
        made.tell(chat(HERE))
        assert await made.still(asked)
        made.take()
        assert await asked == Answer.GO


@pytest.mark.parametrize(
    ("services", "answer"),
    [
        ((), Answer.GONE),
        ((chat(awaited=False, reach=Reach.STOPPED),), Answer.STOPPED),
        ((chat(awaited=False, reach=Reach.FROZEN),), Answer.FROZEN),
    ],
)
async def test_a_service_that_ends_is_not_waited_for(services: tuple[Service, ...], answer: Answer) -> None:
    async with scene() as made:
        made.tell(chat())
        asked = made.ask()
        await made.still()
        made.tell(*services)
        assert await asyncio.wait_for(asked, 5) == answer


async def test_one_that_asks_by_an_old_route_goes_on_at_once() -> None:
    async with scene() as made:
        made.tell(chat(HERE))
        made.take()
        assert await asyncio.wait_for(made.ask(), 5) == Answer.GO


async def test_an_agent_that_has_told_nothing_yet_lets_nobody_on() -> None:
    async with scene() as made:
        asked = made.ask()
        assert await made.still(asked)
        made.tell(chat())
        made.take()
        assert await made.still(asked)
        asked.cancel()


async def test_their_time_counts_from_their_arrival() -> None:
    async with scene(seconds=10) as made:
        made.tell(chat())
        assert await asyncio.wait_for(made.ask(NOW - 10), 5) == Answer.LATE
        assert await asyncio.wait_for(made.ask(NOW - 9.9), 5) == Answer.LATE
        in_time = made.ask(NOW - 1)
        assert await made.still(in_time)
        in_time.cancel()


async def test_an_agent_that_ends_sends_them_to_the_next() -> None:
    async with scene(requests=1) as made:
        made.tell(chat())
        asked = made.ask()
        await made.still()
        assert await asyncio.wait_for(made.ask(), 5) == Answer.FULL
        made.holder.close()
        assert await asyncio.wait_for(asked, 5) == Answer.AGAIN
        assert made.holder.held() == {}


async def test_where_holding_is_off_nothing_is_held() -> None:
    async with scene(requests=0) as made:
        assert made.tell(chat()).holding == frozenset()


def test_i3_a_held_request_asks_the_agent_twice_and_leaves_room_for_others() -> None:
    """One to the adapter, and one for the call that the adapter makes."""
    settings = GatewaySettings(holding=Holding(requests=1000, keep_alive_streams=10))
    clusters = json.loads(bootstrap(settings, "/envoy"))["static_resources"]["clusters"]
    (threshold,) = next(each for each in clusters if each["name"] == AGENT)["circuit_breakers"]["thresholds"]
    assert {name: most - 2 * 1000 - 10 for name, most in threshold.items()} == dict.fromkeys(threshold, MOST_OF_AGENT)
