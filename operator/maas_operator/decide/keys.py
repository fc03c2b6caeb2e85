"""Whether an ApiKey counts (M22): at most 30 an account, tags unique. The older key wins."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from maas_operator.api.apikey import MAX_KEYS_PER_ACCOUNT
from maas_operator.api.conditions import ConditionType, Reason
from maas_operator.api.decision import Decision
from maas_operator.api.keys import tag_taken, too_many_keys
from maas_operator.api.seen import ApiKeySeen, Manifest
from maas_operator.api.settings import Settings
from maas_operator.decide import conditions
from maas_operator.decide.conditions import Verdict, Verdicts
from maas_operator.decide.delivery import Course, course

FACTS = ("sha256", "delivery")
"""Of the status: what carrying out has brought, kept as it is."""


def decide_api_key(seen: ApiKeySeen, settings: Settings, now: datetime) -> Decision:
    """Accept the key, or say which other key stands in its way; and deliver it, where the operator makes it."""
    stands = seen.key.get("status", {})
    before = tuple(stands.get("conditions", ()))
    generation = seen.key["metadata"].get("generation", 0)
    accepted = _verdict(seen)
    verdicts = conditions.simple(accepted)
    way = _course(seen, accepted, settings, now)
    if way:
        verdicts |= _delivery(accepted, way.verdict)
    status = {
        "observedGeneration": generation,
        **({fact: stands[fact] for fact in FACTS if fact in stands} if way else {}),
        "conditions": conditions.written(verdicts, before, generation, now),
    }
    return Decision(
        status=status,
        before=before,
        delivery=way.delivery if way else None,
        look_again=way.look_again if way else None,
    )


def with_learned(seen: ApiKeySeen, learned: Mapping[str, Any]) -> ApiKeySeen:
    """What was seen, and what carrying out has told since."""
    return replace(seen, key=seen.key | {"status": seen.key.get("status", {}) | learned})


def _course(seen: ApiKeySeen, accepted: Verdict, settings: Settings, now: datetime) -> Course | None:
    """How the delivery goes on; None for a key that its user has made."""
    if "delivery" not in seen.key["spec"]:
        return None
    if "sha256" not in seen.key.get("status", {}):
        if not accepted.status:
            return Course(Verdict(False, Reason.NOT_ACCEPTED, "no key is made before the ApiKey is accepted"))
        if _leaving(seen.key):
            return Course(Verdict(False, Reason.DELIVERING, "no key is made: the ApiKey is being deleted"))
    return course(seen.key, settings, now)


def _delivery(accepted: Verdict, delivered: Verdict) -> Verdicts:
    """The conditions that a delivery adds: an accepted key is not ready before its user can have it."""
    if not accepted.status or delivered.status:
        return {ConditionType.DELIVERED: delivered}
    return {
        ConditionType.DELIVERED: delivered,
        ConditionType.READY: delivered,
        ConditionType.RECONCILING: Verdict(True, delivered.reason, delivered.message),
    }


def _verdict(seen: ApiKeySeen) -> Verdict:
    tag = seen.key["spec"]["tag"]
    older = [key for key in seen.account if _age(key) < _age(seen.key) and not _leaving(key)]
    twin = next((key for key in older if key["spec"]["tag"] == tag), None)
    account = seen.key["metadata"]["namespace"]
    if twin:
        name = twin["metadata"]["name"]
        return Verdict(
            False,
            Reason.TAG_TAKEN,
            tag_taken(tag, name, account),
        )
    if _accepted_before(older) >= MAX_KEYS_PER_ACCOUNT:
        return Verdict(
            False,
            Reason.TOO_MANY_KEYS,
            too_many_keys(account),
        )
    return Verdict(True, Reason.ACCEPTED, "the key counts")


def _age(key: Manifest) -> tuple[str, str]:
    """What sorts keys from old to new: the time of creation, then the name."""
    return key["metadata"].get("creationTimestamp", ""), key["metadata"]["name"]


def _leaving(key: Manifest) -> bool:
    """Whether the key is being deleted: it counts no longer, also while something holds it back."""
    return "deletionTimestamp" in key["metadata"]


def _accepted_before(older: list[Manifest]) -> int:
    """How many older keys count: one for each tag."""
    return len({key["spec"]["tag"] for key in older})
