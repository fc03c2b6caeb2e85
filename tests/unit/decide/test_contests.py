"""Others write what is the operator's: it is taken back, told of, and not fought over."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from maas_operator.api.conditions import ConditionType, condition
from maas_operator.api.seen import Overruled, ServiceSeen
from maas_operator.decide import decide_service
from maas_operator.decide.contests import MOST_TIMES, TOLD_SECONDS, remembered
from tests.unit.decide.facts import NOW, settings_from
from tests.unit.decide.test_golden import facts_of, seen_from

FACTS = facts_of("phase-running")
HPA = Overruled("Deployment", "assistant", "hpa (.spec.replicas)")
GENERATION = 1


def contested(times: int, edit: dict[str, Any] | None = None) -> ServiceSeen:
    """A service that runs as it should, whose Deployment was taken back so often a minute before; and was edited."""
    seen = seen_from(FACTS)
    seen.service["metadata"]["generation"] = GENERATION
    while (decision := decide_service(seen, settings_from(FACTS), NOW)).apply:
        made = {(each.manifest["kind"], each.manifest["metadata"]["name"]): each.manifest for each in decision.apply}
        uids = {at: {"uid": f"uid-{at[0]}"} for at in made}
        there = {at: child | {"metadata": child["metadata"] | uids[at]} for at, child in made.items()}
        seen = replace(seen, children=dict(seen.children) | there)
    known: Any = {}
    for _ in range(times):
        known = remembered(known, [HPA], GENERATION, NOW - timedelta(minutes=1))
    children = dict(seen.children)
    workload = children["Deployment", "assistant"]
    children["Deployment", "assistant"] = workload | {"spec": workload["spec"] | (edit or {})}
    return replace(seen, children=children, contests=known)


def told(seen: ServiceSeen, later: float = 0.0) -> tuple[str, str, str]:
    status = decide_service(seen, settings_from(FACTS), NOW + timedelta(seconds=later)).status
    found = condition(status, ConditionType.RECONCILED)
    return found["status"], found["reason"], found["message"]


def test_a_child_that_was_taken_back_is_told_of_for_a_while_and_the_service_is_ready() -> None:
    seen = contested(1)
    status, reason, message = told(seen)
    assert (status, reason) == ("True", "Conflict")
    assert "Deployment assistant by hpa (.spec.replicas)" in message
    decision = decide_service(seen, settings_from(FACTS), NOW)
    assert condition(decision.status, ConditionType.READY)["status"] == "True"
    assert decision.look_again == TOLD_SECONDS - 60
    assert told(seen, TOLD_SECONDS - 60)[:2] == ("True", "AsDesired")


def test_an_edit_is_put_right_a_few_times_and_then_left_alone_and_the_service_is_stalled() -> None:
    for times in range(MOST_TIMES):
        decision = decide_service(contested(times, {"replicas": 7}), settings_from(FACTS), NOW)
        assert [each.why for each in decision.apply] == ["drifted"]
    seen = contested(MOST_TIMES, {"replicas": 7})
    decision = decide_service(seen, settings_from(FACTS), NOW)
    assert decision.apply == ()
    status, reason, message = told(seen)
    assert (status, reason) == ("False", "Conflict")
    assert message.startswith("Deployment team-a/assistant is written by hpa (.spec.replicas), too, over and over")
    assert condition(decision.status, ConditionType.STALLED)["message"] == message
    assert decision.status["phase"] == "Alarm"
    assert decision.look_again == TOLD_SECONDS - 60


def test_what_is_left_alone_is_put_right_later_or_with_a_change_of_the_service_or_to_stop_it() -> None:
    seen = contested(MOST_TIMES, {"replicas": 7})
    later = NOW + timedelta(seconds=TOLD_SECONDS)
    assert [each.why for each in decide_service(seen, settings_from(FACTS), later).apply] == ["drifted"]
    seen.service["metadata"]["generation"] = GENERATION + 1
    assert [each.why for each in decide_service(seen, settings_from(FACTS), NOW).apply] == ["drifted"]
    seen.service["metadata"]["generation"] = GENERATION
    seen.service["spec"]["state"] = "Stopped"
    (write,) = decide_service(seen, settings_from(FACTS), NOW).apply
    assert write.manifest["spec"]["replicas"] == 0


def test_what_others_left_as_it_should_be_is_no_conflict_any_more() -> None:
    assert told(contested(MOST_TIMES))[:2] == ("True", "Conflict")
