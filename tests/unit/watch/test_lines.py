"""Who stands in line, and whose decision each change may alter: kept one by one is what counting anew gives."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.names import API_VERSION, LINE_SHOWN
from maas_operator.api.seen import ServiceSeen
from maas_operator.watch.keys import Key
from maas_operator.watch.lines import FRONT, Standings
from maas_operator.watch.store import Store

GPU = "nvidia.com/gpu"
POOL = Key("ResourcePool", "", "p")


def key(name: str, namespace: str = "a") -> Key:
    return Key("ModelService", namespace, name)


def service(name: str, since: str = "", waiting: int = 0, namespace: str = "a", **more: Any) -> dict[str, Any]:
    """With since: it asks for `waiting` instances more than it has, or waits for a quota."""
    priority = {"priorityClassName": more.pop("priority")} if "priority" in more else {}
    spec = {"model": {"name": "m"}, "resourcePool": "p", "flavor": "one"} | priority
    queue = {"since": since, "pool": "p", "flavor": "one", "resource": GPU, "placed": 0, "instances": waiting}
    queue |= {"quota": more.pop("quota")} if "quota" in more else {}
    status: dict[str, Any] = {"instances": {"desired": max(1, waiting)}} | ({"queue": queue} if since else {})
    metadata = {"name": name, "namespace": namespace, "uid": f"{namespace}-{name}", "resourceVersion": "1"} | more
    return {"apiVersion": API_VERSION, "kind": "ModelService", "metadata": metadata, "spec": spec, "status": status}


def put(standings: Standings, raw: dict[str, Any]) -> set[Key]:
    return standings.put(Key.of(raw), raw)


def line(standings: Standings) -> list[str]:
    return [each.name for each in standings.lines("p").get(GPU, ())]


def filled(count: int) -> Standings:
    standings = Standings()
    for number in range(count):
        put(standings, service(f"s{number:03}", f"2026-01-01T00:00:{number:06}Z", 1))
    return standings


def test_who_came_first_stands_first_and_who_lacks_nothing_stands_nowhere() -> None:
    standings = Standings()
    for raw in (service("late", "3", 1), service("runs"), service("early", "1", 2), service("being-placed", "2", 0)):
        put(standings, raw)
    assert line(standings) == ["early", "late"]
    assert [each.name for each in standings.asking("p")] == ["late", "early", "being-placed"]


def test_who_joins_or_leaves_has_those_behind_it_looked_at_and_the_pool() -> None:
    standings = filled(3)
    assert put(standings, service("s001")) == {key("s002"), POOL}
    assert put(standings, service("s001", "2026-01-01T00:00:000001Z", 1)) == {key("s002"), POOL}
    assert standings.drop(key("s000")) == {key("s001"), key("s002"), POOL}
    assert put(standings, service("s001", "2026-01-01T00:00:000001Z", 1)) == set(), "nothing changed"


def test_of_a_long_line_the_front_alone_is_shown_and_looked_at() -> None:
    standings = filled(5000)
    assert len(standings.lines("p")[GPU]) == LINE_SHOWN
    assert standings.lines("p")[GPU] is standings.lines("p")[GPU]
    altered = standings.drop(key("s000"))
    assert altered == {key(f"s{number:03}") for number in range(1, LINE_SHOWN + 1)} | {POOL}
    assert standings.drop(key("s4000")) == {POOL}
    assert standings.front("p") == {key(f"s{number:03}") for number in range(1, FRONT + 1)}


def test_what_is_expected_counts_at_once_and_is_told_when_it_stands() -> None:
    standings = filled(3)
    gone = service("s000")
    standings.expect(key("s000"), gone, gone["status"])
    assert line(standings) == ["s001", "s002"]
    assert put(standings, gone) == {key("s001"), key("s002"), POOL}
    assert put(standings, gone) == set()


def test_what_the_weights_of_those_who_wait_take_of_a_disk_is_known() -> None:
    standings, raw = filled(1), service("large", "2026-01-01T00:00:09Z", 1)
    raw["status"]["queue"]["ephemeralStorage"] = "3Mi"
    put(standings, raw)
    assert [each.disk for each in standings.lines("p")[GPU]] == [0, 3 * 2**20]


def test_a_service_that_is_being_deleted_waits_for_nothing() -> None:
    standings = filled(2)
    leaving = service("s000", "1", 1, deletionTimestamp="2026-01-01T00:00:00Z")
    assert put(standings, leaving) == {key("s001"), POOL}
    assert standings.drop(key("s000")) == set()


def test_those_that_wait_for_a_quota_are_looked_at_when_their_account_changes() -> None:
    standings = Standings()
    put(standings, service("waits", "1", 0, quota="q"))
    put(standings, service("waits", "1", 0, namespace="b", quota="q"))
    assert put(standings, service("x", "2", 0)) == {key("waits"), POOL}
    others = standings.others(key("x"), "p", {("a", "waits"): 3})
    assert [(each.who, each.quota, each.replicas) for each in others] == [("a/waits", "q", 3)]


def test_those_that_wait_for_a_quota_are_looked_at_when_a_deployment_of_their_account_changes() -> None:
    store = Store()
    for raw in (service("waits", "1", 0, quota="q"), service("uses")):
        store.put(raw)
    labels = {"app.kubernetes.io/managed-by": "maas-operator", "maas-operator.io/service": "uses"}
    metadata = {"name": "uses", "namespace": "a", "uid": "d", "resourceVersion": "1", "labels": labels}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": 3}}
    pool = {"apiVersion": API_VERSION, "kind": "ResourcePool", "spec": {"flavors": [], "quotas": [{"name": "q"}]}}
    store.put(pool | {"metadata": {"name": "p", "uid": "p", "resourceVersion": "1"}})

    def counted() -> list[tuple[str, int]]:
        seen = store.snapshot(key("waits"))
        assert isinstance(seen, ServiceSeen)
        return [(each.name, each.replicas) for each in seen.account]

    assert counted() == [("uses", 0)]
    assert store.put(deployment) == {key("uses"), key("waits")}
    assert counted() == [("uses", 3)]
    assert store.drop(Key("Deployment", "a", "uses")) == {key("uses"), key("waits")}
    assert counted() == [("uses", 0)]


def test_a_priority_class_moves_those_that_name_it() -> None:
    standings = Standings()
    put(standings, service("early", "1", 1))
    put(standings, service("late", "2", 1, priority="urgent"))
    assert standings.priority(key("late")) is None
    assert standings.put_class("urgent", {"value": 9}) == {key("late"), key("early"), POOL}
    assert (line(standings), standings.priority(key("late"))) == (["late", "early"], 9)
    assert standings.put_class("urgent", {"value": 9, "description": "more words"}) == set()
    assert standings.put_class("usual", {"value": 10, "globalDefault": True}) >= {key("early")}
    assert line(standings) == ["early", "late"]
    standings.put_class("usual", None)
    standings.put_class("urgent", None)
    assert (line(standings), standings.priority(key("late"))) == (["early", "late"], None)


def test_room_that_comes_or_goes_has_the_front_of_the_line_looked_at() -> None:
    store = Store()
    pool_kind = {"apiVersion": API_VERSION, "kind": "ResourcePool"}
    store.put(pool_kind | {"metadata": {"name": "p", "uid": "p", "resourceVersion": "1"}, "spec": {"flavors": []}})
    store.put(service("s", "1", 1))
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "uid": "n", "resourceVersion": "1"}}
    assert store.put(node) == {POOL, key("s")}
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": "n", "containers": []}}
    pod["metadata"] = {"name": "stranger", "namespace": "x", "uid": "x", "resourceVersion": "1"}
    assert store.put(pod) == {POOL, key("s")}


def test_a_priority_class_is_kept_by_the_store() -> None:
    store = Store()
    store.put(service("s", "1", 1, priority="urgent"))
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 5}
    assert store.put(kind | {"metadata": {"name": "urgent", "uid": "u", "resourceVersion": "1"}}) == {key("s"), POOL}
    seen = store.snapshot(key("s"))
    assert getattr(seen, "priority", None) == 5
    assert store.drop(Key("PriorityClass", "", "urgent")) == {key("s"), POOL}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from(["put", "expect", "drop"]),
        st.sampled_from(["", "1", "2"]),
        st.integers(0, 2),
    ),
    max_size=30,
)


@given(STEPS)
def test_what_is_kept_is_what_putting_anew_gives(steps: list[tuple[str, str, str, int]]) -> None:
    standings = Standings()
    there: dict[str, dict[str, Any]] = {}
    for name, what, since, waiting in steps:
        raw = service(name, since, waiting if since else 0)
        if what == "drop":
            there.pop(name, None)
            standings.drop(key(name))
        elif what == "put":
            there[name] = raw
            put(standings, raw)
        elif name in there:
            there[name] = raw
            standings.expect(key(name), raw, raw["status"])
    anew = Standings()
    for raw in there.values():
        put(anew, raw)
    assert standings.lines("p") == anew.lines("p")
    assert sorted(standings.asking("p"), key=str) == sorted(anew.asking("p"), key=str)
    for name in there:
        assert sorted(standings.others(key(name), "p", {}), key=str) == sorted(anew.others(key(name), "p", {}), key=str)
