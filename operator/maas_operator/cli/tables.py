"""Rows as a table for people, as CSV, JSON or YAML. Pure."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import yaml

Form = Literal["table", "csv", "json", "yaml"]
FORMS: tuple[Form, ...] = ("table", "csv", "json", "yaml")
Cell = str | int | float | Decimal | None
Row = Mapping[str, Cell]

_GAP = "   "
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(columns: Sequence[str], rows: Sequence[Row], form: Form) -> str:
    """The rows' columns in this form, ending in a newline.

    Columns are names as in JSON (promptTokens): a table's head shows them as PROMPT TOKENS, CSV as they are.
    """
    if form == "json":
        return json.dumps(_listed(columns, rows), indent=2) + "\n"
    if form == "yaml":
        return yaml.safe_dump(_listed(columns, rows), sort_keys=False, allow_unicode=True)
    if form == "csv":
        return _csv(columns, rows)
    return _table(columns, rows)


def _listed(columns: Sequence[str], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as JSON and YAML have them: amounts of money as strings, which lose nothing."""
    return [{column: _plain(row.get(column)) for column in columns} for row in rows]


def _plain(cell: Cell) -> Any:
    return str(cell) if isinstance(cell, Decimal) else cell


def _csv(columns: Sequence[str], rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_safe(row.get(column)) for column in columns])
    return text.getvalue()


def _safe(cell: Cell) -> Cell:
    """A spreadsheet would carry out a text that begins like a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _table(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Numbers to the right, the rest to the left, as wide as need be."""
    lines = [[_title(column) for column in columns]]
    lines += [[shown(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    numeric = [
        bool(rows) and all(isinstance(row.get(column), int | float | Decimal) for row in rows) for column in columns
    ]
    texts = []
    for line in lines:
        cells = zip(line, widths, numeric, strict=True)
        texts.append(_GAP.join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells))
    return "".join(f"{text.rstrip()}\n" for text in texts)


def _title(column: str) -> str:
    return "".join(f" {letter}" if letter.isupper() else letter.upper() for letter in column)


def shown(cell: Cell) -> str:
    """A cell as text: control characters must not reach a terminal."""
    if cell is None:
        return "-"
    return "".join(letter if letter.isprintable() else "?" for letter in str(cell))
