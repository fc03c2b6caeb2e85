"""Whether an ApiKey counts (M22): at most 30 an account, tags unique. The older key wins."""

from datetime import datetime

from maas_operator.api.apikey import MAX_KEYS_PER_ACCOUNT
from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Decision
from maas_operator.api.keys import tag_taken, too_many_keys
from maas_operator.api.seen import ApiKeySeen, Manifest
from maas_operator.decide import conditions
from maas_operator.decide.conditions import Verdict


def decide_api_key(seen: ApiKeySeen, now: datetime) -> Decision:
    """Accept the key, or say which other key stands in its way."""
    before = tuple(seen.key.get("status", {}).get("conditions", ()))
    generation = seen.key["metadata"].get("generation", 0)
    verdicts = conditions.simple(_verdict(seen))
    status = {
        "observedGeneration": generation,
        "conditions": conditions.written(verdicts, before, generation, now),
    }
    return Decision(status=status, before=before)


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
