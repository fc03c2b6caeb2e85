"""M16: instances that came and went, and pools that were edited, each told of once."""

from typing import Any

from maas_operator.watch.billed import Billed, edited_at
from maas_operator.watch.keys import Key
from maas_operator.watch.store import Store
from tests.unit.decide.facts import pod
from tests.unit.watch.test_pods import OURS

HERE = pod("a", scheduled_at=100)
EDITED = "2026-11-22T12:00:00Z"
EDITED_AT = 1_795_348_800


def billed(now: int = 500) -> Billed:
    return Billed(lambda: now)


def pool(generation: int = 1, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "pool-a", "uid": "u", "generation": generation} | metadata, "spec": {"flavors": []}}


def managed(time: str, fields: str = "f:spec", **given: Any) -> dict[str, Any]:
    return {"manager": "user", "time": time, "fieldsV1": {fields: {}}} | given


def test_m16_an_instance_counts_once_it_has_its_node() -> None:
    found = billed()
    found.put([pod("a", node=None)])
    assert not found.changed.is_set()
    found.put([pod("a", node=None), HERE])
    assert found.changed.is_set()
    assert list(found.here) == ["uid-a"]
    assert [found.take_new(), found.take_new()] == [[HERE], []]


def test_m16_of_a_group_of_hosts_the_leader_alone_counts() -> None:
    found = billed()
    found.put([pod("w", scheduled_at=100, worker_index=1)])
    found.put([pod("stranger", scheduled_at=100, service=None)])
    assert not found.here


def test_m16_one_that_goes_is_told_of_once_with_the_time_at_which_it_was_seen_to_go() -> None:
    found = billed()
    found.put([HERE])
    found.drop([HERE])
    found.drop([HERE])
    assert [(each.pod, each.at) for each in found.take_ended()] == [(HERE, 500)]
    assert not found.here
    assert found.take_ended() == []


def test_m16_one_that_finishes_is_told_of_once_although_its_pod_stays() -> None:
    found, over = billed(), pod("a", scheduled_at=100, phase="Failed", finished_at=300)
    found.put([HERE])
    found.put([HERE, over])
    found.put([over, over])
    found.drop([over])
    assert [(each.pod.finished_at, each.at) for each in found.take_ended()] == [(300, 500)]


def test_m16_of_one_that_had_finished_before_it_was_seen_nobody_here_knows_when() -> None:
    found = billed()
    found.put([pod("a", scheduled_at=100, phase="Failed")])
    assert [each.at for each in found.take_ended()] == [None]


def test_m16_one_whose_labels_are_taken_off_is_no_instance_any_more() -> None:
    found = billed()
    found.put([HERE])
    found.put([HERE, pod("a", service=None)])
    assert [each.pod for each in found.take_ended()] == [HERE]


def test_m16_each_edit_of_a_pool_is_told_of_once_with_its_own_time() -> None:
    found = billed()
    found.put_pool(pool(1, managedFields=[managed(EDITED)]))
    found.put_pool(pool(1, managedFields=[managed("2026-11-22T13:00:00Z", "f:metadata")]))
    found.put_pool(pool(2))
    assert [(each.generation, each.since) for each in found.take_edits()] == [(1, EDITED_AT), (2, 500)]
    assert [each.generation for each in found.pools] == [2]


def test_m16_the_edit_is_the_last_change_of_the_spec_and_not_of_labels_or_status() -> None:
    entries = [
        managed("2026-11-22T11:00:00Z"),
        managed(EDITED, manager="other"),
        managed("2026-11-22T13:00:00Z", "f:metadata"),
        managed("2026-11-22T14:00:00Z", subresource="status"),
    ]
    assert edited_at({"generation": 4, "managedFields": entries}) == EDITED_AT
    assert edited_at({"generation": 1, "creationTimestamp": EDITED}) == EDITED_AT
    assert edited_at({"generation": 2, "creationTimestamp": EDITED}) is None


def test_m16_the_store_tells_of_pods_and_pools_as_the_api_server_shows_them() -> None:
    store = Store(bills=True)
    metadata = {"name": "a", "namespace": "team-a", "uid": "u", "labels": OURS, "resourceVersion": "1"}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": EDITED}
    status: dict[str, Any] = {"phase": "Running", "conditions": [scheduled]}
    raw: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}
    raw["spec"] = {"nodeName": "n", "containers": [{"name": "engine"}]}
    store.put(raw)
    assert store.billed
    assert [each.scheduled_at for each in store.billed.here.values()] == [EDITED_AT]
    ended = {"name": "engine", "state": {"terminated": {"finishedAt": "2026-11-22T12:00:07Z"}}}
    leaving = metadata | {"resourceVersion": "2", "deletionTimestamp": "2026-11-22T12:10:00Z"}
    store.put(raw | {"metadata": leaving, "status": status | {"containerStatuses": [ended]}})
    (gone,) = store.billed.take_ended()
    assert (gone.pod.finished_at, gone.pod.leaving_by) == (EDITED_AT + 7, EDITED_AT + 600)
    made = pool(1, resourceVersion="3", creationTimestamp=EDITED)
    store.put(made | {"apiVersion": "maas-operator.io/v1alpha1", "kind": "ResourcePool"})
    assert [each.since for each in store.billed.take_edits()] == [EDITED_AT]
    store.drop(Key("Pod", "team-a", "a"), "u")
    store.drop(Key("ResourcePool", "", "pool-a"), "u")
    assert (store.billed.take_ended(), store.billed.pools, dict(store.billed.here)) == ([], [], {})


def test_m16_without_a_ledger_nothing_is_kept_for_it() -> None:
    assert Store().billed is None
