"""The store: the newest state wins, and every change says what it may alter."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from maas_operator.api.names import API_VERSION, FIELD_MANAGER, LABEL_MANAGED_BY, LABEL_SERVICE
from maas_operator.api.seen import ApiKeySeen, Measured, ModelSeen, PoolSeen, ScalingMemory, ServiceSeen
from maas_operator.watch.keys import Key
from maas_operator.watch.store import Store

SERVICE = Key("ModelService", "team-a", "assistant")
POOL = Key("ResourcePool", "", "cpu")
MODEL = Key("Model", "", "tiny")
OURS = {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_SERVICE: "assistant"}


def made(kind: str, name: str, version: int = 1, namespace: str = "", uid: str = "", **rest: Any) -> dict[str, Any]:
    api = {"Deployment": "apps/v1", "Pod": "v1", "Node": "v1", "Namespace": "v1", "ConfigMap": "v1"}
    api |= {"LeaderWorkerSet": "leaderworkerset.x-k8s.io/v1"}
    metadata = {"name": name, "uid": uid or f"{kind}-{name}", "resourceVersion": str(version)}
    metadata |= {"namespace": namespace} if namespace else {}
    metadata |= rest.pop("metadata", {})
    return {"apiVersion": api.get(kind, API_VERSION), "kind": kind, "metadata": metadata, **rest}


def service(version: int = 1, model: str = "tiny", pool: str = "cpu", **rest: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"model": {"name": model}, "resourcePool": pool, "flavor": "small"} | rest.pop("spec", {})
    return made("ModelService", "assistant", version, "team-a", spec=spec, **rest)


def pool(version: int = 1, **rest: Any) -> dict[str, Any]:
    return made("ResourcePool", "cpu", version, spec=rest.pop("spec", {"nodeSelector": {"zone": "a"}}), **rest)


def model(version: int = 1, **rest: Any) -> dict[str, Any]:
    return made("Model", "tiny", version, spec=rest.pop("spec", {}), **rest)


def pod(version: int = 1, node: str | None = None, **rest: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": []} | ({"nodeName": node} if node else {})
    labels = rest.pop("labels", OURS)
    return made("Pod", "p", version, "team-a", spec=spec, metadata={"labels": labels}, **rest)


@pytest.fixture
def store() -> Store:
    """A store with a service, its model and its pool."""
    filled = Store()
    for raw in (model(), pool(), service(), made("Node", "n1", metadata={"labels": {"zone": "a"}})):
        filled.put(raw)
    return filled


def test_a_service_alters_those_that_it_names() -> None:
    assert Store().put(service()) == {SERVICE, POOL, MODEL}


def test_a_changed_spec_alters_the_service_alone(store: Store) -> None:
    assert store.put(service(2, spec={"instances": 2})) == {SERVICE}


def test_another_pool_alters_the_old_and_the_new(store: Store) -> None:
    assert store.put(service(2, pool="gpu")) == {SERVICE, POOL, Key("ResourcePool", "", "gpu")}
    seen = store.snapshot(POOL)
    assert isinstance(seen, PoolSeen)
    assert seen.users == []


def test_an_older_state_changes_nothing(store: Store) -> None:
    store.put(service(5, spec={"instances": 5}))
    assert store.put(service(4, spec={"instances": 4})) == set()
    seen = store.snapshot(SERVICE)
    assert isinstance(seen, ServiceSeen)
    assert seen.service["spec"]["instances"] == 5


def test_our_own_status_is_no_news(store: Store) -> None:
    store.objects.expect_status(SERVICE, {"phase": "Running"})
    assert store.put(service(2, status={"phase": "Running"})) == set()


def test_a_status_that_someone_else_wrote_is_news(store: Store) -> None:
    store.objects.expect_status(SERVICE, {"phase": "Running"})
    store.put(service(2, status={"phase": "Running"}))
    assert store.put(service(3, status={"phase": "Stopped"})) == {SERVICE}


def test_a_pools_or_models_spec_alters_its_services_and_their_status_does_not(store: Store) -> None:
    assert store.put(pool(2, spec={"nodeSelector": {"zone": "b"}})) == {POOL, SERVICE}
    assert store.put(model(2, spec={"series": "x"})) == {MODEL, SERVICE}
    store.objects.expect_status(POOL, {"services": 1})
    assert store.put(pool(3, spec={"nodeSelector": {"zone": "b"}}, status={"services": 1})) == set()


def test_a_model_that_comes_or_goes_alters_its_services(store: Store) -> None:
    assert store.drop(MODEL) == {MODEL, SERVICE}
    seen = store.snapshot(SERVICE)
    assert isinstance(seen, ServiceSeen)
    assert seen.model is None
    assert store.put(model(9, uid="another")) == {MODEL, SERVICE}


def test_a_snapshot_after_a_status_was_written_shows_it(store: Store) -> None:
    assert isinstance(store.snapshot(MODEL), ModelSeen)
    store.put(model(2, status={"services": 1}))
    seen = store.snapshot(MODEL)
    assert isinstance(seen, ModelSeen)
    assert seen.model["status"] == {"services": 1}


def deployment(version: int, labels: dict[str, str] = OURS, **rest: Any) -> dict[str, Any]:
    return made("Deployment", "assistant", version, "team-a", metadata={"labels": labels}, **rest)


def test_a_childs_spec_alters_its_service_and_its_status_does_not(store: Store) -> None:
    assert store.put(deployment(1, spec={"replicas": 1})) == {SERVICE}
    assert store.put(deployment(2, spec={"replicas": 1}, status={"readyReplicas": 1})) == set()
    assert store.put(deployment(3, spec={"replicas": 7})) == {SERVICE}
    assert store.drop(Key("Deployment", "team-a", "assistant")) == {SERVICE}


def test_that_no_pod_can_be_made_is_seen_of_a_deployments_status(store: Store) -> None:
    failing = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    store.put(deployment(1, spec={"replicas": 1}))
    assert store.put(deployment(2, spec={"replicas": 1}, status={"conditions": [failing]})) == {SERVICE}
    seen = store.snapshot(SERVICE)
    assert isinstance(seen, ServiceSeen)
    conditions = seen.children[("Deployment", "assistant")]["status"]["conditions"]
    assert conditions == [{"type": "ReplicaFailure", "message": "exceeded quota"}]
    over = failing | {"status": "False"}
    assert store.put(deployment(3, spec={"replicas": 1}, status={"conditions": [over]})) == {SERVICE}


def test_a_strangers_object_is_kept_as_a_stub_and_seen_by_the_service_of_its_name(store: Store) -> None:
    assert store.put(deployment(1, labels={"app": "x"}, spec={"replicas": 1})) == {SERVICE}
    seen = store.snapshot(SERVICE)
    assert isinstance(seen, ServiceSeen)
    assert seen.children[("Deployment", "assistant")].keys() == {"kind", "metadata"}
    assert store.drop(Key("Deployment", "team-a", "assistant")) == {SERVICE}


def test_a_child_whose_label_was_taken_off_is_still_seen_whole(store: Store) -> None:
    owner = {"apiVersion": API_VERSION, "kind": "ModelService", "name": "assistant", "uid": "u", "controller": True}
    raw = deployment(1, labels={}, spec={"replicas": 1})
    raw["metadata"]["ownerReferences"] = [owner]
    store.put(raw)
    seen = store.snapshot(SERVICE)
    assert isinstance(seen, ServiceSeen)
    assert seen.children[("Deployment", "assistant")]["spec"] == {"replicas": 1}


def test_a_leader_worker_set_is_found_by_its_label_under_any_name(store: Store) -> None:
    made_set = made("LeaderWorkerSet", "assistant-1a2b", 1, "team-a", metadata={"labels": OURS}, spec={"replicas": 1})
    assert store.put(made_set) == {SERVICE}
    seen = store.snapshot(SERVICE)
    assert isinstance(seen, ServiceSeen)
    assert seen.children[("LeaderWorkerSet", "assistant-1a2b")]["spec"] == {"replicas": 1}
    assert store.drop(Key("LeaderWorkerSet", "team-a", "assistant-1a2b")) == {SERVICE}


def test_a_kind_that_the_cluster_lacks_is_known_to_each_decision(store: Store) -> None:
    assert store.known("LeaderWorkerSet", True) == set(), "as it was"
    assert store.known("LeaderWorkerSet", False) == {SERVICE}
    assert store.known("LeaderWorkerSet", False) == set()
    seen = store.snapshot(SERVICE)
    assert isinstance(seen, ServiceSeen)
    assert seen.absent == {"LeaderWorkerSet"}
    assert store.known("LeaderWorkerSet", True) == {SERVICE}


def test_config_maps_are_found_by_their_label(store: Store) -> None:
    raw = made("ConfigMap", "assistant-1234", 1, "team-a", metadata={"labels": OURS}, data={"a": "b"})
    assert store.put(raw) == {SERVICE}
    seen = store.snapshot(SERVICE)
    assert isinstance(seen, ServiceSeen)
    assert seen.children[("ConfigMap", "assistant-1234")]["data"] == {"a": "b"}


def test_a_pod_alters_its_service_and_when_it_moves_room_its_pool(store: Store) -> None:
    assert store.put(pod(1)) == {SERVICE, POOL}
    assert store.put(pod(2, status={"conditions": [{"type": "Ready", "status": "False"}]})) == set()
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    assert store.put(pod(3, status=ready)) == {SERVICE}
    assert store.put(pod(4, node="n1", status=ready)) == {SERVICE, POOL}
    assert store.drop(Key("Pod", "team-a", "p")) == {SERVICE, POOL}


def test_another_tenants_pod_alters_the_pools_of_its_node(store: Store) -> None:
    assert store.put(pod(1, labels={})) == set()
    assert store.put(pod(2, node="n1", labels={})) == {POOL}


def test_a_heartbeat_of_a_node_alters_nothing(store: Store) -> None:
    labels: dict[str, Any] = {"metadata": {"labels": {"zone": "a"}}}
    beat = {"conditions": [{"type": "Ready", "status": "False", "lastHeartbeatTime": "now"}]}
    assert store.put(made("Node", "n1", 2, **labels, status=beat)) == set()
    beat = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert store.put(made("Node", "n1", 3, **labels, status=beat)) == {POOL}


def test_a_node_that_dies_or_comes_back_alters_the_services_on_it(store: Store) -> None:
    labels: dict[str, Any] = {"metadata": {"labels": {"zone": "a"}}}
    store.put(pod(1, node="n1"))
    for version, ready, altered in ((2, "True", {POOL, SERVICE}), (3, "Unknown", {POOL, SERVICE}), (4, "False", set())):
        status = {"conditions": [{"type": "Ready", "status": ready}]}
        assert store.put(made("Node", "n1", version, **labels, status=status)) == altered, ready
    closed = {"unschedulable": True}
    assert store.put(made("Node", "n1", 5, **labels, status=status, spec=closed)) == {POOL}, "what runs there stays"


def test_a_namespaces_labels_alter_its_services(store: Store) -> None:
    assert store.put(made("Namespace", "team-a", 1, metadata={"labels": {"tier": "gold"}})) == {SERVICE}
    assert store.put(made("Namespace", "team-a", 2, metadata={"labels": {"tier": "gold"}}, status={})) == set()
    assert store.put(made("Namespace", "team-b", 1, metadata={"labels": {"tier": "gold"}})) == set()


def api_key(name: str, version: int = 1, **spec: str) -> dict[str, Any]:
    return made("ApiKey", name, version, "team-a", spec=spec)


def test_m22_a_key_that_comes_or_goes_alters_the_younger_keys_of_its_account() -> None:
    store = Store()
    one, two = Key("ApiKey", "team-a", "one"), Key("ApiKey", "team-a", "two")
    assert store.put(api_key("one")) == {one}
    assert store.put(api_key("two")) == {two}
    seen = store.snapshot(one)
    assert isinstance(seen, ApiKeySeen)
    assert [key["metadata"]["name"] for key in seen.account] == ["one", "two"]
    assert store.put(api_key("two", 2, tag="x")) == {two}
    between = Key("ApiKey", "team-a", "three")
    assert store.put(api_key("three")) == {between, two}, "of one second, the name decides"
    assert store.drop(one) == {one, two, between}
    assert store.snapshot(one) is None


def product(name: str, version: int, id_: str | None = "1", **spec: Any) -> dict[str, Any]:
    product = {"product": {"id": id_, "name": "p", "modelName": "m"}} if id_ else {}
    return made("Model", name, version, spec={**product, **spec})


def same_product(store: Store, key: Key) -> list[str]:
    seen = store.snapshot(key)
    assert isinstance(seen, ModelSeen)
    return [each["metadata"]["name"] for each in seen.same_product]


def test_i2_a_product_that_comes_or_goes_alters_the_models_with_its_id() -> None:
    store = Store()
    one, two = Key("Model", "", "one"), Key("Model", "", "two")
    assert store.put(product("one", 1)) == {one}
    assert store.put(product("two", 2)) == {one, two}
    assert same_product(store, one) == same_product(store, two) == ["one", "two"]
    assert store.put(product("two", 3, series="x")) == {two}, "its product is the same"
    assert store.put(product("two", 4, "2")) == {one, two}
    assert (same_product(store, one), same_product(store, two)) == (["one"], ["two"])
    assert store.put(product("two", 5)) == {one, two}
    assert store.put(product("two", 6, None)) == {one, two}
    assert (same_product(store, one), same_product(store, two)) == (["one"], [])
    assert store.put(product("two", 7)) == {one, two}
    assert store.drop(one) == {one, two}
    assert same_product(store, two) == ["two"]


def test_a_late_answer_does_not_bring_a_deleted_object_back(store: Store) -> None:
    store.drop(SERVICE, "ModelService-assistant")
    assert store.put(service(9)) == set()
    assert store.snapshot(SERVICE) is None


def test_an_end_of_an_earlier_object_of_the_name_changes_nothing(store: Store) -> None:
    store.put(service(9, uid="another"))
    assert store.drop(SERVICE, "ModelService-assistant") == set()
    assert store.snapshot(SERVICE) is not None


def test_an_object_made_anew_takes_the_place_of_the_old(store: Store) -> None:
    assert SERVICE in store.put(service(9, uid="another"))
    assert store.put(service(10)) == set(), "the old one has been seen to end"


def test_what_was_put_is_dropped_without_a_trace() -> None:
    store = Store()
    raws = [model(), pool(), service(), deployment(1), pod(1, node="n1"), api_key("k")]
    raws.append(made("Namespace", "team-a", 1, metadata={"labels": {"a": "b"}}))
    for raw in raws:
        store.put(raw)
    for raw in raws:
        store.drop(Key.of(raw))
    assert store.nodes() == ()
    fresh = Store()
    store._deleted.clear()
    assert contents(store) == contents(fresh)


def contents(value: Any) -> Any:
    """All that an object holds, however deep."""
    if isinstance(value, dict):
        return {repr(key): contents(each) for key, each in value.items()}
    if hasattr(value, "__dict__"):
        return {name: contents(each) for name, each in vars(value).items()}
    return repr(value)


def test_what_a_decision_has_to_know_of_the_last_one_is_kept_as_long_as_the_service() -> None:
    store = Store()
    store.put(service())

    def remembered() -> ScalingMemory | None:
        seen = store.snapshot(SERVICE)
        assert isinstance(seen, ServiceSeen)
        return seen.scaling_memory

    assert remembered() is None
    store.remember(SERVICE, ScalingMemory())
    assert remembered() == ScalingMemory()
    store.remember(SERVICE, None)
    assert remembered() is None
    store.remember(SERVICE, ScalingMemory())
    store.drop(SERVICE)
    store.remember(SERVICE, ScalingMemory())
    store.put(made("ModelService", "assistant", 3, "team-a", "another", spec=service()["spec"]))
    assert remembered() is None


def test_what_a_pods_removal_costs_is_seen() -> None:
    store = Store()
    store.put(service())
    marked = pod()
    marked["metadata"]["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": "6"}
    store.put(marked)
    seen = store.snapshot(SERVICE)
    assert isinstance(seen, ServiceSeen)
    assert [each.deletion_cost for each in seen.pods] == ["6"]


def test_what_was_measured_is_seen_until_the_service_goes(store: Store) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    measured = Measured(now, {}, None, None, None, None)
    assert store.measured(SERVICE, measured) == set()
    seen = store.snapshot(SERVICE)
    assert isinstance(seen, ServiceSeen)
    assert seen.measured is measured
    store.drop(SERVICE)
    assert store.measured(SERVICE, measured) == set(), "it is gone"
    store.put(service(9, metadata={"uid": "another"}))
    seen = store.snapshot(SERVICE)
    assert isinstance(seen, ServiceSeen)
    assert seen.measured is None


@pytest.mark.parametrize(
    ("spec", "follows"),
    [
        ({}, False),
        ({"autoStop": {"after": "1h"}}, False),
        ({"autoStop": {"afterIdle": "1h"}}, True),
        ({"scaling": {}}, True),
    ],
)
def test_services_whose_instances_follow_their_load_are_decided_at_each_look(
    store: Store, spec: dict[str, Any], follows: bool
) -> None:
    store.put(service(2, spec=spec))
    busy = Measured(datetime(2026, 1, 2, tzinfo=UTC), {}, 1.0, 1, None, None)
    assert store.measured(SERVICE, busy) == ({SERVICE} if follows else set())
    store.put(service(3))
    assert store.measured(SERVICE, replace(busy, held=2)) == set()


def test_every_service_is_there_with_its_pods(store: Store) -> None:
    store.put(pod())
    (found,) = store.services()
    assert (found.key, found.uid, [each.name for each in found.pods]) == (SERVICE, "ModelService-assistant", ["p"])
