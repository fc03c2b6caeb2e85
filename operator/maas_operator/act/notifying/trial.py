"""`kubectl maas topic test`: one message on every channel of a topic, one attempt each."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from maas_operator.act.notifying.channels import Channels
from maas_operator.act.notifying.failure import NoLongerWanted, Undeliverable
from maas_operator.act.notifying.message import Message, of_test
from maas_operator.act.notifying.outbox import Record, delivery_row
from maas_operator.act.notifying.tally import Tally
from maas_operator.api.events import event_id
from maas_operator.api.seen import Manifest, TopicTested


class Trials:
    """Tests that are under way, or not yet in their topic's status. `told` is called with a topic's (namespace, name)
    when its test is through."""

    def __init__(self, channels: Channels, tally: Tally, record: Record, told: Callable[[str, str], None]) -> None:
        self._channels = channels
        self._tally = tally
        self._record = record
        self._on_told = told
        self._under_way: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._done: dict[str, TopicTested] = {}

    def of(self, uid: str) -> TopicTested | None:
        """The result of a topic's last test, while it may not stand in its status yet."""
        return self._done.get(uid)

    def note(self, topic: Manifest, asked: str | None) -> None:
        """What stands in a topic's status has been written. asked: the test whose result does not stand there; it takes
        the place of one that is under way."""
        uid = topic["metadata"]["uid"]
        if asked is None:
            self._done.pop(uid, None)
            return
        before, task = self._under_way.get(uid, ("", None))
        if before != asked and not self._knows(uid, asked):
            if task:
                task.cancel()
            self._under_way[uid] = asked, asyncio.ensure_future(self._run(topic, asked))

    async def stop(self) -> None:
        """End all tests."""
        tasks = [task for _, task in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _knows(self, uid: str, asked: str) -> bool:
        done = self._done.get(uid)
        return done is not None and done.requested_at == asked

    async def _run(self, topic: Manifest, asked: str) -> None:
        metadata = topic["metadata"]
        uid, where = metadata["uid"], (metadata["namespace"], metadata["name"])
        message = of_test(topic, event_id(uid, "Test", asked), datetime.now(UTC))
        names = [channel["name"] for channel in topic["spec"]["channels"]]
        errors = await asyncio.gather(*(self._attempt(where, name, message) for name in names))
        self._done[uid] = TopicTested(asked, dict(zip(names, errors, strict=True)))
        del self._under_way[uid]
        self._on_told(*where)

    async def _attempt(self, topic: tuple[str, str], name: str, message: Message) -> str | None:
        """Returns why it failed."""
        try:
            await self._channels.attempt(*topic, name, message)
        except NoLongerWanted:
            return "the topic has no such channel any more"
        except Undeliverable as error:
            self._tally.failed(topic, name, error.words)
            return error.words
        self._tally.delivered(topic, name)
        self._record(delivery_row(message.id, (*topic, name)), _nothing)
        return None


def _nothing() -> None:
    """Nobody waits for a test to be counted."""
