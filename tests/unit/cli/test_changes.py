"""What `kubectl maas` changes in a ModelService, and what it says of one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from maas_operator.api.actions import Action
from maas_operator.cli import changes
from maas_operator.cli.errors import CliError

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
STARTED = {"metadata": {"annotations": {"maas-operator.io/start-requested-at": "2026-01-31T12:00:00Z"}}}


def service(phase: str | None = "Running", version: str = "8k", **spec: Any) -> dict[str, Any]:
    base = {"model": {"name": "tiny"}, "resourcePool": "pool", "flavor": "small"}
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "InstancesReady",
        "message": "2 ready",
        "lastTransitionTime": "2026-01-30T00:00:00Z",
    }
    status = {"phase": phase, "model": {"name": "tiny", "version": version}, "conditions": [condition]}
    metadata = {"name": "assistant", "namespace": "team-a"}
    return {"metadata": metadata, "spec": base | spec, "status": status if phase else {}}


CATALOGUE = {"tiny": {"spec": {"versions": [{"name": "8k"}, {"name": "16k"}]}}}


def test_m13_start_sets_the_state_and_asks_for_fresh_instances() -> None:
    assert changes.start(service("Stopped", state="Stopped"), None, NOW) == STARTED | {"spec": {"state": "Running"}}


def test_m13_start_of_a_failed_service_asks_for_fresh_instances_alone() -> None:
    assert changes.start(service("Failed"), None, NOW) == STARTED | {"spec": {}}


def test_m13_start_of_a_service_scaled_to_none_needs_a_number() -> None:
    with pytest.raises(CliError, match="--instances"):
        changes.start(service("Stopped", instances=0), None, NOW)
    assert changes.start(service("Stopped", instances=0), 2, NOW)["spec"] == {"instances": 2}


def test_m13_stop_changes_the_state_alone() -> None:
    assert changes.stop(service()) == {"spec": {"state": "Stopped"}}


def test_m15_upgrade_names_a_version_that_the_model_has() -> None:
    assert changes.upgrade(service(), "16k", CATALOGUE) == {"spec": {"model": {"version": "16k"}}}
    with pytest.raises(CliError, match="has no version 32k; it has 8k, 16k"):
        changes.upgrade(service(), "32k", CATALOGUE)
    with pytest.raises(CliError, match="runs version 8k already"):
        changes.upgrade(service(), "8k", CATALOGUE)
    with pytest.raises(CliError, match="not in the catalogue"):
        changes.upgrade(service(), "8k", {})


def test_a_service_that_the_operator_has_not_seen_is_not_changed() -> None:
    with pytest.raises(CliError, match="not seen service assistant yet"):
        changes.check(service(None), Action.STOP)


def test_m8_a_service_that_is_not_accepted_may_be_put_right() -> None:
    refused = service("Failed")
    refused["status"]["conditions"] = [{"type": "Accepted", "status": "False"}]
    changes.check(refused, Action.QPS)
    with pytest.raises(CliError, match="is Failed: stop fits"):
        changes.check(refused, Action.STOP)


def test_m11_a_service_is_described_with_what_fits_now() -> None:
    text = changes.described(service(description="for\x1b[31m people", qps=50))
    assert facts(text).items() >= {
        ("Phase", "Running"),
        ("Ready", "True, InstancesReady: 2 ready (since 2026-01-30T00:00:00Z)"),
        ("What fits now", "stop, scale, qps, upgrade, delete"),
    }
    assert "\x1b" not in text


def test_a_service_that_nobody_has_seen_is_described_too() -> None:
    assert facts(changes.described(service(None)))["Phase"] == "not seen by the operator yet"


@pytest.mark.parametrize(
    ("queue", "says"),
    [
        ({"instances": 2, "place": 3}, "place 3 in line for cpu, for 2 more (since then)"),
        ({"instances": 2, "place": 65}, "place after 64 others or more in line for cpu, for 2 more (since then)"),
        ({"instances": 0, "quota": "few"}, "quota few of pool p is reached (since then)"),
        (
            {"instances": 1, "place": 1, "quota": "few"},
            "place 1 in line for cpu, for 1 more; quota few of pool p is reached (since then)",
        ),
        ({"instances": 0}, None),
    ],
)
def test_m12_a_service_that_waits_says_its_place(queue: dict[str, Any], says: str | None) -> None:
    waiting = service("Queuing")
    waiting["status"]["queue"] = {"since": "then", "pool": "p", "flavor": "one", "resource": "cpu", "placed": 0} | queue
    assert facts(changes.described(waiting)).get("Waits") == says


def facts(text: str) -> dict[str, str]:
    lines = [line.partition(":") for line in text.splitlines()]
    return {title: value.strip() for title, _, value in lines}
