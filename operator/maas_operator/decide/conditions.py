"""Conditions as Kubernetes writes them. A condition's time moves only when its status really changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from maas_operator.api import times
from maas_operator.api.conditions import ConditionType, Reason
from maas_operator.api.seen import Manifest, WriteFailure

MESSAGE_LENGTH = 4096
"""Characters that a condition's message may have in the CRDs."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition's content."""

    status: bool
    reason: Reason
    message: str


Verdicts = dict[ConditionType, Verdict]

ONLY_WHEN_TRUE = frozenset({ConditionType.RECONCILING, ConditionType.STALLED})
"""Conditions that are left out while they are not True (kstatus calls them abnormal-true)."""


def written(verdicts: Verdicts, before: Iterable[Manifest], generation: int, now: datetime) -> list[Manifest]:
    """The verdicts as conditions, in the order of ConditionType."""
    earlier = {condition.get("type"): condition for condition in before}
    made = []
    for kind in ConditionType:
        verdict = verdicts.get(kind)
        if verdict is None or (kind in ONLY_WHEN_TRUE and not verdict.status):
            continue
        status = "True" if verdict.status else "False"
        last = earlier.get(kind, {})
        made.append(
            {
                "type": str(kind),
                "status": status,
                "observedGeneration": generation,
                "lastTransitionTime": _since(last, status) or times.written(now),
                "reason": str(verdict.reason),
                "message": verdict.message[:MESSAGE_LENGTH],
            }
        )
    return made


def _since(last: Manifest, status: str) -> str | None:
    """Since when a condition has this status, if it had it already."""
    return last.get("lastTransitionTime") if last.get("status") == status else None


def read(conditions: Iterable[Manifest]) -> Verdicts:
    """Conditions of ours, back as verdicts."""
    return {
        ConditionType(each["type"]): Verdict(each["status"] == "True", Reason(each["reason"]), each["message"])
        for each in conditions
    }


PASSING = frozenset({Reason.WAITING_FOR_REMOVAL, Reason.WRITE_FAILED})
"""Failures that pass by themselves."""


def after_failures(verdicts: Verdicts, failures: Sequence[WriteFailure]) -> Verdicts:
    """The verdicts, given writes that could not be done. One that lasts counts more than those that pass."""
    if not failures:
        return verdicts
    ordered = sorted(failures, key=lambda failure: failure.reason in PASSING)
    reason = Reason(ordered[0].reason)
    message = "; ".join(failure.message for failure in ordered)
    failed = Verdict(False, reason, message)
    lasting = reason not in PASSING
    kept = {kind: verdict for kind, verdict in verdicts.items() if kind not in ONLY_WHEN_TRUE}
    return kept | {
        ConditionType.RECONCILED: failed,
        ConditionType.READY: failed,
        ConditionType.STALLED if lasting else ConditionType.RECONCILING: Verdict(True, reason, message),
    }


def simple(accepted: Verdict) -> Verdicts:
    """The conditions of a kind that is accepted or not, and nothing else."""
    verdicts = {ConditionType.ACCEPTED: accepted, ConditionType.READY: accepted}
    if not accepted.status:
        verdicts[ConditionType.STALLED] = Verdict(True, accepted.reason, accepted.message)
    return verdicts
