"""Every condition type and every reason, in one table."""

from enum import StrEnum


class ConditionType(StrEnum):
    """Types of conditions. Reconciling and Stalled are there only while they are True (kstatus)."""

    ACCEPTED = "Accepted"
    """The spec can be carried out: all that it names exists and may be used."""
    RECONCILED = "Reconciled"
    """The objects that the spec asks for are in the cluster as they should be."""
    SCHEDULED = "Scheduled"
    """Every instance has a node."""
    AVAILABLE = "Available"
    """At least one instance answers."""
    DELIVERED = "Delivered"
    """The key that the operator made is in a Secret, or was until the Secret was removed."""
    UPDATED = "Updated"
    """Every instance runs what the spec (and this operator) would start now."""
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
    QPS_TOO_HIGH = "QPSTooHigh"
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
    # Scheduled, Available, Updated, Ready
    ALL_SCHEDULED = "AllScheduled"
    NO_ROOM = "NoRoom"
    PLACING = "Placing"
    INSTANCES_REFUSED = "InstancesRefused"
    INSTANCES_READY = "InstancesReady"
    LOADING = "Loading"
    INSTANCE_FAILING = "InstanceFailing"
    STOPPED = "Stopped"
    SCALED_TO_ZERO = "ScaledToZero"
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
