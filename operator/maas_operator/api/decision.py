"""What is to be done: the value that decide/ gives and act/ carries out."""

from dataclasses import dataclass

from maas_operator.api.seen import Manifest, ScalingMemory


@dataclass(frozen=True, slots=True)
class Apply:
    """Write an object by server-side apply."""

    manifest: Manifest
    uid: str | None
    """The uid of the object that is there already and is ours; None where there is none: then a stranger's object that
    turns up meanwhile is refused, not taken over."""
    why: str
    """A word for the log: created, changed, drifted."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete an object, provided that it still has this uid."""

    kind: str
    namespace: str
    name: str
    uid: str | None
    """None: whatever has the name, which nobody else would choose."""
    grace_seconds: int | None = None
    """Of a pod: how long it may take to end; None: as long as its own manifest says."""
    dependents_first: bool = False
    """It is gone only after what it owns: its successor must not meet that. Else what it owns follows it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Tell Kubernetes what a pod's removal would cost, provided that the pod still has this uid."""

    namespace: str
    name: str
    uid: str
    deletion_cost: str
    """A number. Of several pods the one with the lowest goes first."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Make a key, and a Secret that holds it. The key is made where this is carried out: no decision ever holds one."""

    secret: Manifest
    """The Secret, but for its data."""
    leftover: Remove | None
    """The Secret of the attempt before, which has to be gone first."""
    delivered: Manifest
    """What to put into the status if the Secret could be made, beside the key's digest and the Secret's uid."""
    taken: Manifest
    """What to put into the status if one of its name was there already: a further attempt has to follow."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Remove the Secret that delivered a key."""

    secret: Remove
    withdrawn: Manifest
    """What to put into the status then."""


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event to tell, once for each (object, reason, message)."""

    type: str
    """Normal or Warning."""
    reason: str
    message: str
    at: str | None = None
    """Of what can happen again: when it did. It is then told once for each time."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Objects to hold, objects to remove, the status to show, what to tell, when to look again."""

    status: Manifest
    """The whole status as it should stand."""
    before: tuple[Manifest, ...] = ()
    """The conditions as they stood: a condition's time moves only when its status does."""
    marks: tuple[Mark, ...] = ()
    """Before all else: the number of instances may be lowered by what comes after."""
    apply: tuple[Apply, ...] = ()
    """In order: an object stands after those it needs."""
    remove: tuple[Remove, ...] = ()
    delivery: Deliver | Withdraw | None = None
    events: tuple[Event, ...] = ()
    written_first: bool = False
    """Nothing is done before the status stands: no object would tell afterwards why it was done."""
    look_again: float | None = None
    """Seconds until it is worth looking again although nothing was seen to change."""
    scaling_memory: ScalingMemory | None = None
    """What the next decision on a ModelService has to know of this one."""
