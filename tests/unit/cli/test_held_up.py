"""M2: what the operator may not do is the first that is said."""

from datetime import UTC, datetime
from typing import Any

import pytest

from maas_operator.api.kinds import API_KEY, MODEL_SERVICE
from maas_operator.cli.held_up import first_line

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MESSAGE = "the operator may not patch deployments.apps in namespace team-a"


def made(at: str, *conditions: tuple[str, str, str]) -> dict[str, Any]:
    written = [
        {"type": kind, "status": status, "reason": reason, "message": MESSAGE} for kind, status, reason in conditions
    ]
    return {"metadata": {"creationTimestamp": at}, "status": {"conditions": written} if written else {}}


FORBIDDEN = made("2026-01-31T11:59:59Z", ("Ready", "False", "Forbidden"), ("Reconciled", "False", "Forbidden"))
WELL = made("2026-01-01T00:00:00Z", ("Reconciled", "True", "AsDesired"))
NEW, SILENT = made("2026-01-31T11:59:30Z"), made("2026-01-31T11:58:30Z")


@pytest.mark.parametrize("objects", [[], [WELL], [NEW, WELL]])
def test_m2_where_nothing_is_wrong_nothing_is_said(objects: list[dict[str, Any]]) -> None:
    assert first_line(MODEL_SERVICE, objects, NOW) is None


@pytest.mark.parametrize(
    ("objects", "whom"), [([WELL, FORBIDDEN], "1 ApiKey is"), ([FORBIDDEN, FORBIDDEN, SILENT], "2 apikeys are")]
)
def test_m2_what_the_operator_may_not_do_is_said_in_its_words(objects: list[dict[str, Any]], whom: str) -> None:
    words = f"{whom} held up: {MESSAGE}; kubectl maas auth check names all that is missing"
    assert first_line(API_KEY, objects, NOW) == words


def test_m2_an_operator_that_cannot_report_is_missed() -> None:
    said = first_line(MODEL_SERVICE, [WELL, NEW, SILENT], NOW)
    assert said is not None
    assert said.startswith("1 ModelService is not seen by the operator")
    assert "auth check" in said
