"""The catalogue that the chart brings, against the Models that stand there: what is written, and what is left alone.

A Model of the catalogue carries a digest of the spec that it was given (an annotation). As long as its spec still has
that digest, nobody has changed it, and a newer catalogue may. One whose spec has another digest, or that carries none,
is somebody's own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from maas_operator.api.fields import digest
from maas_operator.api.names import ANNOTATION_CATALOGUE, LABEL_CATALOGUE
from maas_operator.api.seen import Manifest

IN_CATALOGUE = {LABEL_CATALOGUE: "true"}


class Verb(StrEnum):
    """What becomes of a Model."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one Model, and why."""

    verb: Verb
    name: str
    why: str
    manifest: Manifest | None = None
    """What is applied: of an update with the resourceVersion that was decided upon."""
    live: Manifest | None = None
    """What stood there; None where nothing did."""


def decide_stock(shipped: Mapping[str, Manifest], live: Mapping[str, Manifest]) -> Iterator[Step]:
    """shipped: the Models of this catalogue by name; live: all Models of the cluster by name. A Model that is as it
    should be gets no step."""
    for name, manifest in sorted(shipped.items()):
        step = _wanted(name, manifest, live.get(name))
        if step is not None:
            yield step
    for name, there in sorted(live.items()):
        if name not in shipped and _noted(there) is not None:
            yield _not_wanted(name, there)


def _wanted(name: str, manifest: Manifest, there: Manifest | None) -> Step | None:
    wanted = _marked(manifest)
    if there is None:
        return Step(Verb.CREATE, name, "not there", wanted)
    noted, now, new = _noted(there), digest(there["spec"]), digest(manifest["spec"])
    if noted is None:
        return Step(Verb.KEEP, name, "it is somebody's own: the catalogue did not make it", live=there)
    if now not in {noted, new}:
        return Step(Verb.KEEP, name, "somebody changed it since", live=there)
    if now == new == noted and _labelled(there):
        return None
    version = {"resourceVersion": there["metadata"]["resourceVersion"]}
    return Step(
        Verb.UPDATE, name, "the catalogue has changed", wanted | {"metadata": wanted["metadata"] | version}, there
    )


def _not_wanted(name: str, there: Manifest) -> Step:
    if digest(there["spec"]) != _noted(there):
        return Step(Verb.KEEP, name, "it is not in the catalogue any more, but somebody changed it since", live=there)
    if there.get("status", {}).get("services", 0):
        return Step(Verb.KEEP, name, "it is not in the catalogue any more, but services use it", live=there)
    return Step(Verb.DELETE, name, "it is not in the catalogue any more", live=there)


def _marked(manifest: Manifest) -> Manifest:
    metadata = manifest["metadata"]
    labels = metadata.get("labels", {}) | IN_CATALOGUE
    annotations = metadata.get("annotations", {}) | {ANNOTATION_CATALOGUE: digest(manifest["spec"])}
    return manifest | {"metadata": metadata | {"labels": labels, "annotations": annotations}}


def _noted(there: Manifest) -> str | None:
    """The digest of the spec that the catalogue gave it; None: the catalogue did not make it."""
    noted: str | None = there["metadata"].get("annotations", {}).get(ANNOTATION_CATALOGUE)
    return noted


def _labelled(there: Manifest) -> bool:
    labels = there["metadata"].get("labels", {})
    return all(labels.get(name) == value for name, value in IN_CATALOGUE.items())
