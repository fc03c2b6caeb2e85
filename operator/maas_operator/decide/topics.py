"""A NotificationTopic's status: whether it can be used, and what became of its messages."""

from datetime import datetime

from maas_operator.api.conditions import ConditionType, Reason
from maas_operator.api.decision import Decision
from maas_operator.api.names import ANNOTATION_TEST
from maas_operator.api.notificationtopic import ERROR_LENGTH, REQUESTED_AT_LENGTH
from maas_operator.api.seen import ChannelTold, Manifest, TopicSeen
from maas_operator.api.times import written
from maas_operator.decide import conditions
from maas_operator.decide.conditions import Verdict, Verdicts


def decide_topic(seen: TopicSeen, now: datetime) -> Decision:
    """Accept the topic (its rules are those of the CRD), and add up what was told on its channels."""
    stands = seen.topic.get("status", {})
    before = tuple(stands.get("conditions", ()))
    generation = seen.topic["metadata"].get("generation", 0)
    names = [channel["name"] for channel in seen.topic["spec"]["channels"]]
    earlier = {each["name"]: each for each in stands.get("channelStatuses", ())}
    channels = [_channel(earlier.get(name, {"name": name}), seen.told.get(name)) for name in names]
    known = [each for each in channels if len(each) > 1]
    test = _tested(seen) or stands.get("test")
    status = {
        "observedGeneration": generation,
        "channels": ", ".join(names),
        **({"channelStatuses": known} if known else {}),
        **({"test": test} if test else {}),
        "conditions": conditions.written(_verdicts(known), before, generation, now),
    }
    return Decision(status=status, before=before)


def asked_test(topic: Manifest) -> str | None:
    """Which test is asked for and has no result yet."""
    asked = topic["metadata"].get("annotations", {}).get(ANNOTATION_TEST, "")[:REQUESTED_AT_LENGTH]
    done = topic.get("status", {}).get("test", {}).get("requestedAt")
    return asked if asked and asked != done else None


def _channel(earlier: Manifest, told: ChannelTold | None) -> Manifest:
    if told is None:
        return earlier
    sums = {
        "deliveries": earlier.get("deliveries", 0) + told.deliveries,
        "failures": earlier.get("failures", 0) + told.failures,
    }
    last = written(told.last_delivery) if told.last_delivery else earlier.get("lastDelivery")
    return {
        "name": earlier["name"],
        **sums,
        **({"lastDelivery": last} if last else {}),
        **({"lastError": told.error[:ERROR_LENGTH]} if told.error else {}),
    }


def _tested(seen: TopicSeen) -> Manifest | None:
    if seen.test is None:
        return None
    results = [
        {"name": name, "delivered": error is None, **({"error": error[:ERROR_LENGTH]} if error else {})}
        for name, error in seen.test.errors.items()
    ]
    return {"requestedAt": seen.test.requested_at, "results": results}


def _verdicts(channels: list[Manifest]) -> Verdicts:
    verdicts = conditions.simple(Verdict(True, Reason.ACCEPTED, "the topic can be used"))
    failing = [f"channel {each['name']}: {each['lastError']}" for each in channels if "lastError" in each]
    if not failing:
        return verdicts
    message = "; ".join(failing)
    return verdicts | {
        ConditionType.READY: Verdict(False, Reason.DELIVERY_FAILING, message),
        ConditionType.RECONCILING: Verdict(True, Reason.DELIVERY_FAILING, message),
    }
