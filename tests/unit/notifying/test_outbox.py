"""M9: what is pending is delivered at least once; a slow receiver stops nobody; what was delivered is not resent."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from maas_operator.act.notifying import backoff
from maas_operator.act.notifying.failure import NoLongerWanted, Undeliverable
from maas_operator.act.notifying.lanes import AT_ONCE
from maas_operator.act.notifying.message import Message, of_event
from maas_operator.act.notifying.outbox import Outbox
from maas_operator.act.notifying.tally import Tally
from maas_operator.api.events import NotificationRow
from maas_operator.api.seen import Manifest
from tests.unit.notifying.changing import Changing

SERVICE = {"metadata": {"name": "assistant", "namespace": "team-a", "uid": "u"}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second try without a wait, and events of any age."""
    monkeypatch.setattr(backoff, "FIRST_SECONDS", 0.001)
    monkeypatch.setattr(backoff, "GIVEN_UP_SECONDS", 1e12)


def event(number: int, *pending: str) -> Manifest:
    facts = {"id": f"{number:016x}", "time": "2026-01-31T12:00:00Z", "type": "Normal", "reason": "Running"}
    return {**facts, "message": "m", "pending": list(pending or ("ops/hook",))}


@dataclass
class World(Changing):
    """Channels that do as they are told, and a ledger that may be away."""

    outcomes: dict[str, list[Exception]] = field(default_factory=dict)
    slow: set[str] = field(default_factory=set)
    sent: list[tuple[str, str]] = field(default_factory=list)
    attempts: int = 0
    ledger_is_away: bool = False
    unrecorded: list[Callable[[], None]] = field(default_factory=list)
    rows: list[NotificationRow] = field(default_factory=list)
    reconciled: list[tuple[str, str]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        channels: Any = self
        self.outbox = Outbox(channels, self.tally, self.record, self.settled, lambda *_: None)

    async def attempt(self, _: str, topic: str, name: str, message: Message) -> None:
        self.attempts += 1
        self.changed.set()
        if name in self.slow:
            await asyncio.Event().wait()
        if errors := self.outcomes.get(name):
            raise errors.pop(0)
        self.sent.append((message.id, f"{topic}/{name}"))

    def record(self, row: NotificationRow, then: Callable[[], None]) -> None:
        self.rows.append(row)
        if self.ledger_is_away:
            self.unrecorded.append(then)
        else:
            then()
        self.changed.set()

    def settled(self, namespace: str, name: str) -> None:
        self.reconciled.append((namespace, name))
        self.changed.set()


async def test_m9_each_pending_channel_is_told_once_and_the_service_is_reconciled() -> None:
    world = World()
    first, second = events = [event(1, "ops/hook", "ops/mail"), event(2, "other/hook")]
    world.outbox.note(SERVICE, events)
    world.outbox.note(SERVICE, events)
    await world.until(lambda: len(world.reconciled) == 3)
    assert {target for id_, target in world.sent if id_ == first["id"]} == {"ops/hook", "ops/mail"}
    assert {target for id_, target in world.sent if id_ == second["id"]} == {"other/hook"}
    assert world.outbox.settled("u") == set(world.sent)
    world.outbox.note(SERVICE, events)  # the status is not written yet
    world.outbox.note(SERVICE, [])
    assert (world.outbox.settled("u"), world.outbox.waiting) == (frozenset(), 0)
    assert world.attempts == 3


async def test_m9_a_receiver_that_fails_and_recovers_gets_it_in_the_end() -> None:
    world = World(outcomes={"hook": [Undeliverable("it answers 500")] * 5})
    world.outbox.note(SERVICE, [event(1)])
    await world.until(lambda: world.sent)
    assert world.attempts == 6
    told = world.tally.of(("team-a", "ops"))["hook"]
    assert (told.deliveries, told.failures, told.error) == (1, 5, None)


@pytest.mark.parametrize("error", [Undeliverable("410", final=True), NoLongerWanted()])
async def test_m9_what_nobody_wants_is_given_up(error: Exception) -> None:
    world = World(outcomes={"hook": [error]})
    world.outbox.note(SERVICE, [event(1)])
    await world.until(lambda: world.reconciled)
    assert (world.attempts, world.sent, world.rows) == (1, [], [])
    assert world.outbox.settled("u") == {(event(1)["id"], "ops/hook")}


async def test_m9_after_a_day_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "GIVEN_UP_SECONDS", 86400.0)
    world = World(outcomes={"hook": [Undeliverable("it answers 500")]})
    world.outbox.note(SERVICE, [event(1) | {"time": "2020-01-31T12:00:00Z"}])
    await world.until(lambda: world.reconciled)
    assert (world.attempts, world.sent) == (1, [])


async def test_m9_a_slow_receiver_holds_up_its_own_channel_alone() -> None:
    world = World(slow={"slow"})
    world.outbox.note(SERVICE, [event(number, "ops/slow") for number in range(50)])
    world.outbox.note(SERVICE | {"metadata": SERVICE["metadata"] | {"uid": "v"}}, [event(99, "ops/hook")])
    await world.until(lambda: world.sent)
    assert world.attempts == AT_ONCE + 1
    await world.outbox.stop()


async def test_m9_while_the_ledger_is_away_nothing_is_sent_twice_and_nothing_is_settled() -> None:
    world = World(ledger_is_away=True)
    world.outbox.note(SERVICE, [event(1)])
    await world.until(lambda: world.unrecorded)
    world.outbox.note(SERVICE, [event(1)])
    assert (world.outbox.settled("u"), world.reconciled) == (frozenset(), [])
    world.unrecorded[0]()
    assert world.outbox.settled("u") == {(event(1)["id"], "ops/hook")}
    assert world.attempts == 1
    assert world.rows[0].id == f"{event(1)['id']}/ops/hook"


async def test_m9_what_no_longer_stands_in_the_status_is_not_tried_again() -> None:
    world = World(slow={"hook"})
    world.outbox.note(SERVICE, [event(number) for number in range(AT_ONCE + 3)])
    await world.until(lambda: world.attempts == AT_ONCE)
    world.outbox.note(SERVICE, [])
    assert world.outbox.waiting == 0
    await world.outbox.stop()


async def test_m9_the_end_of_a_service_is_told_from_memory_and_nothing_of_it_stays() -> None:
    world = World(outcomes={"hook": [Undeliverable("it answers 500")] * 2})
    world.outbox.note(SERVICE, [event(1)])
    last = of_event(SERVICE, event(2) | {"reason": "Deleted"})
    world.outbox.last_words("u", last, ["ops/hook", "ops/mail"])
    await world.until(lambda: len(world.reconciled) == 3)
    assert {id_ for id_, _ in world.sent} == {event(1)["id"], event(2)["id"]}
    assert (world.outbox.waiting, world.outbox.settled("u")) == (0, frozenset())


async def test_m9_a_lane_is_forgotten_once_nothing_is_in_it() -> None:
    world = World(slow={"slow"})
    world.outbox.note(SERVICE, [event(1, "old/hook", "old/mail"), event(2, "old/slow")])
    await world.until(lambda: len(world.sent) == 2 and world.attempts == 3)
    await asyncio.sleep(0)
    world.outbox.note(SERVICE | {"metadata": SERVICE["metadata"] | {"uid": "v"}}, [event(3, "new/hook")])
    assert {topic + "/" + channel for _, topic, channel in world.outbox._lanes} == {"old/slow", "new/hook"}
    await world.outbox.stop()


async def test_m9_of_a_service_that_goes_before_its_status_says_who_was_told_nothing_stays() -> None:
    world = World()
    world.outbox.note(SERVICE, [event(1)])
    await world.until(lambda: world.reconciled)
    world.outbox.last_words("u", of_event(SERVICE, event(2) | {"reason": "Deleted"}), [])
    assert world.outbox.settled("u") == frozenset()


def test_what_a_status_says_is_taken_from_the_tally_and_the_rest_stays() -> None:
    tally, topic = Tally(), ("team-a", "ops")
    tally.delivered(topic, "hook")
    tally.failed(topic, "mail", "it answers 500")
    written = tally.of(topic)
    tally.delivered(topic, "hook")
    tally.reported(topic, written)
    assert {name: (told.deliveries, told.failures) for name, told in tally.of(topic).items()} == {"hook": (1, 0)}
    tally.reported(topic, tally.of(topic))
    assert tally.of(topic) == {}
