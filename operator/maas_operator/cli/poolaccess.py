"""Which accounts a pool takes: by the labels of their namespaces. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, product

from maas_operator.api.names import LABEL_ACCOUNT
from maas_operator.api.resourcepool import AccountSelector, SelectorOperator
from maas_operator.api.selecting import selects
from maas_operator.cli.errors import CliError
from maas_operator.cli.needed import Manifest

OWN_NAME = "kubernetes.io/metadata.name"
"""Label that the API server gives every namespace: its name. Nobody can give it another."""
_ANY = "true"
"""Value of a label that only has to be there."""
_MOST_CHOICES = 1000
"""Choices of labels' values that are tried: only pools that ask for many labels of many values each have more."""


def taking(pools: Iterable[Manifest], labels: Mapping[str, str]) -> list[str]:
    """Names of the pools that take an account with these labels."""
    return sorted(each["metadata"]["name"] for each in pools if selects(_selector(each), labels))


def labels_for(pools: Sequence[Manifest], names: Sequence[str], account: str) -> dict[str, str]:
    """The labels with which the named pools take an account, and no pool that nobody named. Raises CliError where none
    would do."""
    known = {each["metadata"]["name"]: each for each in pools}
    for name in names:
        if name not in known:
            there = f"there are {', '.join(sorted(known))}" if known else "there are none"
            raise CliError(f"--pool {name}: there is no such ResourcePool; {there}")
    named = {name: _selector(known[name]) for name in names}
    given = {OWN_NAME: account, LABEL_ACCOUNT: "true"}
    choices = [given | choice for choice in _choices(list(filter(None, named.values())), given)]
    fitting = [labels for labels in choices if all(selects(selector, labels) for selector in named.values())]
    if not fitting:
        (labels, *_) = choices
        refusing = next(name for name, selector in named.items() if not selects(selector, labels))
        raise CliError(
            f"--pool {refusing}: it would not take account {account}, with the labels {_shown(labels)}. Its "
            f"spec.accounts is {_written(known[refusing])}: change that (kubectl edit resourcepool {refusing}), or "
            "leave the pool out"
        )
    meant = {*names, *taking(pools, given)}  # a pool that takes it as it is opens by no label
    opened = [sorted(set(taking(pools, labels)) - meant) for labels in fitting]
    labels, further = min(zip(fitting, opened, strict=True), key=lambda each: len(each[1]))
    own = {key: value for key, value in labels.items() if key not in given}
    if further:
        raise CliError(
            f"{_options(names)}: the labels for that, {_shown(own)}, would open {', '.join(further)} to account "
            f"{account} too. If it is meant, say {_options(further)} as well; if not, change by which labels these "
            "pools take accounts (spec.accounts: kubectl edit resourcepool)"
        )
    return own


def _choices(selectors: Sequence[AccountSelector], given: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Values for the labels that the selectors ask for beside those given: at least one choice, at most _MOST_CHOICES.
    Where two selectors contradict each other, the first one's."""
    values: dict[str, Sequence[str]] = {}
    for key, allowed in (each for selector in selectors for each in _asked(selector)):
        known = values.get(key, allowed)
        values[key] = [value for value in known if value in allowed] or known
    for each in (each for selector in selectors for each in selector.match_expressions):
        if each.operator == SelectorOperator.EXISTS:
            values.setdefault(each.key, [_ANY])
    asked = {key: allowed for key, allowed in values.items() if key not in given}
    for chosen in islice(product(*asked.values()), _MOST_CHOICES):
        yield dict(zip(asked, chosen, strict=True))


def _asked(selector: AccountSelector) -> Iterator[tuple[str, Sequence[str]]]:
    """Labels, with the values of which they must have one."""
    for key, value in selector.match_labels.items():
        yield key, [value]
    for each in selector.match_expressions:
        if each.operator == SelectorOperator.IN:
            yield each.key, each.values


def _selector(pool: Manifest) -> AccountSelector | None:
    """None: it takes every account."""
    accounts = pool["spec"].get("accounts")
    return None if accounts is None else AccountSelector.model_validate(accounts)


def _options(names: Iterable[str]) -> str:
    return " ".join(f"--pool {each}" for each in names)


def _shown(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _written(pool: Manifest) -> str:
    return json.dumps(pool["spec"]["accounts"])
