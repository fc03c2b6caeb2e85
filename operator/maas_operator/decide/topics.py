"""A NotificationTopic's status."""

from datetime import datetime

from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Decision
from maas_operator.api.seen import TopicSeen
from maas_operator.decide import conditions


def decide_topic(seen: TopicSeen, now: datetime) -> Decision:
    """Accept the topic: its rules are those of the CRD."""
    before = tuple(seen.topic.get("status", {}).get("conditions", ()))
    generation = seen.topic["metadata"].get("generation", 0)
    verdicts = conditions.simple(conditions.Verdict(True, Reason.ACCEPTED, "the topic can be used"))
    status = {
        "observedGeneration": generation,
        "channels": ", ".join(channel["name"] for channel in seen.topic["spec"]["channels"]),
        "conditions": conditions.written(verdicts, before, generation, now),
    }
    return Decision(status=status, before=before)
