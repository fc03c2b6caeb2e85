"""How instances pass from one workload to another: between LeaderWorkerSets, and between one and a Deployment."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from maas_operator.api.decision import Decision
from maas_operator.api.seen import Manifest, PodSeen, ServiceSeen
from maas_operator.api.settings import Settings
from maas_operator.decide import decide_service, with_happened
from maas_operator.decide.standing import WORKLOADS, pod_labels, replicas, template_of
from tests.unit.decide.apiserver import children_after
from tests.unit.decide.facts import EARLIER, amounts, node, pod, service_seen, settings_from
from tests.unit.decide.test_golden import facts_of

FLAVORS: list[Manifest] = [
    {"name": "one", "cpu": "1", "memory": "2Gi"},
    {"name": "two", "cpu": "1", "memory": "2Gi", "hosts": 2},
]
ROOM, NONE = {"cpu": "64", "memory": "64Gi"}, {"cpu": "4", "memory": "8Gi"}
UNPLACED: dict[str, Any] = {"node": None, "unschedulable": "0/1 nodes are available"}
TEMPLATE = "maas-operator.io/template"


class Life:
    """A service that is changed, and its pods, as the test says."""

    def __init__(self, flavor: str, room: dict[str, str] = ROOM, like: str = "cpu-first", **spec: Any) -> None:
        self.now = EARLIER
        facts = facts_of(like)
        self.settings = settings_from(facts)
        facts["pool"]["spec"]["flavors"] = FLAVORS
        self.seen = service_seen(facts)
        used = {"cpu": "4", "memory": "8Gi"} if room is NONE else {}
        facts = {"labels": {"pool": "a"}, "allocatable": room, "requested": used, "pods": len(used)}
        self.seen = replace(self.seen, nodes=[node(f"node-{number}", **facts) for number in (1, 2)])
        self.decide(flavor=flavor, **spec)

    def decide(self, **spec: Any) -> Decision:
        """Decide on the spec, changed like this, and carry it out."""
        service = self.seen.service | {"spec": self.seen.service["spec"] | spec}
        self.now += timedelta(minutes=1)
        decision = decide_service(replace(self.seen, service=service), self.settings, self.now)
        children = children_after(decision, self.seen.children.values())
        status = with_happened(replace(self.seen, service=service), decision.events, decision.status, self.now)
        self.seen = replace(self.seen, service=service | {"status": status}, children=children)
        return decision

    def pods(self, *pods: Sequence[PodSeen]) -> None:
        self.seen = replace(self.seen, pods=[each for group in pods for each in group])

    def workloads(self) -> dict[str, int]:
        """How many instances each workload is to have, by its name: the Deployment's is the service's."""
        return {each["metadata"]["name"]: replicas(each) for each in standing(self.seen)}

    def newest(self, *before: str) -> str:
        """The name of the workload that is none of these."""
        (name,) = self.workloads().keys() - set(before)
        return name

    def jobs(self) -> list[str]:
        """The Jobs that fetch weights."""
        return [name for kind, name in self.seen.children if kind == "Job"]

    def fetched(self) -> None:
        """These Jobs end well."""
        done = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
        children = {key: each | done if key[0] == "Job" else each for key, each in self.seen.children.items()}
        self.seen = replace(self.seen, children=children)

    def template(self, name: str) -> str:
        """The digest on the pods of a workload."""
        (found,) = [each for each in standing(self.seen) if each["metadata"]["name"] == name]
        return pod_labels(template_of(found))[TEMPLATE]

    def group(self, name: str, index: int, **facts: Any) -> list[PodSeen]:
        """An instance of two hosts."""
        known: dict[str, Any] = {"group": f"{name}-{index}", "template": self.template(name), "requests": TAKES}
        return [
            pod(f"{name}-{index}", **known | {"ready": True} | facts),
            pod(f"{name}-{index}-1", **known | {"ready": True, "worker_index": 1, "node": "node-2"} | facts),
        ]

    def lone(self, name: str, **facts: Any) -> list[PodSeen]:
        """An instance of one host."""
        known = {"template": self.template("assistant"), "requests": TAKES, "ready": True}
        return [pod(name, **known | facts)]


TAKES = amounts(cpu="1", memory="2Gi")


def standing(seen: ServiceSeen) -> list[Manifest]:
    return [child for (kind, _), child in seen.children.items() if kind in WORKLOADS]


def selector(life: Life) -> Manifest:
    return dict(life.seen.children["Service", "assistant"]["spec"]["selector"])


def phase(decision: Decision) -> str:
    return str(decision.status["phase"])


@pytest.mark.parametrize(("there", "kept"), [("22Gi", True), ("11Gi", False)])
def test_m15_a_new_set_needs_room_for_its_weights_on_each_host(there: str, kept: bool) -> None:
    life = Life("two")
    weights = {"size": "10Gi", "precision": "int8"}
    version = {"name": "4k", "source": "hf://acme/tiny", "contextLength": 4096, "weights": weights}
    life.seen = replace(life.seen, model={"metadata": {"name": "tiny"}, "spec": {"versions": [version]}})
    life.decide()
    old = life.newest()
    used = {**TAKES, **amounts(**{"ephemeral-storage": "11Gi"})}
    life.pods(life.group(old, 0, requests=used))
    has = amounts(**ROOM, **{"ephemeral-storage": there}, pods=110)
    life.seen = replace(life.seen, nodes=[replace(each, allocatable=has, requested=used) for each in life.seen.nodes])
    life.decide(engine={"args": ["--new"]})
    assert (old in life.workloads()) is kept


def test_m15_a_change_makes_a_set_of_its_own_and_the_one_before_goes_when_the_new_one_answers() -> None:
    life = Life("two")
    old = life.newest()
    life.pods(life.group(old, 0))
    assert phase(life.decide()) == "Running"
    assert phase(life.decide(engine={"args": ["--new"]})) == "Updating"
    new = life.newest(old)
    assert life.workloads() == {old: 1, new: 1}
    life.pods(life.group(old, 0), life.group(new, 0, ready=False))
    assert phase(life.decide()) == "Updating"
    assert life.workloads() == {old: 1, new: 1}
    life.pods(life.group(old, 0), life.group(new, 0))
    life.decide()
    assert life.workloads() == {new: 1}
    life.pods(life.group(new, 0))
    assert phase(life.decide()) == "Running"


def test_m15_one_after_the_other_and_never_more_than_one_above_what_is_asked_for() -> None:
    life = Life("two", instances=3)
    old = life.newest()
    groups = [life.group(old, index) for index in range(3)]
    life.pods(*groups)
    life.decide()
    life.decide(engine={"args": ["--new"]})
    new = life.newest(old)
    assert life.workloads() == {old: 3, new: 1}
    life.pods(*groups, life.group(new, 0))
    life.decide()
    assert life.workloads() == {old: 2, new: 2}
    life.pods(*groups[:2], life.group(new, 0), life.group(new, 1))
    life.decide()
    assert life.workloads() == {old: 1, new: 3}
    life.pods(groups[0], *(life.group(new, index) for index in range(3)))
    life.decide()
    assert life.workloads() == {new: 3}


def test_m15_what_answers_nobody_goes_at_once() -> None:
    life = Life("two")
    old = life.newest()
    life.pods(life.group(old, 0, ready=False, failure={"reason": "Error"}))
    life.decide(engine={"args": ["--new"]})
    assert old not in life.workloads()


def test_m15_a_change_that_is_taken_back_costs_nothing() -> None:
    life = Life("two")
    old = life.newest()
    life.pods(life.group(old, 0))
    life.decide()
    life.decide(engine={"args": ["--crash"]})
    new = life.newest(old)
    life.pods(life.group(old, 0), life.group(new, 0, ready=False, failure={"reason": "Error", "message": "--crash"}))
    failing = life.decide()
    assert phase(failing) == "Alarm"
    assert "the change goes no further" in str(failing.status["conditions"])
    life.decide(engine=None)
    assert life.workloads() == {old: 1}


def test_m15_without_room_one_goes_first_unless_the_user_says_wait() -> None:
    life = Life("two", NONE)
    old = life.newest()
    life.pods(life.group(old, 0))
    life.decide()
    waits = life.decide(engine={"args": ["--new"]}, rollout={"withoutRoom": "Wait"})
    new = life.newest(old)
    life.pods(life.group(old, 0), life.group(new, 0, ready=False, **UNPLACED))
    waits = life.decide()
    assert life.workloads() == {old: 1, new: 1}
    assert "spec.rollout.withoutRoom is Wait" in str(waits.status["conditions"])
    life.decide(rollout=None)
    assert life.workloads() == {new: 1}


@pytest.mark.parametrize("instances", [1, 2])
def test_m15_from_one_host_to_several_and_back_no_instance_is_missed(instances: int) -> None:
    life = Life("one", instances=instances)
    before = [life.lone(f"p{index}") for index in range(instances)]
    life.pods(*before)
    life.decide()
    assert selector(life) == {"maas-operator.io/service": "assistant"}
    life.decide(flavor="two")
    new = life.newest("assistant")
    assert life.workloads() == {"assistant": instances, new: 1}
    routed = {"maas-operator.io/service": "assistant", "app.kubernetes.io/name": "model-service"}
    assert selector(life) == routed
    groups: list[list[PodSeen]] = []
    for index in range(instances):
        groups.append(life.group(new, index))
        life.pods(*before[index:], *groups)
        life.decide()
    assert life.workloads() == {new: instances}
    life.pods(*groups)
    assert phase(life.decide()) == "Running"

    life.decide(flavor="one")
    assert life.workloads() == {"assistant": 1, new: instances}
    for index in range(instances):
        life.pods(*groups[: instances - index], *(life.lone(f"p{number}") for number in range(index + 1)))
        life.decide()
    assert life.workloads() == {"assistant": instances}
    left = [replace(each, leaving=True) for group in groups for each in group]
    life.pods(*before, left)
    life.decide()
    assert selector(life) == routed, "while workers are there"
    life.pods(*before)
    life.decide()
    assert selector(life) == {"maas-operator.io/service": "assistant"}


@pytest.mark.parametrize("flavor", ["one", "two"])
def test_m14_stopped_in_the_midst_of_it_nothing_runs(flavor: str) -> None:
    life = Life("one")
    life.pods(life.lone("p0"))
    life.decide()
    life.decide(flavor="two")
    new = life.newest("assistant")
    life.pods(life.lone("p0"), life.group(new, 0, ready=False))
    life.decide(flavor=flavor, state="Stopped")
    assert set(life.workloads().values()) == {0}


def ready_condition(decision: Decision) -> str:
    return next(str(each["message"]) for each in decision.status["conditions"] if each["type"] == "Ready")


def test_m11_after_a_second_failure_it_is_told_until_it_answers_although_each_try_has_new_pods() -> None:
    life = Life("two")
    name = life.newest()
    failing = life.group(name, 0, ready=False, failure={"reason": "Error", "exit_code": 1, "message": "bad flag"})
    life.pods(failing)
    told = ready_condition(first := life.decide())
    assert (phase(first), "Error, exit code 1: bad flag" in told) == ("Failed", True)
    life.pods(life.group(name, 0, ready=False))
    assert phase(life.decide()) == "Deploying", "once is nothing: requests wait for it"
    life.pods(failing)
    assert phase(life.decide()) == "Failed"
    for pods in ([], life.group(name, 0, ready=False), life.group(name, 0, ready=False, leaving=True)):
        life.pods(pods)
        again = life.decide()
        assert (phase(again), ready_condition(again), again.events) == ("Failed", told, ())
    life.pods(life.group(name, 0, ready=False, **UNPLACED))
    assert phase(life.decide()) == "Queuing", "now it is something else"
    life.pods(life.group(name, 0))
    assert phase(life.decide()) == "Running"
    life.pods(life.group(name, 0, ready=False, failure={"reason": "Error"}))
    life.decide()
    life.pods(life.group(name, 0, ready=False))
    assert phase(life.decide()) == "Deploying", "what was before it ran does not count"


def test_m14_a_failed_service_that_is_started_again_begins_anew() -> None:
    life = Life("two")
    name = life.newest()
    for trouble in ({"failure": {"reason": "Error"}}, {}, {"failure": {"reason": "Error"}}):
        life.pods(life.group(name, 0, ready=False, **trouble))
        failed = life.decide()
    assert phase(failed) == "Failed"
    metadata = life.seen.service["metadata"]
    annotations = {"maas-operator.io/start-requested-at": "2026-01-02T00:00:00Z"}
    life.seen = replace(life.seen, service=life.seen.service | {"metadata": metadata | {"annotations": annotations}})
    life.decide()
    new = life.newest(name)
    life.pods(life.group(new, 0, ready=False))
    assert phase(life.decide()) == "Updating", "not what it failed of before"


def test_m14_fewer_instances_are_fewer_groups() -> None:
    life = Life("two", instances=3)
    name = life.newest()
    life.pods(*(life.group(name, index) for index in range(3)))
    decision = life.decide(instances=1)
    assert life.workloads() == {name: 1}
    assert not decision.marks, "the last groups go first, whatever they have to do"


def test_an_upgraded_operator_holds_to_the_set_that_runs() -> None:
    life = Life("two")
    name = life.newest()
    life.pods(life.group(name, 0))
    life.decide()
    decision = decide_service(life.seen, Settings(drain_seconds=77), EARLIER)
    assert not [each for each in decision.apply if each.manifest["kind"] in WORKLOADS]
    assert not decision.remove
    assert "RenderedByEarlierVersion" in str(decision.status["conditions"])


def test_a_pool_that_makes_its_flavor_one_of_several_hosts_restarts_nothing() -> None:
    life = Life("one")
    life.pods(life.lone("p0"))
    life.decide()
    assert life.seen.pool
    flavors = [FLAVORS[0] | {"hosts": 2}, FLAVORS[1]]
    pool = life.seen.pool | {"spec": life.seen.pool["spec"] | {"flavors": flavors}}
    life.seen = replace(life.seen, pool=pool)
    life.decide()
    assert life.workloads() == {"assistant": 1}


def test_what_is_edited_by_hand_is_put_back() -> None:
    life = Life("two")
    name = life.newest()
    life.pods(life.group(name, 0))
    life.decide()
    live = life.seen.children["LeaderWorkerSet", name]
    template = live["spec"]["leaderWorkerTemplate"]
    edited = live | {"spec": live["spec"] | {"leaderWorkerTemplate": template | {"restartPolicy": "None"}}}
    life.seen = replace(life.seen, children=dict(life.seen.children) | {("LeaderWorkerSet", name): edited})
    assert [(each.why, each.manifest["metadata"]["name"]) for each in life.decide().apply] == [("drifted", name)]


@pytest.fixture
def cached() -> Life:
    """A service that answers from a cache that nodes share."""
    life = Life("one", like="cache-claim")
    life.fetched()
    life.decide()
    life.pods(life.lone("p0", fetch="Done"))
    assert phase(life.decide()) == "Running"
    return life


def test_m15_from_one_host_to_several_and_back_what_is_in_the_cache_is_not_fetched_again(cached: Life) -> None:
    jobs, old = cached.jobs(), cached.lone("p0", fetch="Done")
    cached.decide(flavor="two")
    new = cached.newest("assistant")
    assert (cached.workloads(), cached.jobs()) == ({"assistant": 1, new: 1}, jobs)
    cached.pods(old, cached.group(new, 0, fetch="Done"))
    cached.decide()
    assert (cached.workloads(), cached.jobs()) == ({new: 1}, jobs)
    cached.pods(group := cached.group(new, 0, fetch="Done"))
    cached.decide()
    cached.decide(flavor="one")
    assert (cached.workloads(), cached.jobs()) == ({"assistant": 1, new: 1}, jobs)
    cached.pods(group, cached.lone("p1", fetch="Done"))
    cached.decide()
    assert (cached.workloads(), cached.jobs()) == ({"assistant": 1}, jobs)


def test_m15_other_weights_are_fetched_before_the_first_group_is_made(cached: Life) -> None:
    (before,) = cached.jobs()
    credentials = {"name": "tiny", "credentials": {"secretName": "other"}}
    waiting = cached.decide(flavor="two", model=credentials)
    assert cached.workloads() == {"assistant": 1}
    assert ready_condition(waiting).startswith("1 of 1 ready; the Job that fetches")
    assert phase(waiting) == "Updating"
    cached.fetched()
    cached.decide()
    new = cached.newest("assistant")
    assert cached.workloads() == {"assistant": 1, new: 1}
    assert before not in cached.jobs()


def test_m15_fetched_in_the_midst_of_a_handover_both_stay_as_they_are(cached: Life) -> None:
    cached.decide(flavor="two", instances=2)
    new = cached.newest("assistant")
    cached.pods(cached.lone("p0", fetch="Done"), cached.group(new, 0, fetch="Done"))
    cached.decide()
    before = cached.workloads()
    cached.decide(model={"name": "tiny", "credentials": {"secretName": "other"}})
    assert cached.workloads() == before
    cached.decide(state="Stopped")
    assert set(cached.workloads().values()) == {0}
