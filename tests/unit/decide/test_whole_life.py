"""A service put through everything, in any order: what holds whatever its users, its pods and its requests do."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from maas_operator.api.decision import Decision
from maas_operator.api.names import LABEL_TEMPLATE
from maas_operator.api.scaling import Scaling
from maas_operator.api.seen import Failure, InstanceMeasured, Manifest, PodSeen
from maas_operator.decide.instances import look
from maas_operator.decide.scaling.schedules import bounds_at
from tests.unit.decide.facts import pod
from tests.unit.decide.reconciled import HOW, Reconciled, Trouble
from tests.unit.decide.scaling.life import Life
from tests.unit.decide.test_properties import check_status

HANG_SECONDS = 300
SLEEP_AFTER = timedelta(minutes=1)
LOOKS = 30
"""Decisions, one upon the other, by which all has come to rest."""
STEP = timedelta(seconds=15)
FEW = st.integers(0, 40)
NOBODY: Mapping[int, InstanceMeasured | None] = {}
METRICS = st.lists(st.sampled_from(["QPS", "Concurrency", "Queue", "KVCache"]), max_size=2, unique=True)


@st.composite
def scalings(draw: st.DrawFn) -> Manifest:
    least = draw(st.integers(0, 2))
    spec = {
        "minInstances": least,
        "maxInstances": draw(st.integers(max(1, least), 4)),
        "metrics": [{"type": each, "target": 10} for each in draw(METRICS)],
        "sleepAfter": "1m",
    }
    if draw(st.booleans()):
        office = {"name": "office", "start": "5 * * * *", "end": "20 * * * *", "minInstances": draw(st.integers(0, 5))}
        spec["schedules"] = [office]
    return spec


def said(scaling: Manifest) -> Manifest:
    """What was decided, and of which metrics anything was known: not what they were at."""
    known = {each["type"]: "averageValue" in each for each in scaling.get("metrics", ())}
    return {key: scaling.get(key) for key in ("desired", "schedules", "wakeRequest", "startRequest")} | known


class WholeLife(RuleBasedStateMachine):
    """A service and its little cluster. After every step it is decided until nothing is begun any more."""

    @initialize(scaling=st.none() | scalings())
    def begins(self, scaling: Manifest | None) -> None:
        self.life = Life(scaling)
        self.operator = Reconciled(self.life)
        self.room = True
        self.made = 0
        self.busy_at: datetime | None = None
        self.settle()

    @rule(scaling=scalings())
    def its_user_has_it_scaled(self, scaling: Manifest) -> None:
        self.life.service["spec"].pop("instances", None)
        self.life.change(scaling)
        self.settle()

    @rule(instances=st.integers(0, 3))
    def its_user_says_how_many(self, instances: int) -> None:
        self.life.service["spec"].pop("scaling", None)
        self.life.change(instances=instances)
        self.settle()

    @rule(state=st.sampled_from(["Running", "Running", "Stopped"]))
    def its_user_starts_or_stops_it(self, state: str) -> None:
        self.life.change(state=state)
        if state == "Running":
            self.life.annotate("start-requested-at", self.life.now.isoformat())
        self.settle()

    @rule(after=st.none() | st.fixed_dictionaries({}, optional={"after": st.just("5m"), "afterIdle": st.just("3m")}))
    def its_user_has_it_stop_by_itself(self, after: Manifest | None) -> None:
        self.life.service["spec"].pop("autoStop", None)
        self.life.change(**({"autoStop": after} if after else {}))
        self.settle()

    @rule(flavor=st.sampled_from(["one", "one", "one", "none-such"]))
    def its_user_errs_or_puts_it_right(self, flavor: str) -> None:
        self.life.change(flavor=flavor)
        self.settle()

    @rule(arg=st.sampled_from(["--seed=1", "--seed=2"]))
    def its_user_changes_the_engine(self, arg: str) -> None:
        self.life.change(engine={"args": [arg]})
        self.settle()

    @precondition(lambda self: "scaling" in self.life.service["spec"])
    @rule()
    def a_request_wakes_it(self) -> None:
        """Of a service that cannot sleep the gateway asks no such thing."""
        self.life.annotate("wake-requested-at", self.life.now.isoformat())
        self.life.last_request = self.busy_at = self.life.now
        self.settle()

    @rule()
    def the_operator_is_another(self) -> None:
        self.life.restart()
        self.settle()

    @rule(write=st.integers(0, 2), how=st.sampled_from(HOW))
    def a_write_will_fail_or_the_operator_end_by_it(self, write: int, how: str) -> None:
        """As soon as there is one: its status is the likeliest."""
        self.operator.trouble = Trouble(write, how)

    @rule(number=st.integers(0, 5), there=st.sampled_from(["ready", "ready", "failing", "gone"]))
    def something_becomes_of_a_pod(self, number: int, there: str) -> None:
        pods = self.life.pods
        if number < len(pods):
            each = pods[number]
            match there:
                case "ready" if not each.leaving:
                    pods[number] = replace(each, ready=True, phase="Running", node="n", failure=None)
                case "failing" if not each.leaving:
                    pods[number] = replace(each, ready=False, phase="Running", node="n", failure=Failure("Error"))
                case "gone":
                    del pods[number]
        self.settle()

    @rule(room=st.booleans())
    def the_pool_has_room_or_none(self, room: bool) -> None:
        self.room = room
        self.settle()

    @rule(looks=st.sampled_from([6, 16]))
    def nobody_asks_anything(self, looks: int) -> None:
        for _ in range(looks):
            self.look()

    @rule()
    def all_is_put_right_and_nobody_asks_anything(self) -> None:
        """As a service is most of its time."""
        self.room = True
        self.life.pods = [replace(each, failure=None) for each in self.life.pods]
        self.life.service["spec"].pop("autoStop", None)
        self.life.change(flavor="one", state="Running")
        self.settle()
        self.nobody_asks_anything(16)

    @rule(seconds=st.sampled_from([1, 60, 600, -600]))
    def time_passes_unmeasured(self, seconds: int) -> None:
        self.life.now += timedelta(seconds=seconds)
        self.settle()

    @rule(
        looks=st.sampled_from([1, 1, 8]),
        running=st.sampled_from([0, 9]) | FEW,
        waiting=st.just(0) | FEW,
        held=st.sampled_from([0, 0, None, 30]),
        qps=st.none() | st.just(0) | FEW,
    )
    def it_is_measured(self, looks: int, running: int, waiting: int, held: int | None, qps: int | None) -> None:
        for _ in range(looks):
            self.look(running=running, waiting=waiting, held=held, qps=qps)

    @rule(numbers=st.lists(st.integers(0, 3), min_size=1, max_size=3))
    def some_hang(self, numbers: list[int]) -> None:
        since = self.life.now + STEP - timedelta(seconds=HANG_SECONDS)
        self.look({number: InstanceMeasured(1, 0, 10, stuck_since=since) for number in numbers}, running=1)

    @rule(number=st.integers(0, 3))
    def one_says_nothing(self, number: int) -> None:
        self.look({number: None})

    def look(self, but: Mapping[int, InstanceMeasured | None] = NOBODY, **load: Any) -> None:
        """A while passes, and it is measured. but: what these instances say instead, or that they say nothing."""
        life = self.life
        life.now += STEP
        life.measure(**load)
        assert life.measured
        told = dict(enumerate(sorted(life.measured.instances.items())))
        said_by = {name: but.get(number, figures) for number, (name, figures) in told.items()}
        life.measured = replace(life.measured, instances={name: each for name, each in said_by.items() if each})
        if load.get("held") or any(each.running or each.waiting for each in life.measured.instances.values()):
            self.busy_at = life.now
        before = life.scaling
        self.settle()
        if said(before) == said(life.scaling):
            assert life.scaling == before, "what is measured alone writes nothing"

    def settle(self) -> None:
        """Decide until all rests, the controllers doing their part in between."""
        for _ in range(LOOKS):
            before = self.life.status, list(self.life.pods)
            decision = self.decide()
            self.controllers()
            if not decision.apply and not self.operator.met and before == (self.life.status, self.life.pods):
                return
        raise AssertionError(f"it does not come to rest: {before[0]}, then {self.life.status}")

    def decide(self) -> Decision:
        """Decide once, and see that it is as it always is."""
        life = self.life
        before, pods = life.status, look(life.pods)
        decision = self.operator.look()
        status = life.status
        if status != before:
            check_status(status, "ModelService")
        if self.operator.met:
            return decision
        self.check_number(before, status)
        removed = [each for each in decision.remove if each.kind == "Pod"]
        assert len(removed) <= 1, "one at a time"
        for each in removed:
            found = next(pod for pod in pods.staying if pod.name == each.name)
            assert found.ready
            assert status["suspension"]["instance"] == each.name
            earlier = before.get("suspension")
            if earlier and earlier["instance"] != each.name:
                alive = any(pod.ready and pod.name == earlier["instance"] for pod in pods.staying)
                assert alive or pods.ready >= min(earlier["ready"], status["instances"]["desired"])
        return decision

    def check_number(self, before: Manifest, status: Manifest) -> None:
        life, spec = self.life, self.life.service["spec"]
        desired = status["instances"]["desired"]
        refused = any(each["type"] == "Accepted" and each["status"] == "False" for each in status["conditions"])
        stopped = spec.get("state") == "Stopped" or "stoppedAt" in status.get("autoStop", {})
        if refused:
            earlier = before.get("instances", {}).get("desired", 0)
            assert desired == (0 if stopped or spec.get("instances") == 0 else earlier), "it is left as it is"
            return
        assert life.replicas == desired
        if stopped:
            assert desired == 0
            assert status["phase"] == "Stopped"
            assert "scaling" not in status
        elif "scaling" not in spec:
            assert desired == spec.get("instances", 1)
            assert "scaling" not in status
        else:
            bounds = bounds_at(Scaling.model_validate(spec["scaling"]), life.now)
            asleep = "asleepSince" in status["scaling"]
            assert asleep == (desired == 0)
            assert asleep or bounds.awake <= desired <= max(bounds.most, bounds.awake)
            assert not asleep or bounds.least == 0
            if asleep and "asleepSince" not in before.get("scaling", {}):
                assert self.busy_at is None or life.now - self.busy_at >= SLEEP_AFTER

    def controllers(self) -> None:
        """What Kubernetes makes of the Deployment: pods more, or fewer, or others, new ones first."""
        life = self.life
        there = life.children.get(("Deployment", "assistant"))
        wanted = there["spec"]["replicas"] if there else 0
        staying = [each for each in life.pods if not each.leaving]
        label = there["spec"]["template"]["metadata"]["labels"][LABEL_TEMPLATE] if there else ""
        new = [each for each in staying if each.template == label]
        old = [each for each in staying if each.template != label]
        answering = sum(each.ready for each in staying)
        going = {each.name for each in sorted(new, key=lambda pod: pod.ready)[: max(0, len(new) - wanted)]}
        for each in old:
            if not each.ready or answering > wanted:
                going.add(each.name)
                answering -= each.ready
        life.pods = [replace(each, leaving=True) if each.name in going else each for each in life.pods]
        for _ in range(min(wanted - len(new), wanted + bool(old) - len(staying))):
            life.pods.append(self.new(label))
        life.pods = [self.further(each) for each in life.pods if not each.leaving]

    def further(self, each: PodSeen) -> PodSeen:
        """A pod, a step further: placed where there is room, then ready."""
        if each.ready or each.failure:
            return each
        if each.node:
            return replace(each, phase="Running", ready=True)
        if self.room:
            return replace(each, node="n", unschedulable=None)
        return replace(each, unschedulable="0/1 nodes are available")

    def new(self, label: str) -> PodSeen:
        self.made += 1
        return pod(f"p{self.made}", phase="Pending", node=None, template=label, template_hash=label)


WholeLife.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestWholeLife = WholeLife.TestCase
