"""Manifests, trimmed to what a decision needs, and kept as compact JSON: a tenth of the memory of dictionaries."""

import json
from typing import Any

from maas_operator.api import names
from maas_operator.api.seen import Manifest

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NOT_KEPT = frozenset({"managedFields", "resourceVersion", "selfLink"})
"""Metadata that changes with every write, or says nothing that a decision needs."""
CHILD_METADATA = ("name", "namespace", "uid", "labels", "annotations", "ownerReferences", "deletionTimestamp")
STUB_METADATA = ("name", "namespace", "uid", "ownerReferences", "deletionTimestamp")
_TOLD = frozenset({names.REPLICA_FAILURE, names.JOB_COMPLETE, names.JOB_FAILED})
FOREIGN_ANNOTATIONS = frozenset({LAST_APPLIED, "deployment.kubernetes.io/revision"})


def custom(raw: Manifest) -> Manifest:
    """One of the five kinds, without its status."""
    metadata = {key: value for key, value in raw["metadata"].items() if key not in NOT_KEPT}
    if LAST_APPLIED in metadata.get("annotations", ()):
        metadata["annotations"] = {key: text for key, text in metadata["annotations"].items() if key != LAST_APPLIED}
    return {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": metadata, "spec": raw.get("spec", {})}


def child(raw: Manifest) -> Manifest:
    """A Deployment, Service, PodDisruptionBudget or ConfigMap; of someone else's, only whose it is."""
    if not managed(raw):
        return {"kind": raw["kind"], "metadata": _part(raw["metadata"], STUB_METADATA)}
    metadata = _part(raw["metadata"], CHILD_METADATA)
    if "annotations" in metadata:
        kept = {key: text for key, text in metadata["annotations"].items() if key not in FOREIGN_ANNOTATIONS}
        metadata["annotations"] = kept
    # Of the status only what no pod can tell, or not for long. Everything else may be compared with what is desired.
    kept = {key: value for key, value in raw.items() if key != "status"} | {"metadata": metadata}
    return kept | ({"status": {"conditions": told}} if (told := _told(raw)) else {})


def managed(raw: Manifest) -> bool:
    """Whether the object is one of this operator's, by its label, or by its owner where the label was taken off."""
    metadata = raw["metadata"]
    if metadata.get("labels", {}).get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER:
        return True
    return any(owner["apiVersion"] == names.API_VERSION for owner in metadata.get("ownerReferences", ()))


def _told(raw: Manifest) -> list[Manifest]:
    """The conditions that say why a Deployment's pods are not made (a quota, a policy of the namespace), and that a Job
    has ended."""
    conditions = raw.get("status", {}).get("conditions", ())
    found = [each for each in conditions if each["type"] in _TOLD and each["status"] == "True"]
    return [_part(each, ("type", "message")) for each in found]


def _part(whole: Manifest, keys: tuple[str, ...]) -> Manifest:
    return {key: whole[key] for key in keys if key in whole}


def pack(value: Any) -> bytes:
    """Compact JSON, equal for equal values."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
