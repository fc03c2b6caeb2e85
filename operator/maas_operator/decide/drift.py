"""Whether what stands in the cluster holds what is desired."""

from typing import Any

from maas_operator.api.quantities import same

_QUANTITIES = frozenset({"limits", "requests", "sizeLimit"})
"""Fields in whose place the API server may write the same quantity in other words."""
_KEYS = ("uid", "name")
"""Fields by which the items of a list are told apart: owner references have both, and may share a name."""
_DROPPED: tuple[Any, ...] = ("", [], {})
"""Values whose field the API server may leave out."""


def holds(live: Any, desired: Any, quantity: bool = False) -> bool:
    """Whether the live value has everything that is desired. More than that may stand there: it is someone else's.

    Lists of named items (containers, variables, owners) are compared by name, all others item by item. A field that
    is desired empty may be missing, since the API server drops such fields.
    """
    if live == desired:
        return True
    if isinstance(desired, dict):
        return isinstance(live, dict) and _object_holds(live, desired, quantity)
    if isinstance(desired, list):
        return isinstance(live, list) and _list_holds(live, desired, quantity)
    return quantity and isinstance(live, str) and isinstance(desired, str) and _same(live, desired)


def _object_holds(live: dict[str, Any], desired: dict[str, Any], quantity: bool) -> bool:
    for key, value in desired.items():
        if key not in live:
            if value not in _DROPPED:
                return False
        elif not holds(live[key], value, quantity or key in _QUANTITIES):
            return False
    return True


def _list_holds(live: list[Any], desired: list[Any], quantity: bool) -> bool:
    key = next((each for each in _KEYS if _keyed(desired, each)), None)
    if key is None:
        if len(live) != len(desired):
            return False
        return all(holds(one, other, quantity) for one, other in zip(live, desired, strict=True))
    found = {item[key]: item for item in live if isinstance(item, dict) and key in item}
    return all(item[key] in found and holds(found[item[key]], item, quantity) for item in desired)


def _keyed(items: list[Any], key: str) -> bool:
    return bool(items) and all(isinstance(item, dict) and key in item for item in items)


def _same(live: str, desired: str) -> bool:
    try:
        return same(live, desired)
    except ValueError:
        return False
