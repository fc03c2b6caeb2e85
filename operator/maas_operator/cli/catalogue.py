"""Which models of the catalogue are asked for, and what is said of one (M5). Pure."""

import difflib
import operator
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maas_operator.api.names import LABEL_CATALOGUE
from maas_operator.cli import tables
from maas_operator.cli.errors import CliError

Manifest = dict[str, Any]

COLUMNS = ("name", "series", "type", "versions", "context", "services")
WIDE = (*COLUMNS, "parameters", "weights", "jobs", "languages", "license", "gated")
K = 1024
WIDTH = 100
"""Characters of a line of an introduction."""

_CONTEXT = re.compile(r"^(<=|>=|<|>|=)? *([0-9]{1,9})([Kk]?)$")
_COMPARED: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What is looked for; None: anything. Upper and lower case are the same."""

    series: str | None = None
    type: str | None = None
    job: str | None = None
    context: str | None = None
    language: str | None = None
    search: str | None = None


def chosen(models: Iterable[Manifest], filters: Filters) -> list[Manifest]:
    """The models that pass all filters, by name. Raises CliError for a filter that is none."""
    fits = _context(filters.context) if filters.context else lambda _: True
    found = [
        model
        for model in models
        if _same(filters.series, [model["spec"].get("series", "")])
        and _same(filters.type, [model["spec"].get("type", "")])
        and _same(filters.job, model["spec"].get("supportedJobs", ()))
        and _same(filters.language, model["spec"].get("languages", ()))
        and _named(filters.search, model)
        and any(fits(version["contextLength"]) for version in model["spec"]["versions"])
    ]
    return sorted(found, key=lambda model: str(model["metadata"]["name"]))


def unknown(models: Iterable[Manifest], filters: Filters) -> str | None:
    """What to say of a series or a language that no model has; None: there is no such."""
    specs = [model["spec"] for model in models]
    languages = {language for spec in specs for language in spec.get("languages", ())}
    series = {spec["series"] for spec in specs if "series" in spec}
    for option, wanted, known in (("series", filters.series, series), ("language", filters.language, languages)):
        if not _same(wanted, known):
            there = tables.shown(", ".join(sorted(known)) or "none that has one")
            return f"--{option} {wanted}: no model has it; there is {there}"
    return None


def named(models: Iterable[Manifest], name: str) -> Manifest:
    """The model of this name. Raises CliError, with the names that are nearest, where there is none."""
    by_name = {model["metadata"]["name"]: model for model in models}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name) or sorted(by_name)[:5]
    advice = f"; there is {', '.join(near)}" if near else ": the catalogue is empty"
    raise CliError(f"there is no Model {name}{advice} (kubectl maas models lists them)")


def row(model: Manifest) -> tables.Row:
    """What a list shows of a Model. context: tokens of the version that a service gets that names none."""
    spec, newest = model["spec"], model["spec"]["versions"][-1]
    return {
        "name": model["metadata"]["name"],
        "series": spec.get("series"),
        "type": spec.get("type"),
        "versions": ",".join(version["name"] for version in spec["versions"]),
        "context": newest["contextLength"],
        "services": model.get("status", {}).get("services"),
        "parameters": _billions(newest),
        "weights": _weights(newest.get("weights")),
        "jobs": _joined(spec, "supportedJobs"),
        "languages": _joined(spec, "languages"),
        "license": spec.get("license"),
        "gated": "yes" if spec.get("gated") else "no",
    }


def described(model: Manifest) -> str:
    """A model for people: introduction, basic information, versions, and what each needs."""
    facts = [(title, tables.shown(value)) for title, value in _facts(model) if value not in (None, "")]
    width = max(len(title) for title, _ in facts) + 2
    text = "".join(f"{f'{title}:':<{width}}{value}\n" for title, value in facts)
    introduction = model["spec"].get("introduction")
    if introduction:
        lines = textwrap.wrap(tables.shown(" ".join(introduction.split())), WIDTH)
        text += "\n" + "".join(f"{line}\n" for line in lines)
    versions = [_version(each) for each in model["spec"]["versions"]]
    text += "\nVersions; a service that names none gets the last:\n" + tables.render(_VERSION, versions, "table")
    needs = list(_needs(model))
    return text + ("\nAccelerators:\n" + tables.render(_NEED, needs, "table") if needs else "")


_VERSION = ("version", "context", "weights", "source", "sampling", "unsupported", "parsers", "args")
_NEED = ("versions", "accelerator", "devices", "hosts", "support", "weights")


def _facts(model: Manifest) -> Iterator[tuple[str, Any]]:
    spec, status = model["spec"], model.get("status", {})
    yield "Name", model["metadata"]["name"]
    yield "Display name", spec.get("displayName")
    yield "Series", spec.get("series")
    yield "Type", spec.get("type")
    yield "Parameters", _billions(spec["versions"][-1])
    yield "Supported jobs", _joined(spec, "supportedJobs")
    yield "Languages", _joined(spec, "languages")
    yield "Use cases", _joined(spec, "useCases")
    yield "License", spec.get("license")
    if spec.get("gated"):
        yield "Gated", "yes: the hub gives the weights to those who accepted its terms there, by their token"
    if product := spec.get("product"):
        yield "Product", f"{product['name']}, id {product['id']}, as {product['modelName']}"
    if model["metadata"].get("labels", {}).get(LABEL_CATALOGUE):
        yield "Brought by", "the operator's chart"
    users = status.get("users", ())
    more = status.get("services", 0) - len(users)
    yield "Used by", ", ".join([*users, *([f"{more} more"] if more > 0 else [])]) or "nobody"


def _version(version: Manifest) -> tables.Row:
    parsers = {"reasoning": version.get("reasoningParser"), "tools": version.get("toolCallParser")}
    return {
        "version": version["name"],
        "context": version["contextLength"],
        "weights": _weights(version.get("weights")),
        "source": version["source"],
        "sampling": _pairs(version.get("sampling", {})),
        "unsupported": ", ".join(version.get("unsupportedParameters", ())) or None,
        "parsers": _pairs(parsers),
        "args": " ".join(version.get("args", ())) or None,
    }


def _needs(model: Manifest) -> Iterator[tables.Row]:
    """A line an accelerator; versions that need the same are named together."""
    groups: list[tuple[list[str], list[Manifest]]] = []
    for version in model["spec"]["versions"]:
        needed = version.get("accelerators", [])
        for names, same in groups:
            if same == needed:
                names.append(version["name"])
                break
        else:
            groups.append(([version["name"]], needed))
    for names, needed in groups:
        for each in needed:
            yield {
                "versions": ",".join(names),
                "accelerator": each["type"],
                "devices": _devices(each),
                "hosts": each.get("hosts", 1 if "count" in each else None),
                "support": each.get("support", "Full"),
                "weights": _weights(each.get("weights")) or "the version's",
            }


def _devices(needed: Manifest) -> str:
    count = f"{needed['count']} or more" if "count" in needed else "as many as hold it"
    return f"{count}, not tried" if needed.get("estimated") else count


def _weights(weights: Manifest | None) -> str | None:
    if weights is None:
        return None
    return f"{weights['size']} {weights['precision']}{', estimated' if weights.get('estimated') else ''}"


def _billions(version: Manifest) -> str | None:
    number = version.get("architecture", {}).get("parameters")
    return None if number is None else f"{number / 1e9:.1f}B"


def _pairs(values: Manifest) -> str | None:
    return " ".join(f"{name}={value}" for name, value in values.items() if value is not None) or None


def _joined(spec: Manifest, field: str) -> str | None:
    return ", ".join(spec.get(field, ())) or None


def _same(wanted: str | None, values: Iterable[str]) -> bool:
    return wanted is None or wanted.casefold() in {value.casefold() for value in values}


def _named(wanted: str | None, model: Manifest) -> bool:
    names = (model["metadata"]["name"], model["spec"].get("displayName", ""))
    return wanted is None or any(wanted.casefold() in name.casefold() for name in names)


def _context(text: str) -> Callable[[int], bool]:
    found = _CONTEXT.match(text.strip())
    if found is None:
        raise CliError(f"--context-length {text} is no length: write 32K, 32768, '<16K', '<=16K', '>16K' or '>=64K'")
    sign, number, unit = found.groups()
    tokens = int(number) * (K if unit else 1)
    return lambda length: _COMPARED[sign or "="](length, tokens)
