"""M2: docs/administering.md says of each process what it may do and why, as api/permissions.py has it."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from maas_operator.api.permissions import (
    CATALOGUE_PERMISSIONS,
    GATEWAY_PERMISSIONS,
    LEDGER_PERMISSIONS,
    NOTIFICATION_PERMISSIONS,
    PERMISSIONS,
    Permission,
)

PAGE = Path(__file__).parents[2] / "docs" / "administering.md"
TABLES = {
    "operator": PERMISSIONS + NOTIFICATION_PERMISSIONS,
    "gateway": GATEWAY_PERMISSIONS,
    "ledger": LEDGER_PERMISSIONS,
    "catalogue": CATALOGUE_PERMISSIONS,
}


def table(permissions: Sequence[Permission]) -> str:
    head = "| Resource | Verbs | Without it stops | Asked for by |\n|---|---|---|---|\n"
    return head + "".join(
        f"| {each.lacks()[0].title} | {', '.join(each.verbs)} "
        f"| {each.needed_for}{', in its own namespace alone' if each.own_namespace else ''} "
        f"| {f'`{each.value}`' if each.value else 'every release'} |\n"
        for each in permissions
    )


@pytest.mark.parametrize("part", TABLES)
def test_m2_the_page_says_what_each_process_may_do_and_why(part: str, update_golden: bool) -> None:
    text, begin, end = PAGE.read_text(), f"<!-- permissions: {part} -->\n", f"<!-- end: {part} -->"
    assert begin in text
    found = re.search(f"{re.escape(begin)}(.*?){re.escape(end)}", text, re.DOTALL)
    assert found
    current = text[: found.start(1)] + table(TABLES[part]) + text[found.end(1) :]
    if update_golden:
        PAGE.write_text(current)
    assert current == text


def test_m2_the_page_counts_what_is_needed_by_default() -> None:
    tables = (PERMISSIONS, GATEWAY_PERMISSIONS, LEDGER_PERMISSIONS, CATALOGUE_PERMISSIONS)
    assert f"of the {sum(len(each.verbs) for one in tables for each in one)} permissions" in PAGE.read_text()
