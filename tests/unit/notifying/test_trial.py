"""M9: tests of a topic that follow one another quickly."""

import asyncio
from typing import Any

from maas_operator.act.notifying.message import Message
from maas_operator.act.notifying.tally import Tally
from maas_operator.act.notifying.trial import Trials
from tests.unit.notifying.changing import Changing

TOPIC = {"metadata": {"name": "ops", "namespace": "team-a", "uid": "t"}, "spec": {"channels": [{"name": "hook"}]}}


class Slow(Changing):
    """A channel that delivers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[asyncio.Event] = []
        self.ended = 0
        self.delivered: list[str] = []

    async def attempt(self, _: str, __: str, ___: str, message: Message) -> None:
        let = asyncio.Event()
        self.begun.append(let)
        self.changed.set()
        try:
            await let.wait()
            self.delivered.append(message.id)
        finally:
            self.ended += 1
            self.changed.set()


async def test_m9_a_test_that_is_asked_for_anew_takes_the_place_of_the_one_before() -> None:
    channels = Slow()
    given: Any = channels
    trials = Trials(given, Tally(), lambda *_: None, lambda *_: channels.changed.set())
    trials.note(TOPIC, "first")
    await channels.until(lambda: len(channels.begun) == 1)
    trials.note(TOPIC, "second")
    await channels.until(lambda: len(channels.begun) == 2)
    for let in reversed(channels.begun):
        let.set()
        await channels.until(lambda: trials.of("t"))
    await channels.until(lambda: channels.ended == 2)
    done = trials.of("t")
    assert done is not None
    assert (done.requested_at, done.errors, len(channels.delivered)) == ("second", {"hook": None}, 1)
    await trials.stop()
