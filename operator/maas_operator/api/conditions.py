"""Every condition type and every reason, in one table."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class ConditionType(StrEnum):
    """Types of conditions. Reconciling and Stalled are there only while they are True (kstatus)."""

    ACCEPTED = "Accepted"
    """The spec can be carried out: all that it names exists and may be used."""
    RECONCILED = "Reconciled"
    """The objects that the spec asks for are in the cluster as they should be."""
    SCHEDULED = "Scheduled"
    """Every instance has a node."""
    WEIGHTS_READY = "WeightsReady"
    """What the operator has fetched for the service is there, whole and verified."""
    AVAILABLE = "Available"
    """At least one instance answers."""
    DELIVERED = "Delivered"
    """The key that the operator made is in a Secret, or was until the Secret was removed."""
    UPDATED = "Updated"
    """Every instance runs what the spec (and this operator) would start now."""
    NOTIFIED = "Notified"
    """What happens is told to those whom spec.notifications names."""
    READY = "Ready"
    """All is as the spec says."""
    RECONCILING = "Reconciling"
    """Work is under way; nobody needs to do anything."""
    STALLED = "Stalled"
    """It will not get better by itself; the message says what to do."""


class Reason(StrEnum):
    """Reasons, grouped by the condition that first uses them."""

    # Accepted
    ACCEPTED = "Accepted"
    INVALID = "Invalid"
    MODEL_NOT_FOUND = "ModelNotFound"
    VERSION_NOT_FOUND = "VersionNotFound"
    POOL_NOT_FOUND = "ResourcePoolNotFound"
    POOL_NOT_ALLOWED = "ResourcePoolNotAllowed"
    FLAVOR_NOT_FOUND = "FlavorNotFound"
    ACCELERATOR_UNKNOWN = "AcceleratorUnknown"
    FLAVOR_IMPOSSIBLE = "FlavorImpossible"
    FLAVOR_UNFIT = "FlavorUnfit"
    LEADER_WORKER_SET_MISSING = "LeaderWorkerSetMissing"
    QPS_TOO_HIGH = "QPSTooHigh"
    PRIORITY_CLASS_NOT_FOUND = "PriorityClassNotFound"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    CREDENTIALS_MISSING = "CredentialsMissing"
    TAG_TAKEN = "TagTaken"
    TOO_MANY_KEYS = "TooManyKeys"
    PRODUCT_ID_TAKEN = "ProductIdTaken"
    # Reconciled
    AS_DESIRED = "AsDesired"
    NOT_OURS = "OwnedBySomeoneElse"
    FORBIDDEN = "Forbidden"
    REFUSED = "RefusedByAPIServer"
    WRITE_FAILED = "WriteFailed"
    WAITING_FOR_REMOVAL = "WaitingForRemoval"
    CONFLICT = "Conflict"
    # WeightsReady
    FETCHED = "Fetched"
    FETCHING = "Fetching"
    FETCH_FAILING = "FetchFailing"
    # Scheduled, Available, Updated, Ready
    ALL_SCHEDULED = "AllScheduled"
    NO_ROOM = "NoRoom"
    IN_LINE = "InLine"
    QUOTA_REACHED = "QuotaReached"
    PLACING = "Placing"
    INSTANCES_REFUSED = "InstancesRefused"
    INSTANCES_READY = "InstancesReady"
    LOADING = "Loading"
    INSTANCE_FAILING = "InstanceFailing"
    NODE_NOT_READY = "NodeNotReady"
    SUSPECTED_SUSPENSION = "SuspectedSuspension"
    STOPPED = "Stopped"
    SCALED_TO_ZERO = "ScaledToZero"
    ASLEEP = "Asleep"
    AUTO_STOPPED = "AutoStopped"
    UP_TO_DATE = "UpToDate"
    ROLLING = "Rolling"
    RENDERED_BY_EARLIER_VERSION = "RenderedByEarlierVersion"
    REMOVING = "RemovingInstances"
    NOT_ACCEPTED = "NotAccepted"
    # Delivered
    DELIVERING = "Delivering"
    DELIVERED = "Delivered"
    WITHDRAWN = "SecretRemoved"
    # Notified, and of topics
    TOPIC_FOUND = "TopicFound"
    TOPIC_NOT_FOUND = "TopicNotFound"
    NOTIFICATIONS_OFF = "NotificationsOff"
    DELIVERY_FAILING = "DeliveryFailing"
    # pools
    NODES_FOUND = "NodesFound"
    NO_NODES = "NoNodes"


class Phase(StrEnum):
    """M12's states, as printed. Derived from conditions; nothing is triggered by them."""

    QUEUING = "Queuing"
    STARTING = "Starting"
    DEPLOYING = "Deploying"
    RUNNING = "Running"
    ALARM = "Alarm"
    FAILED = "Failed"
    STOPPED = "Stopped"
    UPDATING = "Updating"
    UPGRADING = "Upgrading"


QPS_TOO_HIGH_CODE = "ModelArts.4206"
"""M8's error code for a QPS above what is allowed."""


def condition(status: Mapping[str, Any], kind: ConditionType) -> dict[str, Any]:
    """The condition of this type in an object's status; empty where there is none."""
    return next((each for each in status.get("conditions", ()) if each.get("type") == kind), {})
