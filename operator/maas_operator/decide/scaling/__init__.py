"""spec.scaling: how many instances a service has. Metrics as an HPA takes them, schedules, sleep and waking."""

from maas_operator.decide.scaling.scale import Scaled, scale

__all__ = ["Scaled", "scale"]
