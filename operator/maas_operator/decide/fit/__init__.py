"""Will it fit? Whether a flavor can hold a version of a model, and how much its KV cache then holds. The same
arithmetic refuses a flavor (M3), answers `kubectl maas fit`, and gives engines on CPUs their KV cache."""

from maas_operator.decide.fit.answer import Fit, fit, planned_cache
from maas_operator.decide.fit.words import unfit

__all__ = ["Fit", "fit", "planned_cache", "unfit"]
