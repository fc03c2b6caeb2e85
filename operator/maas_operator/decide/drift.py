"""Whether what stands in the cluster holds what is desired."""

from typing import Any

from maas_operator.api.quantities import parse

_QUANTITIES = frozenset({"limits", "requests", "sizeLimit"})
"""Fields in whose place the API server may write the same quantity in other words."""


def holds(live: Any, desired: Any, quantity: bool = False) -> bool:
    """Whether the live value has everything that is desired. More than that may stand there: it is someone else's.

    Lists of named items (containers, variables, volumes) are compared by name, all others item by item. A field that
    is desired empty may be missing, since the API server drops such fields.
    """
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(
            holds(live[key], value, quantity or key in _QUANTITIES) if key in live else not value and value != 0
            for key, value in desired.items()
        )
    if isinstance(desired, list):
        return isinstance(live, list) and _list_holds(live, desired, quantity)
    if quantity and live != desired:
        return isinstance(live, str) and isinstance(desired, str) and parse(live) == parse(desired)
    return bool(live == desired)


def _list_holds(live: list[Any], desired: list[Any], quantity: bool) -> bool:
    if desired and all(isinstance(item, dict) and "name" in item for item in desired):
        by_name = {item.get("name"): item for item in live if isinstance(item, dict)}
        return all(item["name"] in by_name and holds(by_name[item["name"]], item, quantity) for item in desired)
    return len(live) == len(desired) and all(
        holds(one, other, quantity) for one, other in zip(live, desired, strict=True)
    )
