"""What has to be written down before it is done.

Most of what is done can be told from the objects afterwards: who decides next finds it done, or does it. A pod that
leaves does not say that it hung, a Deployment of none not that the service fell asleep, nor a new pod template that it
takes the place of another. An operator that ended after such an act, with nothing written, would leave its successor to
undo it, or nobody would be told of it. The other way round nothing is lost: what was only written is done next time.
"""

from dataclasses import replace

from maas_operator.api.conditions import ConditionType, Reason, condition
from maas_operator.api.seen import Manifest, ServiceSeen


def written_first(before: Manifest, status: Manifest) -> bool:
    """Whether a ModelService's status says what nothing else would, and its status before did not: that an instance
    hangs, that scaling wants another number (none, asleep), that auto-stop has stopped it, that a change is rolled."""
    suspension, stopped, number = status.get("suspension"), _stopped_at(status), _number(status)
    return (
        (suspension is not None and suspension != before.get("suspension"))
        or (stopped is not None and stopped != _stopped_at(before))
        or (number is not None and _number(before) not in {None, number})
        or (_rolls(status) and not _rolls(before))
    )


def with_status(seen: ServiceSeen, status: Manifest) -> ServiceSeen:
    """What was seen, with the status that stands now."""
    return replace(seen, service=seen.service | {"status": status})


def _stopped_at(status: Manifest) -> str | None:
    found: str | None = status.get("autoStop", {}).get("stoppedAt")
    return found


def _number(status: Manifest) -> int | None:
    found: int | None = status.get("scaling", {}).get("desired")
    return found


def _rolls(status: Manifest) -> bool:
    return bool(condition(status, ConditionType.UPDATED).get("reason") == Reason.ROLLING)
