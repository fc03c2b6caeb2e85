"""Which streams the agent takes, and what becomes of one that never comes."""

import asyncio
from typing import Any, cast

import aiohttp
import pytest

from maas_operator.gateway import keeping
from maas_operator.gateway.keeping import Keeper
from maas_operator.gateway.places import Answer
from tests.unit.gateway.test_holding import NOW, TURNS, Scene

NOBODY = cast(aiohttp.ClientSession, None)
"""Nothing is passed on here."""


def keeper(scene: Scene, streams: int = 2) -> Keeper:
    return Keeper(scene.holder, streams, NOBODY, "")


async def offered(made: Keeper, id_: str, length: int = 1) -> Any:
    """What Envoy is told at once; None where it waits."""
    asked = asyncio.create_task(made.offer("uid", "team-a/main", NOW, id_, length))
    for _ in range(5):
        await asyncio.sleep(0)
    return asked.result() if asked.done() else None


def test_streams_are_taken_up_to_the_bound_on_their_number_and_on_their_bytes() -> None:
    async def run() -> None:
        scene = Scene()
        made = keeper(scene)
        assert await offered(made, "large", keeping.MOST_BYTES + 1) is None
        assert await offered(made, "a", keeping.MOST_BYTES) == Answer.KEEP
        assert await offered(made, "b", 1) is None, "no room for its body"
        assert scene.holder.held() == {"uid": 3}
        made = keeper(scene)
        assert [await offered(made, id_) for id_ in "abc"] == [Answer.KEEP, Answer.KEEP, None]

    asyncio.run(run())


def test_0203_what_cannot_be_held_is_refused_and_takes_no_room() -> None:
    async def run() -> None:
        made = keeper(Scene(requests=1), streams=2)
        assert await offered(made, "a") == Answer.KEEP
        assert [await offered(made, id_) for id_ in "bcd"] == [Answer.FULL] * 3

    asyncio.run(run())


def test_a_stream_that_never_comes_gives_its_place_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "GIVEN_WITHIN", 0)

    async def run() -> None:
        scene = Scene()
        made = keeper(scene, streams=1)
        assert await offered(made, "a") == Answer.KEEP
        for _ in range(TURNS):
            await asyncio.sleep(0)
        assert not scene.holder.held()
        assert await offered(made, "b") == Answer.KEEP

    asyncio.run(run())
