"""Which state of each object was seen last: what every store of what was seen goes by."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import NamedTuple

from maas_operator.api.seen import Manifest
from maas_operator.watch.keys import Key
from maas_operator.watch.objects import Altered

REMEMBERED_DELETIONS = 4096
"""Deleted objects whose uid is kept, so that a late answer to a write of ours does not bring them back."""


class Version(NamedTuple):
    """Which state of which object."""

    uid: str
    resource_version: int


class Versions(ABC):
    """A store, told of objects in any order. What is kept of an object is its heirs' business."""

    def __init__(self) -> None:
        self._versions: dict[Key, Version] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()

    @abstractmethod
    def _keep(self, key: Key, raw: Manifest) -> Altered: ...

    @abstractmethod
    def _forget(self, key: Key) -> Altered: ...

    def put(self, raw: Manifest) -> Altered:
        """Keep an object as it was seen, or as the API server answered a write; the newer resourceVersion wins."""
        key, version = Key.of(raw), version_of(raw)
        known = self._versions.get(key)
        if version.uid in self._deleted or (known and version.resource_version <= known.resource_version):
            return set()
        altered = self.drop(key) if known and known.uid != version.uid else set()
        self._versions[key] = version
        return altered | self._keep(key, raw)

    def drop(self, key: Key, uid: str | None = None) -> Altered:
        """Forget an object; with a uid, only if it is the one."""
        known = self._versions.get(key)
        if gone := uid or (known and known.uid):
            self._deleted[gone] = None
            if len(self._deleted) > REMEMBERED_DELETIONS:
                self._deleted.popitem(last=False)
        if known is None or uid not in {None, known.uid}:
            return set()
        del self._versions[key]
        return self._forget(key)

    def known(self, kind: str, there: bool) -> Altered:
        """Note whether the cluster knows a kind that it need not know. Here that alters nothing."""
        return set()

    def version(self, key: Key) -> Version | None:
        """Which state of an object was seen last."""
        return self._versions.get(key)

    def versions(self, kind: str) -> dict[Key, Version]:
        """What is kept of a kind. Walks over everything."""
        return {key: version for key, version in self._versions.items() if key.kind == kind}

    def knows(self, key: Key, version: Version) -> bool:
        """Whether this state of the object, a newer one, or its end has been seen."""
        if version.uid in self._deleted:
            return True
        known = self._versions.get(key)
        return known is not None and known.resource_version >= version.resource_version


def version_of(raw: Manifest) -> Version:
    """Which state of which object a manifest shows."""
    metadata = raw["metadata"]
    return Version(metadata["uid"], int(metadata["resourceVersion"]))
