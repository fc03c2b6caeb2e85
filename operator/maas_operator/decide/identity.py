"""Whose an object is, and what it is called."""

from maas_operator.api import names
from maas_operator.api.fields import digest
from maas_operator.api.seen import Manifest

MAX_LABEL = 63
"""Characters of a label's value."""


def selector(name: str) -> dict[str, str]:
    """Labels that find a service's pods."""
    return {names.LABEL_SERVICE: name}


def routed(name: str) -> dict[str, str]:
    """Labels that find those of a service's pods that take requests, where others work for them."""
    return selector(name) | {names.LABEL_APP: names.APP}


def labels(name: str) -> dict[str, str]:
    """Labels of all that belongs to a service."""
    return {
        names.LABEL_APP: names.APP,
        "app.kubernetes.io/instance": name,
        names.LABEL_MANAGED_BY: names.FIELD_MANAGER,
        names.LABEL_SERVICE: name,
    }


def label_value(name: str) -> str:
    """A name that may be too long for a label, shortened so that it stays one of its own."""
    return name if len(name) <= MAX_LABEL else f"{name[:46]}-{digest(name)}"


def owner(kind: str, name: str, uid: str) -> Manifest:
    """The owner reference of what belongs to an object of one of the five kinds."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def controller(live: Manifest) -> Manifest | None:
    """The owner reference of an object's controller."""
    return next((each for each in live["metadata"].get("ownerReferences", ()) if each.get("controller")), None)


def owned(live: Manifest, uid: str) -> bool:
    """Whether the object's controller is the service with this uid."""
    by = controller(live)
    return by is not None and bool(by["uid"] == uid)
