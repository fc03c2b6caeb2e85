"""The objects of the five kinds, and who names whom."""

import json
from dataclasses import dataclass

from maas_operator.api.kinds import API_KEY, MODEL, MODEL_SERVICE, NOTIFICATION_TOPIC, RESOURCE_POOL
from maas_operator.api.names import GROUP
from maas_operator.api.seen import Manifest
from maas_operator.watch import trim
from maas_operator.watch.accounts import Accounts
from maas_operator.watch.groups import Groups
from maas_operator.watch.keys import Key
from maas_operator.watch.products import Products

NAMED = frozenset({MODEL.kind, RESOURCE_POOL.kind, NOTIFICATION_TOPIC.kind})
"""Kinds that services name."""
Altered = set[Key]
"""Keys of objects whose decision a change may alter."""


@dataclass(slots=True)
class _Kept:
    """An object as it is kept. `manifest` is there for Models and pools alone, which each service's reconcile reads."""

    body: bytes
    status: bytes
    manifest: Manifest | None = None


class Objects:
    """Objects of the five kinds, by key."""

    def __init__(self) -> None:
        self._kept: dict[Key, _Kept] = {}
        self._expected: dict[Key, bytes] = {}
        self._references: dict[Key, tuple[Key, ...]] = {}
        self._users: Groups[Key, Key] = Groups()
        self._in_namespace: Groups[tuple[str, str], Key] = Groups()
        self._selectors: dict[Key, frozenset[tuple[str, str]]] = {}
        self._following: set[Key] = set()
        self.accounts = Accounts()
        self.products = Products()

    def put(self, key: Key, raw: Manifest) -> Altered:
        """Keep an object. A status that was announced by `expect_status` alters nothing."""
        before = self._kept.get(key)
        kept = _Kept(trim.pack(trim.custom(raw)), trim.pack(raw.get("status", {})))
        self._kept[key] = kept
        if before is not None and before.body == kept.body:
            kept.manifest = None
            ours = kept.status in {before.status, self._expected.get(key)}
            return set() if ours else {key}
        altered = {key, *self._dependents(key)}
        if key.kind == MODEL_SERVICE.kind:
            altered |= self._refer(key, raw["spec"])
            self._following.discard(key)
            if "scaling" in raw["spec"] or "afterIdle" in raw["spec"].get("autoStop", ()):
                self._following.add(key)
        elif key.kind == API_KEY.kind:
            altered |= self.accounts.put(key, raw)
        elif key.kind == MODEL.kind:
            altered |= self.products.put(key, raw)
        elif key.kind == RESOURCE_POOL.kind:
            self._selectors[key] = frozenset(raw["spec"].get("nodeSelector", {}).items())
        self._in_namespace.add((key.kind, key.namespace), key)
        return altered

    def drop(self, key: Key) -> Altered:
        """Forget an object."""
        if self._kept.pop(key, None) is None:
            return set()
        self._expected.pop(key, None)
        self._selectors.pop(key, None)
        self._following.discard(key)
        self._in_namespace.remove((key.kind, key.namespace), key)
        altered = {key, *self._dependents(key), *self.accounts.drop(key), *self.products.drop(key)}
        for named in self._references.pop(key, ()):
            self._users.remove(named, key)
            altered.add(named)
        return altered

    def expect_status(self, key: Key, status: Manifest) -> None:
        """Announce the status that is about to be written, so that seeing it is no news."""
        self._expected[key] = trim.pack(status)

    def get(self, key: Key) -> Manifest | None:
        """The object with its status. What Models and pools give is shared: it must not be changed."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.manifest is not None:
            return kept.manifest
        manifest: Manifest = json.loads(kept.body)
        if len(kept.status) > len(b"{}"):
            manifest["status"] = json.loads(kept.status)
        if key.kind in {MODEL.kind, RESOURCE_POOL.kind}:
            kept.manifest = manifest
        return manifest

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def of_kind(self, kind: str) -> list[Key]:
        """All keys of a kind. Walks over everything."""
        return [key for key in self._kept if key.kind == kind]

    def follows_measures(self, service: Key) -> bool:
        """Whether what a ModelService asks for follows from what it has to do."""
        return service in self._following

    def users(self, named: Key) -> tuple[Key, ...]:
        """The ModelServices that name a Model, a ResourcePool or a NotificationTopic."""
        return self._users.of(named)

    def named_by(self, service: Key) -> tuple[Key, ...]:
        """The Model, the ResourcePool and the NotificationTopic that a ModelService names."""
        return self._references.get(service, ())

    def in_namespace(self, kind: str, namespace: str) -> tuple[Key, ...]:
        """The objects of a kind in a namespace."""
        return self._in_namespace.of((kind, namespace))

    def pools_with(self, labels: frozenset[tuple[str, str]]) -> Altered:
        """The pools whose selector finds a node with these labels."""
        return {key for key, selector in self._selectors.items() if selector <= labels}

    def _refer(self, service: Key, spec: Manifest) -> Altered:
        """Note whom a service names now. Returns whom it names newly or no longer."""
        before = self._references.get(service, ())
        now = [Key(MODEL.kind, "", spec["model"]["name"]), Key(RESOURCE_POOL.kind, "", spec["resourcePool"])]
        if "notifications" in spec:
            now.append(Key(NOTIFICATION_TOPIC.kind, service.namespace, spec["notifications"]["topic"]))
        self._references[service] = tuple(now)
        for named in set(before) - set(now):
            self._users.remove(named, service)
        for named in now:
            self._users.add(named, service)
        return set(before) ^ set(now)

    def _dependents(self, key: Key) -> tuple[Key, ...]:
        """The services that name a Model, pool or topic, when it comes, goes or changes in more than its status."""
        return self._users.of(key) if key.kind in NAMED else ()


def ours(raw: Manifest) -> bool:
    """Whether the object is of one of the five kinds."""
    return bool(raw["apiVersion"].partition("/")[0] == GROUP)
