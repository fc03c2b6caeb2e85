"""Which accounts a pool, or a quota of it, is for: label selectors, as the API server would carry them out."""

from collections.abc import Callable, Mapping
from typing import Any

from maas_operator.api.resourcepool import AccountSelector, LabelRequirement, SelectorOperator


def selects(selector: AccountSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector finds an object with these labels. No selector finds everything."""
    if selector is None:
        return True
    return selector.match_labels.items() <= labels.items() and all(
        _meets(requirement, labels) for requirement in selector.match_expressions
    )


_OPERATORS: Mapping[SelectorOperator, Callable[[Any, list[str]], bool]] = {
    SelectorOperator.IN: lambda value, values: value in values,
    SelectorOperator.NOT_IN: lambda value, values: value not in values,
    SelectorOperator.EXISTS: lambda value, _: value is not None,
    SelectorOperator.DOES_NOT_EXIST: lambda value, _: value is None,
}


def _meets(requirement: LabelRequirement, labels: Mapping[str, str]) -> bool:
    return _OPERATORS[requirement.operator](labels.get(requirement.key), requirement.values)
