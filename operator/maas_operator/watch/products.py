"""Which Models carry which product: as little of them as deciding whose a product's id is needs."""

from maas_operator.api.seen import Manifest
from maas_operator.watch.groups import Groups
from maas_operator.watch.keys import Key

KEPT = ("name", "creationTimestamp")
"""Metadata by which Models are compared."""


class Products:
    """Models by their product's id."""

    def __init__(self) -> None:
        self._kept: dict[Key, tuple[str, Manifest]] = {}
        self._models: Groups[str, Key] = Groups()

    def put(self, key: Key, raw: Manifest) -> set[Key]:
        """Keep a Model. Returns the other Models whose decision it may alter."""
        id_ = raw["spec"].get("product", {}).get("id")
        metadata = {name: raw["metadata"][name] for name in KEPT if name in raw["metadata"]}
        if id_ is not None and self._kept.get(key) == (id_, {"metadata": metadata}):
            return set()
        altered = self.drop(key)
        if id_ is not None:
            self._kept[key] = (id_, {"metadata": metadata})
            altered |= set(self._models.of(id_))
            self._models.add(id_, key)
        return altered

    def drop(self, key: Key) -> set[Key]:
        """Forget a Model. Returns the other Models whose decision it may alter."""
        if key not in self._kept:
            return set()
        id_, _ = self._kept.pop(key)
        self._models.remove(id_, key)
        return set(self._models.of(id_))

    def of(self, model: Manifest) -> list[Manifest]:
        """The Models whose product has the id that this one's has, trimmed to name and time. Not to be changed."""
        id_ = model["spec"].get("product", {}).get("id")
        return [self._kept[key][1] for key in self._models.of(id_)] if id_ is not None else []
