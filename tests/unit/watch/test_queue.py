"""The queue: one run a key at a time, nothing lost, failures backed off."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maas_operator.watch.keys import Key
from maas_operator.watch.queue import FIRST_BACK_OFF, LONGEST_BACK_OFF, Queue

SERVICE = "ModelService"


def key(name: str, kind: str = SERVICE) -> Key:
    return Key(kind, "ns", name)


def queue(
    reconcile: Callable[[Key], Awaitable[float | None]], workers: int = 4, intervals: dict[str, float] | None = None
) -> Queue:
    made = Queue(reconcile, workers, intervals or {}, jitter=lambda: 0.0)
    made.open(SERVICE)
    return made


async def settle(made: Queue) -> None:
    async with asyncio.timeout(5):
        while True:
            if made.idle:
                return
            await asyncio.sleep(0)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=30))
def test_no_key_runs_twice_at_once_and_no_change_is_missed(adds: list[tuple[str, int]]) -> None:
    """Each key is run at least once after its last change."""
    asyncio.run(_no_change_is_missed(adds))


async def _no_change_is_missed(adds: list[tuple[str, int]]) -> None:
    changes: Counter[Key] = Counter()
    seen: Counter[Key] = Counter()
    running: set[Key] = set()

    async def reconcile(each: Key) -> None:
        assert each not in running
        running.add(each)
        seen[each] = changes[each]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.discard(each)

    made = queue(reconcile)
    work = asyncio.create_task(made.run())
    for name, pauses in adds:
        changes[key(name)] += 1
        made.add(key(name))
        for _ in range(pauses):
            await asyncio.sleep(0)
    await settle(made)
    await stop(work)
    assert seen == changes


async def test_a_key_added_many_times_runs_once() -> None:
    runs: list[Key] = []

    async def reconcile(each: Key) -> None:
        runs.append(each)

    made = queue(reconcile)
    for _ in range(5):
        made.add(key("a"))
    work = asyncio.create_task(made.run())
    await settle(made)
    await stop(work)
    assert runs == [key("a")]


async def test_a_failing_key_is_backed_off_and_stops_no_other() -> None:
    loop = asyncio.get_running_loop()
    failed: list[float] = []
    others: list[Key] = []

    async def reconcile(each: Key) -> None:
        if each.name == "bad" and len(failed) < 3:
            failed.append(loop.time())
            raise ValueError
        others.append(each)

    made = queue(reconcile, workers=1)
    work = asyncio.create_task(made.run())
    made.add_all([key("bad"), key("a"), key("b")])
    await asyncio.sleep(FIRST_BACK_OFF * 10)
    await stop(work)
    assert others == [key("a"), key("b"), key("bad")]
    waits = [later - earlier for earlier, later in pairwise(failed)]
    assert waits == pytest.approx([FIRST_BACK_OFF, FIRST_BACK_OFF * 2], rel=0.5)


async def test_waits_are_bounded() -> None:
    async def reconcile(_: Key) -> None:
        raise ValueError

    made = queue(reconcile)
    made._failures[key("a")] = 1000
    assert made._back_off(key("a")) == LONGEST_BACK_OFF


async def test_a_kind_that_was_not_seen_yet_waits() -> None:
    runs: list[Key] = []

    async def reconcile(each: Key) -> None:
        runs.append(each)

    made = queue(reconcile)
    work = asyncio.create_task(made.run())
    made.add_all([key("p", "ResourcePool"), key("a")])
    await settle(made)
    assert runs == [key("a")]
    made.open("ResourcePool")
    await settle(made)
    await stop(work)
    assert runs == [key("a"), key("p", "ResourcePool")]


async def test_a_key_with_an_interval_runs_at_most_so_often_and_not_less() -> None:
    loop = asyncio.get_running_loop()
    runs: list[float] = []

    async def reconcile(_: Key) -> None:
        runs.append(loop.time())

    made = queue(reconcile, intervals={SERVICE: 0.1})
    work = asyncio.create_task(made.run())
    end = loop.time() + 0.35
    while loop.time() < end:
        made.add(key("a"))
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.15)
    await stop(work)
    assert 4 <= len(runs) <= 5
    assert min(later - earlier for earlier, later in pairwise(runs)) > 0.09


async def test_looking_again_happens() -> None:
    runs: list[Key] = []

    async def reconcile(each: Key) -> float | None:
        runs.append(each)
        return 0.05 if len(runs) == 1 else None

    made = queue(reconcile)
    work = asyncio.create_task(made.run())
    made.add(key("a"))
    await asyncio.sleep(0.2)
    await stop(work)
    assert len(runs) == 2


async def test_what_runs_when_it_ends_may_finish_and_nothing_new_begins() -> None:
    finished: list[Key] = []
    begun = asyncio.Event()

    async def reconcile(each: Key) -> None:
        begun.set()
        await asyncio.sleep(0.1)
        finished.append(each)

    made = queue(reconcile, workers=1)
    work = asyncio.create_task(made.run())
    made.add_all([key("a"), key("b")])
    await begun.wait()
    await stop(work)
    assert finished == [key("a")]


async def test_a_long_queue_of_quick_reconciles_lets_others_run() -> None:
    """The lease is renewed beside it: a reconcile that writes nothing never waits for anything by itself."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def reconcile(_: Key) -> None:
        return None

    made = queue(reconcile)
    made.add_all(key(str(number)) for number in range(400))
    tasks = [asyncio.create_task(made.run()), asyncio.create_task(other())]
    await settle(made)
    for task in tasks:
        await stop(task)
    assert turns >= 50
