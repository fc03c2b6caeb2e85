"""The table of errors is whole: each answer is driven by a test and explained in docs/gateway.md."""

import ast
import re
from pathlib import Path

from maas_operator.gateway import errors
from maas_operator.gateway.errors import Error
from tests.gateway.table import ROWS

REPOSITORY = Path(__file__).parents[3]
ERRORS = [each for each in vars(errors).values() if isinstance(each, Error)] + [errors.address_requests(1)]


def names_of_tests() -> set[str]:
    files = (REPOSITORY / "tests" / "gateway").glob("test_*.py")
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())))
    functions = (node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {name for name in functions if name.startswith("test_")}


def test_every_error_is_driven_by_a_row_of_the_table_or_by_a_test_that_names_it() -> None:
    in_table = {row.error for row in ROWS}
    named = names_of_tests()
    without = [
        error
        for error in ERRORS
        if error not in in_table and not any(error.code.rpartition(".")[2] in name.split("_") for name in named)
    ]
    assert not without


def test_rows_are_named_by_the_code_that_they_show() -> None:
    for row in ROWS:
        if row.error:
            assert row.id.split("-")[0] in {row.error.code.removeprefix("ModelArts."), str(row.error.status)}


def test_every_error_is_explained_in_the_docs() -> None:
    page = (REPOSITORY / "docs" / "gateway.md").read_text()
    rows = re.findall(r"^\| ([\d, ]+) \| (\S+) \|", page, re.MULTILINE)
    explained = {(int(status), code) for several, code in rows for status in several.split(",")}
    assert {(error.status, error.code) for error in ERRORS} <= explained
