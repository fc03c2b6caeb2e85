"""The table of errors is whole: each answer is driven by a test and explained in docs/gateway.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from maas_operator.gateway import errors
from maas_operator.gateway.errors import Error
from tests.gateway.table import ROWS

REPOSITORY = Path(__file__).parents[3]
CONSTANTS = [each for each in vars(errors).values() if isinstance(each, Error)]


def nodes(*files: Path) -> Iterator[ast.AST]:
    return (node for file in files for node in ast.walk(ast.parse(file.read_text())))


def answers() -> set[tuple[int, str]]:
    """Status and code of every Error that errors.py makes, also of those that a function makes."""
    calls = (node for node in nodes(Path(errors.__file__)) if isinstance(node, ast.Call))
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == Error.__name__]
    return {(ast.literal_eval(call.args[0]), ast.literal_eval(call.args[1])) for call in made}


def named_by_tests() -> set[str]:
    """The words of the names of the gateway's tests."""
    found = nodes(*(REPOSITORY / "tests" / "gateway").glob("test_*.py"))
    functions = [node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {word for name in functions if name.startswith("test_") for word in name.split("_")}


def test_every_answer_is_driven_by_a_row_of_the_table_or_by_a_test_that_names_it() -> None:
    assert {(error.status, error.code) for error in CONSTANTS} <= answers()
    rows = {(row.status, row.body.get("error_code")) for row in ROWS}
    named = named_by_tests()
    assert not [(status, code) for status, code in answers() - rows if code.rpartition(".")[2] not in named]


def test_every_wording_has_a_row() -> None:
    assert not set(CONSTANTS) - {row.error for row in ROWS}


def test_rows_are_named_by_the_code_that_they_show() -> None:
    for row in ROWS:
        if row.error:
            assert row.id.split("-")[0] in {row.error.code.removeprefix("ModelArts."), str(row.error.status)}


def test_every_answer_is_explained_in_the_docs() -> None:
    page = (REPOSITORY / "docs" / "gateway.md").read_text()
    rows = re.findall(r"^\| ([\d, ]+) \| (\S+) \|", page, re.MULTILINE)
    explained = {(int(status), code) for several, code in rows for status in several.split(",")}
    assert answers() <= explained
