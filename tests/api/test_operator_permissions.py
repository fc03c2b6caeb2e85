"""What the operator may not do is named, stops nothing else, and works once it is granted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from maas_operator.cli.main import cli
from tests.api.grants import Grants
from tests.api.operator_process import Account, operator_process
from tests.cluster import Cluster

pytestmark = pytest.mark.api

GRANTED_SECONDS = 40.0
"""Waits grow while something may not be done; after a few seconds the next try comes within these."""
NO_ELECTION = "--no-leader-election"


def test_a_permission_to_write_that_is_missing(
    cluster: Cluster, new_account: Callable[[Cluster], Account], tmp_path: Path
) -> None:
    grants = Grants(cluster, "writes-no-deployments")
    grants.all_but("deployments", "patch")
    account = new_account(cluster)
    with operator_process(cluster, tmp_path / "log", NO_ELECTION, kubeconfig=grants.kubeconfig) as operator:
        operator.wait_ready()
        account.serve()
        account.eventually(lambda: account.condition("Reconciled").get("reason") == "Forbidden", "its word", operator)
        assert (
            f"may not patch deployments.apps in namespace {account.name} (needed for running the instances of services)"
            in account.condition("Reconciled")["message"]
        )
        told = [line for line in operator.log() if line["event"] == "a permission is missing"]
        assert [(line["resource"], line["verb"]) for line in told] == [("deployments", "patch")]
        labels = 'group="apps",resource="deployments",verb="patch"'
        assert operator.metric(f"maas_operator_permission_missing{{{labels}}}") == 1
        grants.all_but()
        account.served(operator, limit=GRANTED_SECONDS)


def test_a_permission_to_see_that_is_missing_stops_only_what_needs_it(
    cluster: Cluster, new_account: Callable[[Cluster], Account], tmp_path: Path
) -> None:
    grants = Grants(cluster, "sees-no-budgets")
    grants.all_but("poddisruptionbudgets", "list")
    account = new_account(cluster)
    with operator_process(cluster, tmp_path / "log", NO_ELECTION, kubeconfig=grants.kubeconfig) as operator:
        account.eventually(lambda: only_budgets(operator.readiness()), "what it waits for", operator, 30)
        account.serve()
        pool = account.eventually(lambda: status(account), "the pool", operator)
        assert pool["services"] == 1, "pools are decided all the same"
        words = "may not list poddisruptionbudgets.policy (needed for draining nodes one instance at a time)"
        account.eventually(lambda: forbidden(account, words), "the service to say so", operator)
        assert account.get("deployment") is None
        for command in (("list",), ("get", "assistant")):
            listed = CliRunner().invoke(cli, [*command, "-n", account.name, f"--kubeconfig={cluster.kubeconfig}"])
            assert listed.stderr.startswith(f"1 ModelService is held up: the operator {words}"), listed.output
        assert account.get("rpool", account.name)["status"]["conditions"][0]["status"] == "True"  # type: ignore[index]
        before = account.get("msvc")
        account.serve("another")
        account.eventually(lambda: forbidden(account, words, "another"), "the other one to say so", operator)
        assert account.get("msvc") == before, "what has been said is not said again"
        grants.all_but()
        account.served(operator, limit=GRANTED_SECONDS)
        account.eventually(lambda: operator.readiness() == "", "the operator to be ready", operator)


def test_m2_a_permission_to_follow_that_is_missing_is_told_of_what_is_carried_out_all_the_same(
    cluster: Cluster, new_account: Callable[[Cluster], Account], tmp_path: Path
) -> None:
    grants = Grants(cluster, "follows-no-nodes")
    grants.all_but("nodes", "watch")
    account = new_account(cluster)
    with operator_process(cluster, tmp_path / "log", NO_ELECTION, kubeconfig=grants.kubeconfig) as operator:
        operator.wait_ready()
        account.serve()
        words = "may not watch nodes (needed for counting the room in resource pools)"
        account.eventually(lambda: forbidden(account, words), "the service to say so", operator)
        account.eventually(lambda: account.get("deployment"), "the service to be carried out", operator)
        grants.all_but()
        account.served(operator, limit=GRANTED_SECONDS)


def forbidden(account: Account, words: str, name: str = "assistant") -> bool:
    """Whether a service says that this is missing."""
    said = account.condition("Reconciled", name)
    return said.get("reason") == "Forbidden" and words in said["message"]


def only_budgets(readiness: str) -> bool:
    """Whether it waits for nothing else."""
    return readiness.startswith("poddisruptionbudgets: cannot be listed") and len(readiness.splitlines()) == 1


def status(account: Account) -> Any:
    """The pool's status, once it speaks of a service."""
    found = (account.get("rpool", account.name) or {}).get("status", {})
    return found if found.get("services") else None


def test_a_missing_permission_to_tell_events_fails_nothing(
    cluster: Cluster, new_account: Callable[[Cluster], Account], tmp_path: Path
) -> None:
    grants = Grants(cluster, "tells-no-events")
    grants.all_but("events", "create")
    account = new_account(cluster)
    with operator_process(cluster, tmp_path / "log", NO_ELECTION, kubeconfig=grants.kubeconfig) as operator:
        operator.wait_ready()
        account.serve("bad", flavor="none")
        account.serve()
        account.served(operator)
        account.eventually(lambda: account.condition("Accepted", "bad"), "the refusal", operator)


def test_a_permission_that_only_caches_need_stops_no_service_without_one(
    cluster: Cluster, new_account: Callable[[Cluster], Account], tmp_path: Path
) -> None:
    """As after an upgrade where somebody else keeps the operator's ClusterRole."""
    grants = Grants(cluster, "sees-no-jobs")
    grants.all_but("jobs", "list")
    account = new_account(cluster)
    with operator_process(cluster, tmp_path / "log", NO_ELECTION, kubeconfig=grants.kubeconfig) as operator:
        account.eventually(lambda: "jobs: cannot be listed" in operator.readiness(), "what it waits for", operator, 30)
        account.serve()
        account.served(operator)
