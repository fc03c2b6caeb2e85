"""Limits of keys in one line, as the CLI and the annotation of a Namespace have them: NAME=NUMBER,NAME=NUMBER."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from maas_operator.api.apikey import KeyLimits
from maas_operator.api.names import ANNOTATION_DEFAULT_KEY_LIMITS

LIMITS = {str(field.alias): name for name, field in KeyLimits.model_fields.items()}
"""requestsPerMinute and so on: how manifests call a limit, and how KeyLimits does."""


def limits_of(text: str) -> dict[str, int]:
    """From one line, by the names of manifests. Raises ValueError, which names the part and says what to write."""
    limits = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, number = part.partition("=")
        if name not in LIMITS or not number.isdecimal():
            raise ValueError(f"{part}: write NAME=NUMBER, with one of {', '.join(LIMITS)}")
        limits[name] = int(number)
    return limits


def written(limits: Mapping[str, int]) -> str:
    """One line of them."""
    return ",".join(f"{name}={number}" for name, number in limits.items())


def default_key_limits(namespace: Mapping[str, Any]) -> KeyLimits:
    """What an account's keys may use where they say nothing themselves. Raises ValueError."""
    text = namespace["metadata"].get("annotations", {}).get(ANNOTATION_DEFAULT_KEY_LIMITS, "")
    try:
        return KeyLimits.model_validate(limits_of(text))
    except ValidationError as error:
        (first, *_) = error.errors()
        raise ValueError(f"{ANNOTATION_DEFAULT_KEY_LIMITS}: {first['loc'][0]}: {first['msg']}") from error
    except ValueError as error:
        raise ValueError(f"{ANNOTATION_DEFAULT_KEY_LIMITS}: {error}") from error
