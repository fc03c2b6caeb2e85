"""Whatever crashes at whatever byte, the ledger's sum is the log's sum: a simulation of all that may happen."""

import asyncio
import itertools
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy import Engine, delete

from maas_operator.api.usage import Batch, Receipt
from maas_operator.gateway.access_log import DEAD, PROGRESS, PROGRESS_LOG
from maas_operator.gateway.shipping.sending import NotAcknowledgedError, NotReopenedError
from maas_operator.gateway.shipping.shipper import Settings, Shipper
from maas_operator.ledger import book
from maas_operator.ledger.database import open_database
from maas_operator.ledger.tables import Position, Usage
from tests.unit.shipping.lines import line

BATCH = 1200
ROTATE = 3000


class Killed(BaseException):
    """The shipper is killed here."""


def killed(*_: object) -> None:
    raise Killed


MEMORY = Path("/dev/shm") if Path("/dev/shm").exists() else None
"""A disk would make the test four times slower, and no truer."""


@cache
def ledger() -> tuple[tempfile.TemporaryDirectory[str], Engine]:
    """One ledger, and where it lies, for every run: an engine that is new compiles all its statements again."""
    folder = tempfile.TemporaryDirectory(dir=MEMORY)
    return folder, open_database(f"sqlite:///{folder.name}/ledger.db")


class Crashes(RuleBasedStateMachine):
    """Envoy writes, the shipper ships, the ledger counts, and each is killed at any byte."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.current = Path(self.folder.name) / "access.log"
        _, self.engine = ledger()
        with self.engine.begin() as connection:
            connection.execute(delete(Position))
            connection.execute(delete(Usage))
        self.number = 0
        self.expected = 0
        self.fate = "well"
        self.sends = 0
        self.under_way: dict[int, int] = {}

    @initialize()
    def start(self) -> None:
        self.starts = itertools.count()
        self.envoy_starts()
        self.shipper_starts()

    @rule()
    def envoy_starts(self) -> None:
        """Also after a kill; it goes on where the file ends. What was under way counts as it was written last."""
        progress = self.current.with_name(PROGRESS)
        if progress.exists():
            progress.rename(progress.with_name(f"{DEAD}.{next(self.starts):06}"))
        progress.mkdir()
        self.expected += sum(self.under_way.values())
        self.under_way = {}
        self.open_logs()

    def open_logs(self) -> None:
        self.file = self.current.open("ab", buffering=0)
        self.progress = (self.current.with_name(PROGRESS) / PROGRESS_LOG).open("ab", buffering=0)

    @rule(tokens=st.integers(1, 100))
    def envoy_tells_of_requests_under_way(self, tokens: int) -> None:
        self.number += 1
        self.under_way[self.number] = 0
        for number in self.under_way:
            self.under_way[number] += tokens
            self.progress.write(line(number, prompt_tokens=self.under_way[number], type="DownstreamPeriodic"))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), more=st.integers(0, 50))
    def a_long_request_ends(self, data: st.DataObject, more: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.under_way)))
        tokens = self.under_way.pop(number) + more
        self.file.write(line(number, prompt_tokens=tokens))
        self.progress.write(line(number, prompt_tokens=tokens, type="DownstreamEnd"))
        self.expected += tokens

    @precondition(lambda self: self.under_way)
    @rule()
    def envoy_is_killed_between_its_two_files(self) -> None:
        number, tokens = self.under_way.popitem()
        self.file.write(line(number, prompt_tokens=tokens))
        self.expected += tokens
        self.envoy_starts()

    @rule()
    def shipper_is_killed_before_it_removes_what_a_dead_envoy_wrote(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "rmtree", killed)
            self.ship()
        self.shipper_starts()

    @rule(tokens=st.lists(st.integers(0, 1000), min_size=1, max_size=6))
    def envoy_writes(self, tokens: list[int]) -> None:
        for count in tokens:
            self.number += 1
            self.file.write(line(self.number, prompt_tokens=count))
            self.expected += count

    @rule(data=st.data())
    def envoy_is_killed_in_a_line(self, data: st.DataObject) -> None:
        """Half a line counts nothing; one that lacks only its break counts, also when the next follows directly."""
        self.number += 1
        text = line(self.number, prompt_tokens=7)
        length = data.draw(st.integers(0, len(text) - 1))
        self.file.write(text[:length])
        self.expected += 7 if length == len(text) - 1 else 0
        self.envoy_starts()

    @rule()
    def shipper_starts(self) -> None:
        self.shipper = Shipper(
            Settings("pod", self.current, batch_size=BATCH, rotate_size=ROTATE), self.send, self.reopen
        )

    @rule(fate=st.sampled_from(["well", "lost before", "lost after", "killed before", "killed after"]))
    def the_ledger_fares(self, fate: str) -> None:
        self.fate = fate

    @rule(after=st.integers(0, 4))
    def shipper_ships(self, after: int) -> None:
        """The first batches go well; then the fate strikes."""
        self.sends = after
        self.ship()

    @rule()
    def shipper_is_killed_between_renaming_and_reopening(self) -> None:
        if self.current.exists() and self.current.stat().st_size > ROTATE:
            self.shipper._logs.set_aside()
        self.shipper_starts()

    @precondition(lambda self: self.number > 0)
    @rule()
    def all_is_counted_once_calm_returns(self) -> None:
        self.fate = "well"
        self.envoy_starts()
        self.envoy_writes([1])  # so that what lacks only its break is followed by something
        for _ in range(3):
            self.ship()
        assert self.counted() == self.expected

    def counted(self) -> int:
        ((sums,),) = book.ask(self.engine, book.Question())
        return int(sums["prompt_tokens"])

    def ship(self) -> None:
        try:
            asyncio.run(self.shipper.ship())
        except NotAcknowledgedError:
            pass
        except Killed:
            self.shipper_starts()
        assert self.counted() <= self.expected, "something is counted twice"

    async def send(self, batch: Batch) -> Receipt:
        self.sends -= 1
        fate = "well" if self.sends >= 0 else self.fate
        if fate == "lost before":
            raise NotAcknowledgedError
        if fate == "killed before":
            raise Killed
        receipt = book.record(self.engine, Batch.model_validate_json(batch.model_dump_json(by_alias=True)))
        if fate == "lost after":
            raise NotAcknowledgedError
        if fate == "killed after":
            raise Killed
        return receipt

    async def reopen(self) -> None:
        if self.number % 3 == 0:
            raise NotReopenedError("Envoy is away")
        self.open_logs()

    def teardown(self) -> None:
        self.folder.cleanup()


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
