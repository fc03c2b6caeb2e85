"""M13, M14, M15 for whoever does not use `kubectl maas`: with the policy on, the API server refuses as the CLI does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from maas_operator.api.actions import Action, fitting
from maas_operator.api.conditions import Phase
from tests.chart.release import LIMIT, Releases
from tests.cluster import ClusterError
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.api

RUNNING = {"model": {"name": "tiny", "version": "v1"}, "resourcePool": "p", "flavor": "f", "instances": 2, "qps": 10}
CHANGES: dict[Action, tuple[dict[str, Any], dict[str, Any]]] = {
    Action.START: ({"state": "Stopped"}, {"state": "Running"}),
    Action.STOP: ({}, {"state": "Stopped"}),
    Action.SCALE: ({}, {"instances": 3}),
    Action.QPS: ({}, {"qps": 20}),
    Action.UPGRADE: ({}, {"model": {"version": "v2"}}),
}
"""What stood in the spec, and what changes it."""


class Services:
    """Services in states that a test gives them."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases
        self._made = 0

    def make(self, phase: str | None, accepted: bool = True, **spec: Any) -> str:
        self._made += 1
        name = f"s{self._made}"
        manifest = {"apiVersion": "maas-operator.io/v1alpha1", "kind": "ModelService", "metadata": {"name": name}}
        given = {field: value for field, value in (RUNNING | spec).items() if value is not None}
        self._releases.apply(json.dumps(manifest | {"spec": given}))
        condition = {
            "type": "Accepted",
            "status": str(accepted),
            "reason": "Any",
            "message": "",
            "lastTransitionTime": "2026-01-31T12:00:00Z",
        }
        status = {"status": {"phase": phase, "conditions": [condition]}}
        if phase:
            self.kubectl("patch", name, "--subresource=status", "--type=merge", "-p", json.dumps(status))
        return name

    def refusal(self, name: str, change: dict[str, Any]) -> str:
        """What the API server says against a change; empty where it takes it."""
        try:
            self.kubectl("patch", name, "--type=merge", "-p", json.dumps({"spec": change}), "--dry-run=server")
        except ClusterError as error:
            return str(error)
        return ""

    def kubectl(self, verb: str, name: str, *rest: str) -> None:
        self._releases.cluster.kubectl(verb, "msvc", name, "-n", "default", *rest)


@pytest.fixture
def services(releases: Releases) -> Iterator[Services]:
    releases.install("--set", "lifecycleRules.enabled=true")
    made = Services(releases)
    probe = made.make("Stopped")
    wait_until(lambda: made.refusal(probe, {"qps": 20}), LIMIT, "the policy to be in force")
    yield made


def test_m13_m14_m15_the_policy_refuses_what_the_cli_refuses(services: Services) -> None:
    for action, (before, change) in CHANGES.items():
        for phase in Phase:
            fits = action in fitting(phase, accepted=True)
            said = services.refusal(services.make(phase, **before), change)
            assert bool(said) != fits, f"{action} in {phase}: {said or 'taken'}"
            assert fits or f"is {phase}: {action} fits " in said


def test_m8_what_is_not_accepted_or_not_seen_may_be_put_right(services: Services) -> None:
    assert services.refusal(services.make("Failed", accepted=False), {"qps": 20}) == ""
    assert services.refusal(services.make(None), {"qps": 20, "instances": 5}) == ""


def test_other_changes_are_not_the_policys_matter(services: Services) -> None:
    name = services.make("Updating")
    assert services.refusal(name, {"description": "for people"}) == ""
    assert services.refusal(name, {"model": {"name": "other", "version": "v9"}}) == ""


def test_m13_instances_0_is_a_stop_and_back_a_start(services: Services) -> None:
    assert "stop fits" in services.refusal(services.make("Updating"), {"instances": 0})
    assert services.refusal(services.make("Running"), {"instances": 0}) == ""
    assert services.refusal(services.make("Stopped", instances=0), {"instances": 2}) == ""


def test_m14_bounds_are_scaled_as_instances_are(services: Services) -> None:
    scaling = {"minInstances": 1, "maxInstances": 4}
    for phase, fits in (("Running", True), ("Updating", False)):
        name = services.make(phase, instances=None, scaling=scaling)
        for change in ({"minInstances": 2}, {"maxInstances": 2}):
            said = services.refusal(name, {"scaling": change})
            assert ("scale fits" in said) != fits, said
        assert services.refusal(name, {"scaling": {"sleepAfter": "20m"}}) == ""
    assert "scale fits" in services.refusal(services.make("Updating", instances=None), {"scaling": scaling})
    stopped = services.make("Stopped", instances=None, scaling=scaling, state="Stopped")
    assert services.refusal(stopped, {"state": "Running"}) == ""


def test_naming_the_pinned_version_is_no_upgrade(services: Services) -> None:
    name = services.make("Updating", model={"name": "tiny"})
    services.kubectl(
        "patch",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        '{"status": {"model": {"name": "tiny", "version": "v1"}}}',
    )
    assert services.refusal(name, {"model": {"version": "v1"}}) == ""
    assert "upgrade fits" in services.refusal(name, {"model": {"version": "v2"}})
