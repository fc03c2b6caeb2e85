"""Conditions as Kubernetes writes them. A condition's time moves only when its status really changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from maas_operator.api.conditions import ConditionType, Reason
from maas_operator.api.seen import Manifest, WriteFailure

MESSAGE_LENGTH = 4096
"""Characters that a condition's message may have in the CRDs."""


@dataclass(frozen=True)
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
    earlier = {condition["type"]: condition for condition in before}
    moment = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
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
                "lastTransitionTime": last["lastTransitionTime"] if last.get("status") == status else moment,
                "reason": str(verdict.reason),
                "message": verdict.message[:MESSAGE_LENGTH],
            }
        )
    return made


def read(conditions: Iterable[Manifest]) -> Verdicts:
    """Conditions of ours, back as verdicts."""
    return {
        ConditionType(each["type"]): Verdict(each["status"] == "True", Reason(each["reason"]), each["message"])
        for each in conditions
    }


WAITING = frozenset({Reason.WAITING_FOR_REMOVAL, Reason.WRITE_FAILED})
"""Failures that pass by themselves."""


def after_failures(verdicts: Verdicts, failures: Sequence[WriteFailure]) -> Verdicts:
    """The verdicts, given writes that could not be done."""
    if not failures:
        return verdicts
    first = failures[0]
    reason = Reason(first.reason)
    failed = Verdict(False, reason, "; ".join(failure.message for failure in failures))
    passing = reason in WAITING
    changed = verdicts | {
        ConditionType.RECONCILED: failed,
        ConditionType.READY: failed,
        ConditionType.RECONCILING: Verdict(passing, reason, failed.message),
        ConditionType.STALLED: Verdict(not passing, reason, failed.message),
    }
    return {kind: verdict for kind, verdict in changed.items() if verdict.status or kind not in ONLY_WHEN_TRUE}


def simple(accepted: Verdict) -> Verdicts:
    """The conditions of a kind that is accepted or not, and nothing else."""
    verdicts = {ConditionType.ACCEPTED: accepted, ConditionType.READY: accepted}
    if not accepted.status:
        verdicts[ConditionType.STALLED] = Verdict(True, accepted.reason, accepted.message)
    return verdicts
