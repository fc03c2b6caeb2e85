"""spec.scaling with a real API server: bounds by the hour, sleep as a fact in status, one owner of replicas."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.operator_process import Account, Operator, custom, operator_process
from tests.cluster import Cluster, ClusterError

pytestmark = pytest.mark.api


def scaled(account: Account, **scaling: Any) -> None:
    spec = {"model": {"name": account.name}, "resourcePool": account.name, "flavor": "small"}
    spec |= {"scaling": {"minInstances": 0, "maxInstances": 4, **scaling}}
    manifest = custom("ModelService", "assistant", spec=spec)
    manifest["metadata"]["namespace"] = account.name
    account.apply(manifest)


def replicas(account: Account) -> Any:
    return (account.get("deployment") or {}).get("spec", {}).get("replicas")


def status(account: Account) -> Any:
    return (account.get("msvc") or {}).get("status", {})


def wait_for(account: Account, operator: Operator, count: int) -> None:
    account.eventually(
        lambda: replicas(account) == count and status(account).get("scaling", {}).get("desired") == count,
        f"{count} instances",
        operator,
    )


def hours(least: int, ends_in: timedelta) -> dict[str, Any]:
    """A schedule that began a while ago."""
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=2), now + ends_in
    crons = {field: f"{at.minute} {at.hour} * * *" for field, at in (("start", start), ("end", end))}
    return {"name": "office", "minInstances": least, **crons}


def test_the_number_follows_its_schedules(operator: Operator, account: Account) -> None:
    scaled(account, schedules=[hours(3, timedelta(hours=2))])
    wait_for(account, operator, 3)
    assert status(account)["scaling"]["reason"] == "3 instances: at least minInstances 3 of schedule office"
    account.patch("msvc", {"spec": {"scaling": {"schedules": [hours(3, -timedelta(hours=1))]}}})
    wait_for(account, operator, 1)
    told = ("get", "events", f"--namespace={account.name}", "-o", "jsonpath={.items[*].message}")
    account.eventually(
        lambda: "from 3 to 1 instance: one while it is awake" in account.cluster.kubectl(*told), "the event", operator
    )


def test_m12_sleep_is_a_fact_in_status_and_the_gateways_annotation_wakes_over_a_restart(
    cluster: Cluster, account: Account, tmp_path: Any
) -> None:
    with operator_process(cluster, tmp_path / "first", "--no-leader-election") as first:
        first.wait_ready()
        scaled(account)
        wait_for(account, first, 1)
        asleep = status(account)["scaling"] | {"desired": 0, "asleepSince": "2026-01-01T00:00:00Z", "reason": "asleep"}
        account.patch("msvc", {"status": {"scaling": asleep}}, "assistant", "--subresource=status")
        account.eventually(lambda: account.condition("Ready").get("reason") == "Asleep", "it to be asleep", first)
        wait_for(account, first, 0)
        assert account.condition("Ready")["status"] == "True"
        assert (status(account)["phase"], status(account)["instances"]["summary"]) == ("Running", "0/0")
        first.stop()
    account.patch("msvc", {"metadata": {"annotations": {"maas-operator.io/wake-requested-at": "1"}}})
    with operator_process(cluster, tmp_path / "second", "--no-leader-election") as second:
        wait_for(account, second, 1)
        assert "asleepSince" not in status(account)["scaling"]


def test_kubectl_scale_is_refused_where_the_operator_decides(account: Account) -> None:
    scaled(account)
    with pytest.raises(ClusterError, match="instances and scaling exclude each other: with scaling the operator"):
        account.cluster.kubectl("scale", "msvc", "assistant", f"--namespace={account.name}", "--replicas=2")
