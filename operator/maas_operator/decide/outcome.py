"""The status to report once a decision has been carried out, or could not be."""

from datetime import datetime

from maas_operator.api.conditions import ConditionType, Phase
from maas_operator.api.decision import Decision
from maas_operator.api.seen import Manifest, Outcome
from maas_operator.decide import conditions


def with_outcome(decision: Decision, outcome: Outcome, generation: int, now: datetime) -> Manifest:
    """The decision's status, with the failures of its writes told in it."""
    if not outcome.failures:
        return decision.status
    verdicts = conditions.after_failures(conditions.read(decision.status["conditions"]), outcome.failures)
    status = decision.status | {"conditions": conditions.written(verdicts, decision.before, generation, now)}
    if "phase" in status and ConditionType.STALLED in verdicts and status["phase"] != Phase.STOPPED:
        status["phase"] = str(Phase.ALARM if status["instances"]["ready"] else Phase.FAILED)
    return status
