"""The status after writes that failed."""

import pytest

from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Decision
from maas_operator.api.seen import Outcome, WriteFailure
from maas_operator.decide import decide_service, with_outcome
from tests.unit.decide.facts import NOW, settings_from
from tests.unit.decide.test_golden import facts_of, seen_from


def decision(name: str) -> Decision:
    facts = facts_of(name)
    return decide_service(seen_from(facts), settings_from(facts), NOW)


def failed(*reasons: Reason) -> Outcome:
    return Outcome(tuple(WriteFailure("Service x", reason, f"because of {reason}") for reason in reasons))


def told(status: dict[str, object]) -> dict[str, tuple[str, str, str]]:
    conditions = status["conditions"]
    assert isinstance(conditions, list)
    return {each["type"]: (each["status"], each["reason"], each["message"]) for each in conditions}


def test_without_failures_the_status_is_the_decisions() -> None:
    made = decision("phase-running")
    assert with_outcome(made, Outcome(), 1, NOW) is made.status


@pytest.mark.parametrize(
    ("name", "reason", "phase", "kind"),
    [
        ("phase-running", Reason.WRITE_FAILED, "Running", "Reconciling"),
        ("phase-running", Reason.WAITING_FOR_REMOVAL, "Running", "Reconciling"),
        ("phase-running", Reason.FORBIDDEN, "Alarm", "Stalled"),
        ("phase-running", Reason.REFUSED, "Alarm", "Stalled"),
        ("phase-running", Reason.NOT_OURS, "Alarm", "Stalled"),
        ("cpu-first", Reason.FORBIDDEN, "Failed", "Stalled"),
        ("phase-stopped", Reason.FORBIDDEN, "Stopped", "Stalled"),
    ],
)
def test_a_failure_is_told_and_what_lasts_is_a_failure_of_the_service(
    name: str, reason: Reason, phase: str, kind: str
) -> None:
    made = decision(name)
    before = dict(made.status)
    status = with_outcome(made, failed(reason), 1, NOW)
    assert status["phase"] == phase
    conditions = told(status)
    assert conditions["Reconciled"] == conditions["Ready"] == ("False", str(reason), f"because of {reason}")
    assert conditions[kind] == ("True", str(reason), f"because of {reason}")
    assert ({"Reconciling", "Stalled"} - {kind}).isdisjoint(conditions)
    assert made.status == before


def test_what_lasts_is_told_before_what_passes() -> None:
    status = with_outcome(decision("phase-running"), failed(Reason.WRITE_FAILED, Reason.FORBIDDEN), 1, NOW)
    assert status["phase"] == "Alarm"
    assert told(status)["Stalled"][1:] == ("Forbidden", "because of Forbidden; because of WriteFailed")


def test_a_condition_that_a_failure_flips_has_the_time_of_the_flip() -> None:
    made = decision("phase-running")
    status = with_outcome(made, failed(Reason.FORBIDDEN), 1, NOW)
    times = {each["type"]: each["lastTransitionTime"] for each in status["conditions"]}
    assert times["Accepted"] == "2026-01-02T02:04:05Z"
    assert times["Reconciled"] == "2026-01-02T03:04:05Z"
