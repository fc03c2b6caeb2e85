"""Who is told of what happens to a ModelService (M9)."""

from maas_operator.api.conditions import ConditionType, Reason
from maas_operator.api.events import SUBSCRIPTIONS
from maas_operator.api.notificationtopic import MAX_CHANNELS
from maas_operator.api.seen import ServiceSeen
from maas_operator.decide.conditions import Verdict, Verdicts


def notified(seen: ServiceSeen) -> Verdicts:
    """Whether what happens is told to those whom the spec names; nothing where it names nobody."""
    wanted = seen.service["spec"].get("notifications")
    if wanted is None:
        return {}
    account, name = seen.service["metadata"]["namespace"], wanted["topic"]
    if seen.settled is None:
        message = "this operator sends no notifications: notifications.enabled=true in its chart turns them on"
        return {ConditionType.NOTIFIED: Verdict(False, Reason.NOTIFICATIONS_OFF, message)}
    if seen.topic is None:
        message = (
            f"there is no NotificationTopic {name} in namespace {account}: make it, or name another in "
            f"spec.notifications.topic (kubectl get mtopic -n {account}); what happens meanwhile is told to nobody"
        )
        return {ConditionType.NOTIFIED: Verdict(False, Reason.TOPIC_NOT_FOUND, message)}
    return {ConditionType.NOTIFIED: Verdict(True, Reason.TOPIC_FOUND, f"told to topic {name}")}


def targets(seen: ServiceSeen, reason: str) -> list[str]:
    """Who is to be told of an event of this reason, as TOPIC/CHANNEL."""
    wanted = seen.service["spec"].get("notifications")
    if seen.settled is None or wanted is None or seen.topic is None:
        return []
    if not SUBSCRIPTIONS.get(reason, frozenset()) & set(wanted["events"]):
        return []
    return [f"{wanted['topic']}/{channel['name']}" for channel in seen.topic["spec"]["channels"]][:MAX_CHANNELS]
