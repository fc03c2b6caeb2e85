"""Specs as values. A Model or pool that many services name is parsed once, not once for each of their reconciles."""

from typing import TypeVar

from pydantic import ValidationError

from maas_operator.api.fields import Part
from maas_operator.api.seen import Manifest
from maas_operator.decide.kept import Kept

SPECS_KEPT = 1024
"""Models and pools whose parsed spec is kept."""

Spec = TypeVar("Spec", bound=Part)

_kept: Kept[tuple[type[Part], str], tuple[Manifest, Part]] = Kept(SPECS_KEPT)


def parsed(kind: type[Spec], manifest: Manifest) -> Spec:
    """The spec of a Model or a pool. It is the one parsed before for as long as it is the very same JSON object,
    which it is in every snapshot until the object changes. Raises pydantic.ValidationError."""
    raw, uid = manifest["spec"], manifest["metadata"].get("uid", "")
    _, spec = _kept.get((kind, uid), lambda: (raw, kind.model_validate(raw)), lambda known: known[0] is raw)
    assert isinstance(spec, kind)  # noqa: S101 the key says so
    return spec


def first_error(error: ValidationError) -> str:
    """The first thing that is wrong with a spec: which field, and why."""
    detail = error.errors(include_url=False)[0]
    return f"spec.{'.'.join(str(step) for step in detail['loc'])}: {detail['msg']}"
