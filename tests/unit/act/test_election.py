"""Leader election against a Lease that a test can take, lose or make unreachable."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from maas_operator import metrics
from maas_operator.act import election
from maas_operator.act.answers import ApiError
from maas_operator.act.election import Election
from maas_operator.api.seen import Manifest


@dataclass
class FakeLease:
    """A Lease with the API server's optimistic locking."""

    lease: Manifest | None = None
    away: bool = False
    version: int = 0
    writers: list[str] = field(default_factory=list)
    late: dict[str, float] = field(default_factory=dict)
    """By holder: seconds by which its writes are answered after they stand."""

    async def read(self, path: str) -> Manifest | None:
        await self._reach()
        return self.lease

    async def write(self, method: str, path: str, body: Manifest) -> Manifest:
        await self._reach()
        seen = body["metadata"].get("resourceVersion")
        if seen != (self.lease["metadata"]["resourceVersion"] if self.lease else None):
            raise ApiError(409, {"reason": "Conflict"})
        self.version += 1
        self.lease = body | {"metadata": body["metadata"] | {"resourceVersion": str(self.version)}}
        holder, made = body["spec"]["holderIdentity"], self.lease
        self.writers.append(holder)
        await asyncio.sleep(self.late.get(holder, 0.0))
        return made

    async def _reach(self) -> None:
        if self.away:
            raise OSError("connection refused")

    @property
    def holder(self) -> str:
        return self.lease["spec"]["holderIdentity"] if self.lease else ""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same times, twenty times as fast."""
    for name in ("LEASE_SECONDS", "DEADLINE_SECONDS", "PERIOD_SECONDS", "END_SECONDS"):
        monkeypatch.setattr(election, name, getattr(election, name) / 20)


class Candidate:
    """A replica, and whether it acts."""

    def __init__(self, lease: FakeLease, name: str) -> None:
        self.acts = False
        self.terms = 0
        self.election = Election(lease, "ns", "maas-operator", name)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.election.run(self.lead))

    async def lead(self) -> None:
        self.acts, self.terms = True, self.terms + 1
        try:
            await asyncio.Event().wait()
        finally:
            self.acts = False

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


async def until(condition: Any, limit: float = 5.0) -> None:
    async with asyncio.timeout(limit):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


async def test_one_leads_and_hands_over_at_once_when_it_is_stopped() -> None:
    lease = FakeLease()
    one = Candidate(lease, "one")
    await until(lambda: one.acts)
    two = Candidate(lease, "two")
    await asyncio.sleep(election.LEASE_SECONDS * 2)
    assert not two.acts
    await one.stop()
    assert lease.holder == ""
    await until(lambda: two.acts, limit=election.PERIOD_SECONDS * 3)
    await two.stop()


async def test_a_leader_that_was_killed_is_followed_when_its_lease_runs_out() -> None:
    lease = FakeLease({"metadata": {"resourceVersion": "7"}, "spec": {"holderIdentity": "dead"}})
    began = asyncio.get_running_loop().time()
    two = Candidate(lease, "two")
    await until(lambda: two.acts)
    assert asyncio.get_running_loop().time() - began >= election.LEASE_SECONDS
    await two.stop()


async def test_a_leader_that_cannot_renew_stops_before_another_may_begin_and_leads_again_after() -> None:
    lease = FakeLease()
    one = Candidate(lease, "one")
    await until(lambda: one.acts)
    lease.away = True
    began = asyncio.get_running_loop().time()
    await until(lambda: not one.acts)
    assert asyncio.get_running_loop().time() - began < election.LEASE_SECONDS
    lease.away = False
    await until(lambda: one.acts, limit=election.PERIOD_SECONDS * 3)
    assert one.terms == 2
    await one.stop()


async def test_a_leader_whose_lease_another_holds_stops_at_once() -> None:
    lease = FakeLease()
    one = Candidate(lease, "one")
    await until(lambda: one.acts)
    assert lease.lease
    lease.lease = lease.lease | {"spec": lease.lease["spec"] | {"holderIdentity": "two"}}
    await until(lambda: not one.acts, limit=election.PERIOD_SECONDS * 3)
    assert lease.writers[-1] == "one", "it does not give back what is not its own"
    await one.stop()
    assert lease.holder == "two"


async def test_of_two_that_take_a_free_lease_at_once_one_leads() -> None:
    lease = FakeLease()
    both = [Candidate(lease, "one"), Candidate(lease, "two")]
    await until(lambda: any(each.acts for each in both))
    await asyncio.sleep(election.LEASE_SECONDS)
    assert sum(each.acts for each in both) == 1
    for each in both:
        await each.stop()


async def test_work_that_ends_by_itself_ends_the_replica() -> None:
    lease = FakeLease()

    async def lead() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await Election(lease, "ns", "maas-operator", "one").run(lead)  # type: ignore[arg-type]
    assert lease.holder == ""


async def test_whose_lease_was_granted_late_leads_only_for_what_is_left_of_it() -> None:
    lease = FakeLease(late={"one": election.DEADLINE_SECONDS * 0.8})
    one = Candidate(lease, "one")
    await until(lambda: lease.holder == "one")
    began = asyncio.get_running_loop().time()
    await until(lambda: one.acts)
    lease.away = True
    await until(lambda: not one.acts)
    assert asyncio.get_running_loop().time() - began < election.DEADLINE_SECONDS * 1.3, "it counts from the write"
    await one.stop()


async def test_whose_lease_was_granted_too_late_does_not_lead_by_it() -> None:
    lease = FakeLease(late={"one": election.DEADLINE_SECONDS * 1.4})
    one = Candidate(lease, "one")
    await until(lambda: lease.holder == "one")
    two = Candidate(lease, "two")
    lease.late["one"] = election.LEASE_SECONDS * 3
    await until(lambda: two.acts)
    assert one.terms == 0
    await one.stop()
    await two.stop()


async def test_a_lease_that_somebody_has_made_without_a_spec_is_taken() -> None:
    lease = FakeLease({"metadata": {"resourceVersion": "7"}})
    one = Candidate(lease, "one")
    await until(lambda: one.acts)
    await one.stop()


async def test_what_is_unheard_of_in_a_lease_does_not_end_the_campaign() -> None:
    odd: Any = {"metadata": {"resourceVersion": "7"}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": "long"}}
    lease, before = FakeLease(odd), metrics.TASK_FAILURES.labels("election")._value.get()
    one = Candidate(lease, "one")
    await until(lambda: metrics.TASK_FAILURES.labels("election")._value.get() > before)
    lease.lease = None
    await until(lambda: one.acts)
    await one.stop()
