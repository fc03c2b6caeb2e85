"""What the queue and the store speak of: one object of one of the five kinds."""

from typing import NamedTuple

from maas_operator.api.seen import Manifest


class Key(NamedTuple):
    """An object that is decided upon. `namespace` is empty for the cluster's own."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> "Key":
        """The key of an object."""
        metadata = manifest["metadata"]
        return cls(manifest["kind"], metadata.get("namespace", ""), metadata["name"])
