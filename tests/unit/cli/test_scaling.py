"""`kubectl maas scale` where the operator decides how many instances run, and what is said of sleep."""

from datetime import UTC, datetime
from typing import Any

import pytest

from maas_operator.api.actions import Action
from maas_operator.cli import changes
from maas_operator.cli.errors import CliError

FIXED: dict[str, Any] = {"metadata": {"name": "assistant"}, "spec": {"instances": 2}}
SCALED: dict[str, Any] = {
    "metadata": {"name": "assistant"},
    "spec": {"scaling": {"minInstances": 1, "maxInstances": 4}},
}


def test_m14_bounds_are_changed_one_by_one_or_both() -> None:
    assert changes.scale(SCALED, None, 0, None) == {"spec": {"scaling": {"minInstances": 0}}}
    assert changes.scale(SCALED, None, 2, 6) == {"spec": {"scaling": {"minInstances": 2, "maxInstances": 6}}}
    assert changes.scale(FIXED, 3, None, None) == {"spec": {"instances": 3}}


@pytest.mark.parametrize(
    ("service", "asked", "says"),
    [
        (SCALED, (3, None, None), "decided by the operator .spec.scaling.: change its bounds, by --min and --max"),
        (FIXED, (None, 1, None), "its spec has no scaling: say how many instances"),
        (FIXED, (None, None, None), "say how many instances assistant is to have"),
        (SCALED, (3, 1, None), "say how many instances assistant is to have"),
    ],
)
def test_m14_what_does_not_suit_the_spec_is_refused(service: Any, asked: Any, says: str) -> None:
    with pytest.raises(CliError, match=says):
        changes.scale(service, *asked)


@pytest.mark.parametrize(
    ("service", "asked", "less"),
    [
        (FIXED, (1, None, None), "1 instances instead of 2"),
        (FIXED, (2, None, None), None),
        (SCALED, (None, 1, 5), None),
        (SCALED, (None, 0, 5), "minInstances 0 instead of 1"),
        (SCALED, (None, 0, 3), "minInstances 0 instead of 1 and maxInstances 3 instead of 4"),
    ],
)
def test_m14_what_there_will_be_less_of_has_to_be_confirmed(service: Any, asked: Any, less: str | None) -> None:
    assert changes.lowered(service, changes.scale(service, *asked)) == less


def sleeping(asleep: bool) -> dict[str, Any]:
    decided: dict[str, Any] = {"desired": 0, "reason": "asleep: no request for 10m; a request wakes it"}
    decided |= {"lastScaleTime": "2026-01-31T12:00:00Z"} | ({"asleepSince": "2026-01-31T12:00:00Z"} if asleep else {})
    metadata = {"name": "assistant", "namespace": "team-a"}
    spec = SCALED["spec"] | {"model": {"name": "tiny"}, "resourcePool": "pool", "flavor": "small"}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Running", "conditions": [], "scaling": decided}}


def test_m13_start_wakes_a_service_that_is_asleep_and_fits_no_other_that_runs() -> None:
    changes.check(sleeping(True), Action.START)
    with pytest.raises(CliError, match="is Running: start fits Failed, Stopped"):
        changes.check(sleeping(False), Action.START)


def test_m13_start_does_not_say_how_many_where_the_operator_decides() -> None:
    with pytest.raises(CliError, match="decided by the operator"):
        changes.start(SCALED, 2, datetime(2026, 1, 31, tzinfo=UTC))


def test_m11_get_says_what_was_decided_and_why() -> None:
    text = changes.described(sleeping(True))
    assert "1 to 4; asleep: no request for 10m; a request wakes it (since 2026-01-31T12:00:00Z)" in text
    assert "start, stop, scale" in text
