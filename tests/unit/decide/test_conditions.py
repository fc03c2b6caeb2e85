"""Conditions: their order, their times, their bounds."""

from maas_operator.api.conditions import ConditionType, Reason
from maas_operator.decide.conditions import Verdict, read, written
from tests.unit.decide.facts import NOW

YES, NO = Verdict(True, Reason.ACCEPTED, "yes"), Verdict(False, Reason.INVALID, "no")
OLD = {"type": "Ready", "status": "True", "reason": "x", "message": "x", "lastTransitionTime": "2020-01-01T00:00:00Z"}


def test_a_conditions_time_moves_only_when_its_status_does() -> None:
    (same,) = written({ConditionType.READY: YES}, [OLD], 2, NOW)
    assert same == {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 2,
        "lastTransitionTime": "2020-01-01T00:00:00Z",
        "reason": "Accepted",
        "message": "yes",
    }
    (flipped,) = written({ConditionType.READY: NO}, [OLD], 2, NOW)
    assert flipped["lastTransitionTime"] == "2026-01-02T03:04:05Z"


def test_half_written_conditions_do_no_harm() -> None:
    (made,) = written({ConditionType.READY: YES}, [{}, {"type": "Ready", "status": "True"}], 1, NOW)
    assert made["lastTransitionTime"] == "2026-01-02T03:04:05Z"


def test_they_stand_in_one_order_and_the_abnormal_ones_only_while_true() -> None:
    verdicts = {
        ConditionType.STALLED: NO,
        ConditionType.RECONCILING: YES,
        ConditionType.READY: NO,
        ConditionType.ACCEPTED: YES,
    }
    assert [each["type"] for each in written(verdicts, [], 1, NOW)] == ["Accepted", "Ready", "Reconciling"]


def test_a_message_is_cut_where_the_api_server_would_refuse_it() -> None:
    (made,) = written({ConditionType.READY: Verdict(False, Reason.INVALID, "x" * 5000)}, [], 1, NOW)
    assert len(made["message"]) == 4096


def test_what_was_written_is_read_back() -> None:
    verdicts = {ConditionType.READY: NO, ConditionType.STALLED: Verdict(True, Reason.INVALID, "no")}
    assert read(written(verdicts, [], 1, NOW)) == verdicts
