"""How a change reaches the instances: where there is room, where there is none, and when it is taken back."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from maas_operator.api.decision import Decision
from maas_operator.api.seen import PodSeen
from maas_operator.api.settings import Settings
from maas_operator.decide import decide_service
from tests.unit.decide.apiserver import children_after
from tests.unit.decide.facts import EARLIER, NOW, amounts, manifests_of, node, pod, service_seen, template_of
from tests.unit.decide.test_golden import facts_of

TAKES = amounts(cpu="1", memory="2Gi")
FULL, ROOMY = {"cpu": "1", "memory": "8Gi"}, {"cpu": "2", "memory": "8Gi"}
SERVED = {"model": {"name": "tiny"}, "resourcePool": "pool-a", "flavor": "one"}


class Life:
    """A service that is changed again and again, and its pods, as the test says."""

    def __init__(self, **spec: Any) -> None:
        self.seen = service_seen(facts_of("cpu-first"))
        self.nodes(FULL)
        self.decide(**spec)

    def nodes(self, allocatable: dict[str, str], used: int = 1, **facts: Any) -> None:
        """One node of the pool, on which so many instances stand."""
        requested = {"cpu": str(used), "memory": f"{2 * used}Gi"}
        one = node("node-1", labels={"pool": "a"}, allocatable=allocatable, requested=requested, pods=used, **facts)
        self.seen = replace(self.seen, nodes=[one])

    def pods(self, *pods: PodSeen) -> None:
        self.seen = replace(self.seen, pods=[replace(each, requests=TAKES) for each in pods])

    def decide(self, **spec: Any) -> Decision:
        """Decide on this spec, and carry it out."""
        service = copy.deepcopy(self.seen.service)
        service["spec"] = SERVED | spec
        self.seen = replace(self.seen, service=service)
        decision = decide_service(self.seen, Settings(), EARLIER)
        children = children_after(decision, self.seen.children.values())
        self.seen = replace(self.seen, service=service | {"status": decision.status}, children=children)
        return decision

    @property
    def template(self) -> str | None:
        return template_of(self.seen.children.values())

    @property
    def strategy(self) -> str:
        rolling = self.seen.children["Deployment", "assistant"]["spec"]["strategy"]["rollingUpdate"]
        return "one by one" if rolling["maxUnavailable"] else "new first"


def message(decision: Decision) -> str:
    return next(str(each["message"]) for each in decision.status["conditions"] if each["type"] == "Ready")


CHANGED = {"engine": {"args": ["--new"]}}
CRASH = {"reason": "CrashLoopBackOff", "exit_code": 1, "restarts": 3}
NOWHERE: dict[str, Any] = {"node": None, "phase": "Pending", "unschedulable": "0/1 nodes"}


@pytest.mark.parametrize(
    ("allocatable", "rollout", "expected"),
    [
        (ROOMY, {}, "new first"),
        (FULL, {}, "one by one"),
        (ROOMY | {"pods": "1"}, {}, "one by one"),
        (FULL, {"withoutRoom": "Replace"}, "one by one"),
        (FULL, {"withoutRoom": "Wait"}, "new first"),
        (ROOMY, {"withoutRoom": "Wait"}, "new first"),
    ],
)
def test_new_first_where_there_is_room_else_as_the_user_says(
    allocatable: dict[str, str], rollout: dict[str, Any], expected: str
) -> None:
    life = Life(rollout=rollout)
    life.pods(pod("a", ready=True, template=life.template))
    life.nodes(allocatable)
    life.decide(rollout=rollout, **CHANGED)
    assert life.strategy == expected


WEIGHTS = {"size": "10Gi", "precision": "int8"}
DISK = "ephemeral-storage"


@pytest.mark.parametrize(("there", "expected"), [("22Gi", "new first"), ("11Gi", "one by one"), ("10Gi", "new first")])
def test_a_change_needs_room_for_its_weights_too(there: str, expected: str) -> None:
    """10Gi: taking one away would make no room for a new one, either."""
    life = Life()
    version = {"name": "4k", "source": "hf://acme/tiny", "contextLength": 4096, "weights": WEIGHTS}
    life.seen = replace(life.seen, model={"metadata": {"name": "tiny"}, "spec": {"versions": [version]}})
    life.decide()
    used = {**TAKES, DISK: min(amounts(**{DISK: each})[DISK] for each in (there, "11Gi"))}
    life.seen = replace(life.seen, pods=[pod("a", ready=True, template=life.template, requests=used)])
    life.nodes(ROOMY | {DISK: there})
    life.seen = replace(life.seen, nodes=[replace(each, requested=used) for each in life.seen.nodes])
    life.decide(**CHANGED)
    assert life.strategy == expected


def test_a_change_taken_back_while_its_instance_holds_the_room_recovers_at_once() -> None:
    life = Life()
    good = life.template
    life.pods(pod("a", ready=True, template=good))
    life.nodes(ROOMY)
    life.decide(**CHANGED)
    assert life.template != good
    failing = pod("b", template=life.template, template_hash="bbb", failure=CRASH)
    life.pods(pod("a", ready=True, template=good), failing)
    life.nodes(ROOMY, used=2)
    assert life.decide(**CHANGED).status["phase"] == "Alarm"
    life.decide()
    assert life.template == good
    assert life.strategy == "one by one", "what fails goes first, and gives its room back"
    life.pods(pod("a", ready=True, template=good))
    assert life.decide().status["phase"] == "Running"


def test_a_change_during_a_change_is_weighed_anew() -> None:
    life = Life()
    good = life.template
    life.pods(pod("a", ready=True, template=good))
    life.nodes(ROOMY)
    life.decide(**CHANGED)
    life.pods(pod("a", ready=True, template=good), pod("b", template=life.template, template_hash="bbb"))
    life.nodes(ROOMY, used=2)
    life.decide(engine={"args": ["--newer"]})
    assert life.strategy == "one by one", "the one of before has the place that a third would need"
    life.decide(engine={"args": ["--newest"]}, rollout={"withoutRoom": "Wait"})
    assert life.strategy == "new first"


def test_a_user_who_says_wait_while_a_change_finds_no_room_keeps_what_answers() -> None:
    life = Life()
    life.pods(pod("a", ready=True, template="older", template_hash="old"), pod("b", template=life.template, **NOWHERE))
    waiting = life.decide(rollout={"withoutRoom": "Wait"})
    assert (life.strategy, waiting.status["phase"]) == ("new first", "Updating")
    assert message(waiting).endswith("until there is room: spec.rollout.withoutRoom is Wait")
    life.decide()
    assert life.strategy == "one by one"


def test_a_new_instance_that_the_scheduler_has_not_looked_at_yet_takes_none_away() -> None:
    """On a busy machine that takes seconds: the one that answers must not go for it."""
    life = Life()
    good = life.template
    life.pods(pod("a", ready=True, template=good))
    life.nodes(ROOMY)
    life.decide(**CHANGED)
    unseen = NOWHERE | {"unschedulable": None}
    life.pods(pod("a", ready=True, template=good), pod("b", template=life.template, template_hash="bbb", **unseen))
    life.decide(**CHANGED)
    assert life.strategy == "new first"


@pytest.mark.parametrize("facts", [{"cordoned": True}, {"ready": False}, {"taints": [["busy", "", "NoSchedule"]]}])
def test_no_instance_is_taken_away_where_its_place_would_be_nobodys(facts: dict[str, Any]) -> None:
    life = Life()
    life.pods(pod("a", ready=True, template="older", template_hash="old"), pod("b", template=life.template, **NOWHERE))
    life.nodes(FULL, **facts)
    waiting = life.decide()
    assert life.strategy == "new first"
    assert message(waiting).endswith("taking one of them away would not make that room")


def test_another_node_that_is_free_is_no_help_while_an_instance_stands_on_a_closed_one() -> None:
    """The Deployment chooses which one goes: it may be the one whose place nobody gets."""
    life = Life(instances=2)
    life.nodes(FULL)
    closed = node("node-2", labels={"pool": "a"}, allocatable=FULL, requested=FULL, pods=1, cordoned=True)
    life.seen = replace(life.seen, nodes=[*life.seen.nodes, closed])
    old = {"ready": True, "template": "older", "template_hash": "old"}
    life.pods(pod("a", **old), pod("b", node="node-2", **old), pod("c", template=life.template, **NOWHERE))
    life.decide(instances=2)
    assert life.strategy == "new first"


@pytest.mark.parametrize("rollout", [{}, {"withoutRoom": "Wait"}])
def test_what_answers_nobody_makes_way_for_its_correction(rollout: dict[str, Any]) -> None:
    life = Life(rollout=rollout)
    life.pods(pod("a", failure=CRASH, template=life.template))
    life.decide(rollout=rollout, **CHANGED)
    assert life.strategy == "one by one"
    life.pods(pod("b", template=life.template))
    life.decide(rollout=rollout, **CHANGED)
    assert life.strategy == "one by one", "and nothing is written again meanwhile"


UNTOUCHED = [
    {"qps": 7},
    {"limits": {"requestsPerMinute": 60}},
    {"sharing": {"all": True}},
    {"balancing": "PrefixAffinity"},
    {"autoStop": {"after": "4h"}},
    {"rollout": {"withoutRoom": "Wait"}},
    {"description": "other"},
    {"displayName": "Other"},
    {"instances": 2},
    {"scaling": {"minInstances": 1, "maxInstances": 3, "metrics": [{"type": "Concurrency", "target": 4}]}},
]


@pytest.mark.parametrize("spec", UNTOUCHED, ids=lambda spec: next(iter(spec)))
def test_m14_what_is_not_the_engines_touches_no_pod(spec: dict[str, Any]) -> None:
    life = Life(qps=5)
    good = life.template
    life.pods(pod("a", ready=True, template=good))
    decision = life.decide(**{"qps": 5} | spec)
    assert life.template == good
    assert template_of(manifests_of(decision)) in {None, good}
    assert decision.status["phase"] in {"Running", "Starting"}


def test_nothing_is_written_once_a_change_is_under_way() -> None:
    life = Life()
    life.pods(pod("a", ready=True, template=life.template))
    life.decide(**CHANGED)
    assert not manifests_of(decide_service(life.seen, Settings(), NOW))
