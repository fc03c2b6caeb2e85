"""How a key that the operator makes gets to its user (M22): once, in a Secret that goes after a short time.

The operator cannot read Secrets, so it never asks what stands there: making the Secret succeeds for one attempt alone,
and an attempt counts once the key's digest is in the ApiKey's status. One that was given up between the two is followed
by another, under another name. docs/decisions/0007-a-key-is-delivered-by-a-secret.md has the reasons.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from maas_operator.api import names
from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Deliver, Remove, Withdraw
from maas_operator.api.fields import digest
from maas_operator.api.kinds import API_KEY
from maas_operator.api.seen import Manifest
from maas_operator.api.settings import Settings
from maas_operator.api.times import written
from maas_operator.decide.conditions import Verdict
from maas_operator.decide.identity import label_value, owner

FURTHER_ATTEMPT_SECONDS = 1.0
"""Until an attempt that met another one's Secret is followed by the next."""
PREFIX_LENGTH = 200
"""Characters of the ApiKey's name that its Secret's name begins with; there may be 253 in all."""


@dataclass(frozen=True, slots=True)
class Course:
    """How far a delivery has come, and what is to be done now."""

    verdict: Verdict
    delivery: Deliver | Withdraw | None = None
    look_again: float | None = None


def course(key: Manifest, settings: Settings, now: datetime) -> Course:
    """What is to be done for an accepted key that the operator makes."""
    status = key.get("status", {})
    delivery = status.get("delivery", {})
    if "sha256" not in status:
        return _to_be_delivered(key, delivery.get("attempt", 0), settings, now)
    if "secretName" in delivery:
        return _standing(key, delivery, now)
    message = (
        f"the Secret that delivered the key was removed at {delivery.get('removedAt')}; the key goes on counting. To "
        "have another one, delete the ApiKey and make it anew"
    )
    return Course(Verdict(True, Reason.WITHDRAWN, message))


def _to_be_delivered(key: Manifest, attempt: int, settings: Settings, now: datetime) -> Course:
    metadata = key["metadata"]
    remove_at = written(now + timedelta(seconds=settings.key_delivery_seconds))
    secret = _secret(metadata, attempt, remove_at)
    name = secret["metadata"]["name"]
    before = _secret_name(metadata, attempt - 1)
    given_up = {"attempt": attempt} if attempt else {}
    deliver = Deliver(
        secret=secret,
        leftover=Remove("Secret", metadata["namespace"], before, None) if attempt else None,
        delivered={"delivery": given_up | {"secretName": name, "removeAt": remove_at}},
        taken={"delivery": {"attempt": attempt + 1}},
    )
    return Course(Verdict(False, Reason.DELIVERING, "the key is being made"), deliver, FURTHER_ATTEMPT_SECONDS)


def _standing(key: Manifest, delivery: Manifest, now: datetime) -> Course:
    namespace, name = key["metadata"]["namespace"], delivery["secretName"]
    message = (
        f"the key is in a Secret until {delivery['removeAt']}: kubectl get secret {name} -n {namespace} "
        f"-o jsonpath='{{.data.{names.KEY_DATA}}}' | base64 -d"
    )
    verdict = Verdict(True, Reason.DELIVERED, message)
    wait = (datetime.fromisoformat(delivery["removeAt"]) - now).total_seconds()
    if wait > 0:
        return Course(verdict, look_again=wait)
    kept = {field: delivery[field] for field in ("attempt",) if field in delivery}
    withdraw = Withdraw(
        secret=Remove("Secret", namespace, name, delivery["secretUID"]),
        withdrawn={"delivery": kept | {"removedAt": written(now)}},
    )
    return Course(verdict, withdraw)


def _secret_name(metadata: Manifest, attempt: int) -> str:
    """Of this ApiKey, and of no other of its name; another one for each attempt."""
    return f"{metadata['name'][:PREFIX_LENGTH].rstrip('-.')}-{digest([metadata['uid'], attempt])}"


def _secret(metadata: Manifest, attempt: int, remove_at: str) -> Manifest:
    """The Secret, but for the key. Immutable: nobody can put another key in its place."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": _secret_name(metadata, attempt),
            "namespace": metadata["namespace"],
            "labels": {
                names.LABEL_MANAGED_BY: names.FIELD_MANAGER,
                names.LABEL_API_KEY: label_value(metadata["name"]),
            },
            "annotations": {names.ANNOTATION_REMOVE_AT: remove_at},
            "ownerReferences": [owner(API_KEY.kind, metadata["name"], metadata["uid"])],
        },
        "type": names.KEY_SECRET_TYPE,
        "immutable": True,
    }
