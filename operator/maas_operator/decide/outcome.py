"""The status to report once a decision has been carried out, or could not be, or could not be made."""

from collections.abc import Iterable
from datetime import datetime

from maas_operator.api.conditions import ConditionType, Phase, Reason
from maas_operator.api.decision import Decision
from maas_operator.api.seen import Manifest, Outcome, WriteFailure
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


def with_lack(
    status: Manifest, before: Iterable[Manifest], lack: WriteFailure, generation: int, now: datetime
) -> Manifest:
    """A status, with a permission told in its conditions that the operator lacks to see what it has to. The phase
    stays: what runs goes on running. `before`: the conditions as they stood."""
    kept = [each for each in status.get("conditions", ()) if _known(each)]
    verdicts = conditions.after_failures(conditions.read(kept), (lack,))
    return status | {
        "observedGeneration": generation,
        "conditions": conditions.written(verdicts, before, generation, now),
    }


def _known(condition: Manifest) -> bool:
    """Whether it is one of ours; an operator of another version may have written it."""
    return condition["type"] in set(ConditionType) and condition["reason"] in set(Reason)
