"""What nodes are counted to hold, pod by pod, is what counting anew would give."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.names import FIELD_MANAGER, LABEL_MANAGED_BY, LABEL_SERVICE
from maas_operator.watch.store import Store

NODES = ("a", "b")
POD_NAMES = ("p1", "p2", "p3")

pods = st.fixed_dictionaries(
    {
        "name": st.sampled_from(POD_NAMES),
        "node": st.sampled_from((*NODES, "unknown", None)),
        "phase": st.sampled_from(("Pending", "Running", "Succeeded", "Failed")),
        "ours": st.booleans(),
        "cpu": st.sampled_from(("0", "1", "250m")),
        "devices": st.sampled_from((None, "2")),
    }
)
steps = st.lists(st.one_of(st.tuples(st.just("put"), pods), st.tuples(st.just("drop"), pods)), max_size=40)


def pod(facts: dict[str, Any], version: int) -> dict[str, Any]:
    labels = {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_SERVICE: "s"} if facts["ours"] else {}
    requests = {"cpu": facts["cpu"]} | ({"huawei.com/Ascend910": facts["devices"]} if facts["devices"] else {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": facts["name"],
            "namespace": "ns",
            "uid": facts["name"] + str(version),
            "resourceVersion": str(version),
            "labels": labels,
        },
        "spec": {"containers": [{"resources": {"requests": requests}}]}
        | ({"nodeName": facts["node"]} if facts["node"] else {}),
        "status": {"phase": facts["phase"]},
    }


def node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": {"zone": name}},
        "status": {"allocatable": {"cpu": "8"}},
    }


@given(steps)
def test_what_is_kept_is_what_counting_anew_gives(steps: list[tuple[str, dict[str, Any]]]) -> None:
    store, there = Store(), {}
    for name in NODES:
        store.put(node(name))
    for version, (act, facts) in enumerate(steps, start=10):
        raw = pod(facts, version)
        if act == "put":
            store.put(raw)
            there[facts["name"]] = facts
        elif facts["name"] in there:
            key = next(key for key in store.versions("Pod") if key.name == facts["name"])
            store.drop(key)
            del there[facts["name"]]
    for seen in store.nodes():
        on_it = [f for f in there.values() if f["node"] == seen.name and f["phase"] in {"Pending", "Running"}]
        assert seen.pods == len(on_it)
        assert seen.model_pods == sum(facts["ours"] for facts in on_it)
        assert dict(seen.requested) == counted(on_it)
        assert dict(seen.requested_by_models) == counted([facts for facts in on_it if facts["ours"]])


def counted(pods: list[dict[str, Any]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for facts in pods:
        total["cpu"] += {"0": 0, "1": 1000, "250m": 250}[facts["cpu"]]
        total["huawei.com/Ascend910"] += int(facts["devices"] or 0)
    return {name: amount for name, amount in total.items() if amount}


def test_nothing_changed_gives_the_same_nodes() -> None:
    store = Store()
    store.put(node("a"))
    before = store.nodes()
    store.put(node("a") | {"metadata": node("a")["metadata"] | {"resourceVersion": "2"}})  # a heartbeat
    assert store.nodes() is before
