"""An object that was deleted and made again under its name is another one: what was meant for the first never lands on
it. How the API server answers then is all that is asked here; no operator runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from maas_operator.act.answers import Outdated
from maas_operator.act.cluster import Cluster as Writes
from maas_operator.act.connection import connect
from maas_operator.act.http import Http
from maas_operator.api.decision import Apply
from maas_operator.api.seen import Manifest
from tests.api.operator_process import Account
from tests.cluster import Cluster

pytestmark = pytest.mark.api


@asynccontextmanager
async def writing(cluster: Cluster) -> AsyncIterator[Writes]:
    http = Http(await connect(cluster.kubeconfig))
    try:
        yield Writes(http, lambda _: None)
    finally:
        await http.close()


def stands(account: Account) -> Manifest:
    found = account.get("modelservice")
    assert found
    return found


async def test_m10_a_status_never_lands_on_another_object_of_the_name(cluster: Cluster, account: Account) -> None:
    account.serve()
    first = stands(account)
    async with writing(cluster) as writes:
        await writes.write_status(first, {"observedGeneration": 1, "phase": "Running", "serviceId": "x"})
        seen = stands(account)
        await writes.write_status(seen, {"observedGeneration": 1, "phase": "Stopped"})
        assert stands(account)["status"] == {"observedGeneration": 1, "phase": "Stopped"}
        with pytest.raises(Outdated):
            await writes.write_status(stands(account), {"phase": "Running"}, seen["metadata"]["resourceVersion"])
        cluster.kubectl("delete", "modelservice", "assistant", f"--namespace={account.name}")
        account.serve()
        second = stands(account)
        for known in (first, seen):
            with pytest.raises(Outdated):
                await writes.write_status(known, {"observedGeneration": 1, "phase": "Stopped"})
    assert stands(account) == second


async def test_an_apply_never_lands_on_another_object_of_the_name(cluster: Cluster, account: Account) -> None:
    metadata = {"name": "child", "namespace": account.name}
    child: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}
    account.apply(child)
    before = account.get("configmap", "child")
    async with writing(cluster) as writes:
        with pytest.raises(Outdated):
            await writes.apply(Apply(child | {"data": {"a": "2"}}, "the-uid-of-another", "drifted"))
    assert account.get("configmap", "child") == before
