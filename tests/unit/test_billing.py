"""M16: whatever is killed, cut off or edited when, no instance is lost or billed twice, and none beyond its end.

What the operator tells goes straight into a real ledger's tables; HTTP between them is tried in tests/ledger.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy import Engine, create_engine, delete
from sqlalchemy.pool import StaticPool

from maas_operator.act.ledger import NotTakenError
from maas_operator.api.billing import Facts
from maas_operator.api.seen import PodSeen
from maas_operator.billing import Billing
from maas_operator.ledger import intervals
from maas_operator.ledger.bill import BillQuestion, bill
from maas_operator.ledger.schema import bring_up_to_date
from maas_operator.ledger.tables import Instance, PoolTariff
from maas_operator.watch.billed import Billed
from tests.unit.decide.facts import pod

MONTH = datetime(2026, 11, 1, tzinfo=UTC)
BEGAN = int(MONTH.timestamp()) - 500
"""Half of what happens here is in the month before."""
ENDS = MONTH + timedelta(days=30)
PRICES = ("0.001", "7.777777", "12.50", "999999999.999999")


class Killed(BaseException):
    """What SIGKILL is to a process."""


@dataclass
class Wire:
    """Stands where the client of the ledger stands. `mood` says what becomes of the next requests."""

    engine: Any
    mood: str = "well"
    failing_after: int = 0
    late: list[Facts] = field(default_factory=list)
    """What was given up on, and comes to the ledger when it is overtaken."""

    async def post(self, path: str, facts: BaseModel) -> None:
        assert path == "v1/intervals"
        assert isinstance(facts, Facts)
        self.failing_after -= 1
        trouble = self.mood if self.failing_after < 0 else "well"
        if trouble == "away":
            raise NotTakenError("away")
        if trouble == "late":
            self.late.append(facts)
            self.mood = "well"
            raise NotTakenError("timeout")
        if trouble == "killed before":
            raise Killed
        intervals.record(self.engine, Facts.model_validate_json(facts.model_dump_json(by_alias=True)))
        if trouble == "answer lost":
            raise NotTakenError("lost")
        if trouble == "killed after":
            raise Killed

    async def lines(self, path: str) -> list[str]:
        if self.mood == "away":
            raise NotTakenError("away")
        return [row.model_dump_json(by_alias=True) for part in intervals.open_intervals(self.engine) for row in part]


@cache
def ledger() -> Engine:
    """One for every run: an engine that is new compiles all its statements again."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        bring_up_to_date(connection)
    return engine


@dataclass
class World:
    """A cluster, an operator that may be there, and a ledger."""

    now: int = BEGAN
    pods: dict[str, PodSeen] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    exact: set[str] = field(default_factory=set)
    """Ended instances whose end an operator knows, or anybody can read."""
    edits: list[tuple[int, str]] = field(default_factory=list)
    """(time, price): by generation, from 1 on."""
    known: set[int] = field(default_factory=set)
    """Generations that an operator has seen, which was not killed before it had told."""
    seen: set[int] = field(default_factory=set)
    billed: Billed | None = None
    billing: Billing | None = None

    def __post_init__(self) -> None:
        self.wire = Wire(ledger())
        with self.wire.engine.begin() as connection:
            connection.execute(delete(Instance))
            connection.execute(delete(PoolTariff))
        self.edit(0)

    def edit(self, price: int) -> None:
        self.edits.append((self.now, PRICES[price % len(PRICES)]))
        self._see_pool()

    def schedule(self, _: int) -> None:
        name = f"p{len(self.starts)}"
        made = pod(name, service=f"s{len(self.starts) % 2}", scheduled_at=self.now)
        self.pods[made.uid], self.starts[made.uid] = made, self.now
        self._see(made)

    def go(self, which: int) -> None:
        """An instance's pod is deleted. Who sees it knows when."""
        if made := self._one(which):
            self._end(made.uid, exact=self.billed is not None)
            if self.billed:
                self.billed.drop([made])

    def finish(self, which: int) -> None:
        """An instance's containers end for good, and the kubelet says when; the pod stays to be seen."""
        if made := self._one(which):
            over = pod(made.name, service=made.service, scheduled_at=made.scheduled_at, phase="Failed",
                       finished_at=self.now)  # fmt: skip
            self._end(made.uid, exact=True)
            self.pods[made.uid] = over
            self._see(over)

    def start(self, _: int) -> None:
        """An operator that sees all that is there."""
        if self.billing is None:
            self.billed = Billed(lambda: self.now)
            self.billing = Billing("http://ledger", Path("none"), lambda: self.now)
            self.billing._ledger = self.wire  # type: ignore[assignment]
            for made in self.pods.values():
                self._see(made)
            self._see_pool()
            self.tell(0)

    def kill(self, _: int) -> None:
        """What it knew and had not told is forgotten."""
        if self.billed and self.billing:
            self.billing._take(self.billed)
            self.exact -= self.billing._ended.keys() - {uid for uid, made in self.pods.items() if made.finished_at}
        self.billed = self.billing = None
        self.seen = set()

    def new_term(self, _: int) -> None:
        """The operator loses its lease and gets it back: it sees everything anew, and has not forgotten what ended."""
        if self.billing and self.billed:
            self.billing._take(self.billed)
            self.billed = Billed(lambda: self.now)
            for made in self.pods.values():
                self._see(made)
            self._see_pool()

    def tell(self, _: int) -> None:
        """A minute has passed."""
        self._do(lambda billing, billed: billing._tell(billed.here.values()))

    def recount(self, _: int) -> None:
        self._do(lambda billing, billed: billing._recount(billed))

    def trouble(self, which: int) -> None:
        self.wire.mood = ("late", "away", "answer lost", "killed before", "killed after")[which]
        self.wire.failing_after = which % 3

    def well(self, _: int) -> None:
        """The ledger answers again, and what had been on its way for long arrives."""
        self.wire.mood = "well"
        for facts in self.wire.late:
            intervals.record(self.wire.engine, facts)

    def settle(self) -> None:
        """At last the ledger is well, and an operator runs until all that was late has come, and has been looked at."""
        self.wire.mood = "well"
        self.start(0)
        self.tell(0)
        self.recount(0)
        self.well(0)
        self.recount(0)

    def _do(self, what: Callable[[Billing, Billed], Any]) -> None:
        if self.billing is None or self.billed is None:
            return
        self.billing._take(self.billed)
        try:
            asyncio.run(what(self.billing, self.billed))
            self.known |= self.seen
        except NotTakenError:
            pass
        except Killed:
            self.wire.mood = "well"
            self.kill(0)

    def _one(self, which: int) -> PodSeen | None:
        there = [made for uid, made in self.pods.items() if uid not in self.ends]
        return there[which % len(there)] if there else None

    def _end(self, uid: str, exact: bool) -> None:
        self.ends[uid] = self.now
        del self.pods[uid]
        if exact:
            self.exact.add(uid)

    def _see(self, made: PodSeen) -> None:
        if self.billed:
            self.billed.put([made])

    def _see_pool(self) -> None:
        if self.billed is None:
            return
        since, price = self.edits[-1]
        self.seen.add(len(self.edits))
        flavor = {"name": "one", "cpu": "1", "memory": "1Gi", "price": {"perHour": price, "currency": "EUR"}}
        time = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata = {"name": "pool-a", "uid": "pool", "generation": len(self.edits)}
        metadata["managedFields"] = [{"manager": "user", "time": time, "fieldsV1": {"f:spec": {}}}]
        self.billed.put_pool({"metadata": metadata, "spec": {"flavors": [flavor]}})


ACTS = (
    "schedule",
    "schedule",
    "go",
    "finish",
    "edit",
    "start",
    "kill",
    "new_term",
    "tell",
    "tell",
    "recount",
    "trouble",
    "well",
)


@settings(max_examples=80, deadline=None)
@example([("schedule", 0, 9), ("trouble", 0, 9), ("tell", 0, 9), ("go", 0, 9), ("tell", 0, 9)])
@example([("schedule", 0, 9), ("trouble", 0, 9), ("tell", 0, 9), ("tell", 0, 9), ("kill", 0, 9), ("go", 0, 9)])
@example([("schedule", 0, 0), ("trouble", 0, 0), ("tell", 0, 0), ("go", 0, 0), ("kill", 0, 0)])
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 4), st.integers(0, 70)), min_size=5, max_size=40))
def test_m16_no_instance_is_lost_or_billed_twice_whatever_is_killed_when(acts: list[tuple[str, int, int]]) -> None:
    world = World()
    world.start(0)
    for act, which, seconds in acts:
        world.now += seconds
        getattr(world, act)(which)
    world.now += 1
    world.settle()
    rows = {each.uid: each for each in intervals.intervals(world.wire.engine, None, 0, 2**40)}
    for uid, start in world.starts.items():
        row, end = rows.get(uid), world.ends.get(uid, world.now)
        if row is None:  # it came and went while nobody, or no ledger, was there; or within a second
            assert uid in world.ends
            assert uid not in world.exact or end == start
            continue
        until = row.seen if row.end is None else row.end
        assert row.start == start
        assert until <= end
        assert uid in world.ends or until == world.now
        assert uid not in world.exact or until == end
        assert (row.end is None and not row.lost) == (uid not in world.ends)
    told = {each.generation: each.since for each in intervals.tariffs(world.wire.engine)}
    assert told.keys() >= world.known
    assert all(since == world.edits[generation - 1][0] for generation, since in told.items())
    check_the_bill(world, told, rows)


def check_the_bill(world: World, told: dict[int, int], rows: dict[str, Any]) -> None:
    """Second by second, by other means than the ledger's."""
    steps = sorted(told)

    def price(second: int) -> str:
        past = [generation for generation in steps if told[generation] <= second]
        return world.edits[(past[-1] if past else steps[0]) - 1][1]

    expected: dict[tuple[str, str], int] = {}
    for row in rows.values():
        for second in range(row.start, row.seen if row.end is None else row.end):
            if second >= MONTH.timestamp():
                where = row.service, price(second)
                expected[where] = expected.get(where, 0) + 1
    made = bill(world.wire.engine, BillQuestion(None, MONTH, ENDS, ENDS))
    assert {(line.service, str(line.price)): line.seconds for line in made.lines} == expected
    for line in made.lines:
        exact = Fraction(str(line.price)) * line.seconds / 3600
        assert abs(Fraction(str(line.amount)) - exact) <= Fraction(1, 200)
