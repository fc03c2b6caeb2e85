"""What the gateway has to see of the cluster, and what it keeps of it."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from maas_operator.api.conditions import ConditionType, Phase
from maas_operator.api.kinds import API_KEY, MODEL, MODEL_SERVICE
from maas_operator.api.names import ANNOTATION_DEFAULT_KEY_LIMITS, ANNOTATION_FROZEN, ANNOTATION_WAKE, GROUP, VERSION
from maas_operator.api.seen import Manifest
from maas_operator.gateway.gather import SERVICE_OF_SLICE
from maas_operator.watch.keys import Key
from maas_operator.watch.objects import Altered
from maas_operator.watch.versions import Versions
from maas_operator.watch.watched import View, Watched

SLICE = "EndpointSlice"
NAMESPACE = "Namespace"
FACTS = "facts"
_WATCHED = (
    *(Watched(GROUP, VERSION, kind.plural, kind.kind) for kind in (MODEL_SERVICE, API_KEY, MODEL)),
    Watched("discovery.k8s.io", "v1", "endpointslices", SLICE),
    Watched("", "v1", "namespaces", NAMESPACE),
)
GATEWAYS = View(_WATCHED, (), {FACTS: frozenset(each.kind for each in _WATCHED)})
"""Nothing is told to Envoy before all of it has been seen: what was not seen yet would be refused."""


class Changes:
    """Whether anything changed, and whether all has been seen."""

    def __init__(self) -> None:
        self.complete = asyncio.Event()
        self.changed = asyncio.Event()

    def add_all(self, _: Iterable[Key], /) -> None:
        """Something changed."""
        self.changed.set()

    def open(self, _: str, /) -> None:
        """All has been seen."""
        self.complete.set()


class Seen(Versions):
    """The objects that the facts follow from, trimmed: most of what changes in them means nothing to the gateway."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, dict[Key, Manifest]] = {kind: {} for kind in _TRIM}

    def of(self, kind: str) -> Collection[Manifest]:
        """All objects of a kind. A manifest is never changed, only replaced."""
        return self._kept[kind].values()

    def _keep(self, key: Key, raw: Manifest) -> Altered:
        trimmed = _TRIM[key.kind](raw)
        if self._kept[key.kind].get(key) == trimmed:
            return set()
        self._kept[key.kind][key] = trimmed
        return {key}

    def _forget(self, key: Key) -> Altered:
        return {key} if self._kept[key.kind].pop(key, None) is not None else set()


def _service(raw: Manifest) -> Manifest:
    status = raw.get("status", {})
    auto_stop = _part(status.get("autoStop") or {}, ("stoppedAt",))
    instances = _part(status.get("instances") or {}, ("desired",))
    fails = status.get("conditions", ()) if status.get("phase") == Phase.FAILED else ()
    why = [_part(each, ("type", "reason")) for each in fails if each.get("type") == ConditionType.READY]
    trimmed = _object(raw, "uid", "creationTimestamp", "deletionTimestamp")
    trimmed["metadata"]["annotations"] = _part(raw["metadata"].get("annotations", {}), (ANNOTATION_WAKE,))
    parts = {"autoStop": auto_stop, "instances": instances, "conditions": why}
    return trimmed | {
        "spec": raw["spec"],
        "status": _part(status, ("model", "phase")) | {name: part for name, part in parts.items() if part},
    }


def _key(raw: Manifest) -> Manifest:
    status = raw.get("status", {})
    conditions = status.get("conditions", ())
    accepted = [_part(each, ("type", "status")) for each in conditions if each["type"] == ConditionType.ACCEPTED]
    trimmed = _object(raw, "uid", "creationTimestamp", "deletionTimestamp")
    return trimmed | {"spec": raw["spec"], "status": {"conditions": accepted, **_part(status, ("sha256",))}}


def _model(raw: Manifest) -> Manifest:
    versions = [_part(each, ("name", "unsupportedParameters")) for each in raw["spec"]["versions"]]
    refusing = [each for each in versions if "unsupportedParameters" in each]
    spec = _part(raw["spec"], ("product",)) | ({"versions": refusing} if refusing else {})
    return _object(raw, "creationTimestamp") | {"spec": spec}


def _slice(raw: Manifest) -> Manifest:
    trimmed = _object(raw)
    trimmed["metadata"]["labels"] = _part(raw["metadata"].get("labels", {}), (SERVICE_OF_SLICE,))
    return trimmed | {
        "addressType": raw.get("addressType", ""),
        "ports": [_part(each, ("name", "port")) for each in raw.get("ports") or ()],
        "endpoints": [_part(each, ("addresses", "conditions")) for each in raw.get("endpoints") or ()],
    }


def _namespace(raw: Manifest) -> Manifest:
    trimmed = _object(raw)
    kept = (ANNOTATION_FROZEN, ANNOTATION_DEFAULT_KEY_LIMITS)
    trimmed["metadata"]["annotations"] = _part(raw["metadata"].get("annotations", {}), kept)
    return trimmed


_TRIM: Mapping[str, Callable[[Manifest], Manifest]] = {
    MODEL_SERVICE.kind: _service,
    API_KEY.kind: _key,
    MODEL.kind: _model,
    SLICE: _slice,
    NAMESPACE: _namespace,
}


def _object(raw: Manifest, *metadata: str) -> Manifest:
    return {"kind": raw["kind"], "metadata": _part(raw["metadata"], ("namespace", "name", *metadata))}


def _part(whole: Mapping[str, Any], fields: Iterable[str]) -> Manifest:
    return {field: whole[field] for field in fields if field in whole}
