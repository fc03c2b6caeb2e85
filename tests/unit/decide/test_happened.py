"""M11, M9: what happens to a service is written into its status, once, and stays there until everybody was told."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from maas_operator.api.conditions import Phase
from maas_operator.api.crd import structural
from maas_operator.api.decision import Event
from maas_operator.api.events import MAX_EVENTS, SUBSCRIPTIONS, Happening, Subscribable, event_id
from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.api.times import written
from maas_operator.decide import with_happened
from maas_operator.decide.happened import KEPT
from maas_operator.decide.notified import notified
from tests.unit.decide.facts import NOW

EVENTS = Draft202012Validator(structural(MODEL_SERVICE.status))
TOPIC = {"spec": {"channels": [{"name": "hook"}, {"name": "mail"}]}}
ALL = [str(each) for each in Subscribable]


def seen(status: Manifest | None = None, **given: Any) -> ServiceSeen:
    spec = {"notifications": {"topic": "ops", "events": given.pop("events", ALL)}}
    service = {"metadata": {"name": "assistant", "namespace": "team-a", "uid": "u"}, "spec": spec}
    facts: dict[str, Any] = {"topic": TOPIC, "settled": frozenset()} | given
    return ServiceSeen(service | ({"status": status} if status else {}), None, None, {}, {}, [], [], **facts)


def status(phase: str, reason: str = "r", message: str = "m") -> Manifest:
    return {"phase": phase, "conditions": [{"type": "Ready", "reason": reason, "message": message}]}


def life(*phases: str, told: Sequence[Event] = (), base: ServiceSeen | None = None) -> list[Manifest]:
    """The events after a service went through these phases, a minute each."""
    now, stands = NOW, base or seen()
    for phase in phases:
        written = with_happened(stands, told, status(phase), now)
        stands = replace(stands, service=stands.service | {"status": written})
        now += timedelta(minutes=1)
    return list(stands.service["status"].get("events", []))


def reasons(events: list[Manifest]) -> list[str]:
    return [each["reason"] for each in events]


def test_m11_each_phase_that_begins_is_an_event_and_one_that_lasts_is_none() -> None:
    events = life("Starting", "Starting", "Deploying", "Running", "Running", "Alarm", "Running", "Stopped")
    assert reasons(events) == ["Starting", "Deploying", "Running", "Alarm", "Running", "Stopped"]
    assert [each["type"] for each in events if each["reason"] == "Alarm"] == ["Warning"]
    assert {each["type"] for each in events if each["reason"] != "Alarm"} == {"Normal"}
    assert len({each["id"] for each in events}) == 6


@pytest.mark.parametrize(
    ("phases", "last"),
    [
        (("Running", "Updating", "Running"), "Updated"),
        (("Running", "Upgrading", "Running"), "Upgraded"),
        (("Running", "Upgrading", "Alarm", "Running"), "Upgraded"),
        (("Running", "Updating", "Running", "Alarm", "Running"), "Running"),
        (("Running", "Updating", "Stopped", "Starting", "Running"), "Running"),
    ],
)
def test_m15_a_roll_out_that_is_through_says_so(phases: tuple[str, ...], last: str) -> None:
    assert reasons(life(*phases))[-1] == last


def test_m11_what_an_engine_wrote_can_be_kept_by_every_database_and_is_told_once() -> None:
    told = Event("Warning", Happening.SCALED, "it ended with: \x00\x1b[31mout\nof memory")
    events = life("Running", "Running", told=[told])
    assert [each["message"] for each in events if each["reason"] == "Scaled"] == ["it ended with:   [31mout of memory"]


def test_what_is_amiss_being_something_else_is_an_event_too() -> None:
    stands = seen(with_happened(seen(), (), status("Alarm", "InstanceFailing", "one"), NOW))
    same = with_happened(stands, (), status("Alarm", "InstanceFailing", "two"), NOW)
    assert len(same["events"]) == 1
    other = with_happened(stands, (), status("Alarm", "Forbidden", "three"), NOW + timedelta(seconds=1))
    assert [each["message"] for each in other["events"]] == ["one", "three"]


def test_m9_what_is_amiss_being_something_else_within_a_second_is_told_too() -> None:
    first = with_happened(seen(), (), status("Alarm", "NodeNotReady", "node-1"), NOW)
    second = with_happened(seen(first), (), status("Alarm", "InstanceFailing", "it crashes"), NOW)
    assert [each["message"] for each in second["events"]] == ["node-1", "it crashes"]
    assert len({each["id"] for each in second["events"]}) == 2
    again = with_happened(seen(), (), status("Alarm", "NodeNotReady", "node-1"), NOW)
    assert again == first, "tried once more, it is the same"
    told = [Event("Normal", "Scaled", words, written(NOW)) for words in ("from 1 to 2", "from 2 to 3", "from 2 to 3")]
    scaled = with_happened(seen(second), told, second, NOW)
    assert [each["message"] for each in scaled["events"]][2:] == ["from 1 to 2", "from 2 to 3"]


def test_m9_an_event_that_an_operator_of_before_gave_its_id_is_not_told_again() -> None:
    woken = Event("Normal", "Woken", "by a request", written(NOW))
    stands = with_happened(seen(status("Running")), [woken], status("Running"), NOW)
    stands["events"] = [each | {"id": event_id("u", each["reason"], each["time"])} for each in stands["events"]]
    assert with_happened(seen(stands), [woken], status("Running"), NOW)["events"] == stands["events"]


def test_what_a_decision_goes_on_telling_is_one_event_however_much_happens_meanwhile() -> None:
    """A warning that it stops soon is told by every decision until it does."""
    soon = Event("Normal", "StopsSoon", "stops by itself at noon")
    events = life(*["Running", "Alarm"] * 10, told=(soon,))
    assert reasons(events).count("StopsSoon") == 1


def test_what_happens_again_in_the_same_words_is_told_by_its_time() -> None:
    woken = Event("Normal", "Woken", "by a request", written(NOW))
    first = with_happened(seen(status("Running")), [woken], status("Running"), NOW)
    again = [replace(woken, at=written(NOW + timedelta(minutes=5)))]
    assert reasons(with_happened(seen(first), again, status("Running"), NOW)["events"]) == ["Woken", "Woken"]
    assert len(with_happened(seen(first), [woken], status("Running"), NOW)["events"]) == 1


def test_a_warning_of_the_decision_about_its_phase_is_not_told_twice() -> None:
    told = [Event("Warning", "Queuing", "ModelService is Queuing: no room")]
    assert reasons(life("Queuing", "Queuing", told=told)) == ["Queuing"]


def test_m9_subscribed_events_wait_for_every_channel_and_others_for_none() -> None:
    events = life("Starting", "Running", "Stopped", base=seen(events=["Running", "Terminated"]))
    waiting = {each["reason"]: each.get("pending") for each in events}
    assert waiting == {"Starting": None, "Running": ["ops/hook", "ops/mail"], "Stopped": ["ops/hook", "ops/mail"]}


@pytest.mark.parametrize("missing", [{"topic": None}, {"settled": None}])
def test_m9_without_a_topic_or_with_notifications_off_nobody_is_waited_for(missing: dict[str, Any]) -> None:
    assert all("pending" not in each for each in life("Running", "Alarm", base=seen(**missing)))


def test_m9_the_condition_says_what_to_do() -> None:
    def told(**given: Any) -> tuple[bool, str, str]:
        ((_, verdict),) = notified(seen(**given)).items()
        return verdict.status, verdict.reason, verdict.message

    assert told() == (True, "TopicFound", "told to topic ops")
    assert told(topic=None)[:2] == (False, "TopicNotFound")
    assert "make it, or name another in spec.notifications.topic" in told(topic=None)[2]
    assert "notifications.enabled=true" in told(settled=None)[2]


def test_m9_every_subscription_is_to_something_that_happens() -> None:
    assert {each for group in SUBSCRIPTIONS.values() for each in group} == set(Subscribable)
    assert set(SUBSCRIPTIONS) <= {*Phase, *Happening}
    assert set(Happening) <= set(SUBSCRIPTIONS)


@dataclass
class World:
    """A status in the cluster, an operator's memory of what it delivered, and what receivers got."""

    status: Manifest = field(default_factory=lambda: status("Starting"))
    settled: set[tuple[str, str]] = field(default_factory=set)
    received: set[tuple[str, str]] = field(default_factory=set)
    promised: set[tuple[str, str]] = field(default_factory=set)
    now: datetime = NOW

    def reconcile(self, phase: str, told: Sequence[Event], written: bool) -> None:
        """Decide; and unless the operator dies before, write."""
        before = seen(json.loads(json.dumps(self.status)), settled=frozenset(self.settled))
        made = with_happened(before, told, status(phase), self.now)
        assert not list(EVENTS.iter_errors({"conditions": [], "events": made.get("events", [])}))
        if written:
            self.status = made
            self.promised |= self.pending
            if len(made.get("events", ())) == MAX_EVENTS:  # more do not fit: the oldest are given up
                self.promised &= self.received | self.pending
        else:
            self.settled.clear()

    @property
    def pending(self) -> set[tuple[str, str]]:
        events = self.status.get("events", ())
        return {(each["id"], target) for each in events for target in each.get("pending", ())}

    def deliver(self) -> None:
        """One of those that wait is told, in no particular order."""
        waiting = sorted(self.pending - self.settled)
        if waiting:
            self.received.add(waiting[0])
            self.settled.add(waiting[0])

    def check(self) -> None:
        assert self.promised <= self.received | self.pending, "somebody is never told"
        events = self.status.get("events", ())
        assert len(events) <= MAX_EVENTS
        assert len({each["id"] for each in events}) == len(events)


TOLD = st.sampled_from(
    [(), (Event("Normal", "StopsSoon", "soon"),), (Event("Warning", "SuspectedSuspension", "hangs"),)]
)
STEPS = st.one_of(
    st.tuples(st.sampled_from([str(each) for each in Phase]), TOLD, st.booleans()),
    st.just("deliver"),
    st.just("restart"),
)


@given(st.lists(STEPS, max_size=MAX_EVENTS))
@example([(phase, (), True) for phase in ("Running", "Alarm") * KEPT])
def test_m9_whatever_is_killed_when_no_pending_notification_is_lost(steps: list[Any]) -> None:
    world = World()
    for step in steps:
        world.now += timedelta(seconds=7)
        if step == "deliver":
            world.deliver()
        elif step == "restart":
            world.settled.clear()
        else:
            world.reconcile(*step)
        world.check()
    while world.pending - world.settled:
        world.deliver()
    world.reconcile("Running", (), written=True)
    while world.pending - world.settled:
        world.deliver()
    world.reconcile("Running", (), written=True)
    world.check()
    assert not world.pending
    assert len(world.status["events"]) <= KEPT
    assert world.promised <= world.received


@given(st.integers(1, 60))
def test_more_than_fit_drop_the_oldest(count: int) -> None:
    events = life(*["Running", "Alarm"] * count)
    assert len(events) == min(2 * count, MAX_EVENTS)
    assert events[-1]["reason"] == "Alarm"


def test_a_ring_without_notifications_is_short() -> None:
    events = life(*["Running", "Alarm"] * 10, base=seen(events=["Failed"]))
    assert len(events) == KEPT
