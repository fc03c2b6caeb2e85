"""Comparing with the API server: what no event told of is found."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from maas_operator.api.seen import Manifest
from maas_operator.watch import resync
from maas_operator.watch.keys import Key
from maas_operator.watch.resync import Resync
from maas_operator.watch.store import Store
from maas_operator.watch.watched import CONFIG_MAPS, WATCHED

TOPICS = next(each for each in WATCHED if each.plural == "notificationtopics")
OURS = {"app.kubernetes.io/managed-by": "maas-operator", "maas-operator.io/service": "a"}


def topic(name: str, version: int, **rest: Any) -> Manifest:
    metadata = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(version)}
    return {"apiVersion": "maas-operator.io/v1alpha1", "kind": "NotificationTopic", "metadata": metadata, **rest}


def key(name: str) -> Key:
    return Key("NotificationTopic", "ns", name)


class FakeServer:
    """Lists its objects, two a page, as of one moment; and gives them one by one."""

    def __init__(self, moment: int, *objects: Manifest) -> None:
        self.moment = moment
        self.objects = {each["metadata"]["name"]: each for each in objects}
        self.asked: list[str] = []

    async def read(self, path: str, query: Mapping[str, str] | None = None, metadata_only: bool = False) -> Any:
        self.asked.append(path)
        if path != TOPICS.path:
            return self.objects.get(path.rpartition("/")[2])
        start = int((query or {}).get("continue", "0"))
        page = [{"metadata": each["metadata"]} for each in self.objects.values()][start : start + 2]
        more = str(start + 2) if start + 2 < len(self.objects) else ""
        return {"metadata": {"resourceVersion": str(self.moment), "continue": more}, "items": page or None}


def compared(store: Store, read: Any) -> Resync:
    def keep(raw: Manifest) -> None:
        store.put(raw)

    def drop(gone: Key, uid: str) -> None:
        store.drop(gone, uid)

    return Resync(store, read, keep, drop)


async def test_what_is_gone_is_dropped_and_what_is_younger_than_the_listing_stays() -> None:
    store = Store()
    for raw in (topic("there", 1), topic("gone", 2), topic("just-made", 11)):
        store.put(raw)
    await compared(store, FakeServer(10, topic("there", 1)).read).compare(TOPICS)
    assert store.versions("NotificationTopic").keys() == {key("there"), key("just-made")}


async def test_the_last_object_of_a_kind_is_dropped_too() -> None:
    store = Store()
    store.put(topic("gone", 2))
    await compared(store, FakeServer(10).read).compare(TOPICS)
    assert not store.versions("NotificationTopic")


async def test_what_differs_is_fetched_and_nothing_else() -> None:
    store = Store()
    for raw in (topic("same", 1), topic("changed", 2)):
        store.put(raw)
    server = FakeServer(10, topic("same", 1), topic("changed", 7, spec={"description": "new"}), topic("missed", 8))
    await compared(store, server.read).compare(TOPICS)
    assert [path.rpartition("/")[2] for path in server.asked if path != TOPICS.path] == ["changed", "missed"]
    assert store.versions("NotificationTopic")[key("changed")].resource_version == 7
    assert key("missed") in store.versions("NotificationTopic")


async def test_a_first_listing_waits_for_the_watch_and_fetches_what_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "ARRIVAL_SECONDS", 0.05)
    monkeypatch.setattr(resync, "LOOK_SECONDS", 0.01)
    store = Store()
    server = FakeServer(10, topic("late", 1))
    await compared(store, server.read).arrived(TOPICS)
    assert key("late") in store.versions("NotificationTopic")
    assert server.asked.count(TOPICS.path) == 1


async def test_while_a_long_listing_still_arrives_by_the_watch_nothing_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resync, "ARRIVAL_SECONDS", 0.2)
    monkeypatch.setattr(resync, "LOOK_SECONDS", 0.01)
    topics = [topic(f"t{number}", 1) for number in range(20)]
    store, server = Store(), FakeServer(10, *topics)

    async def watched() -> None:
        for each in topics:
            await asyncio.sleep(0.03)
            store.put(each)

    await asyncio.gather(compared(store, server.read).arrived(TOPICS), watched())
    assert set(server.asked) == {TOPICS.path}


async def test_a_kind_that_nobody_knows_is_not_taken_for_an_empty_one() -> None:
    store = Store()
    store.put(topic("kept", 1))

    async def read(path: str, query: Mapping[str, str] | None = None, metadata_only: bool = False) -> Any:
        return None

    made = compared(store, read)
    with pytest.raises(LookupError):
        await made.compare(TOPICS)
    with pytest.raises(LookupError):
        await made.arrived(TOPICS)
    assert key("kept") in store.versions("NotificationTopic")


async def test_config_maps_are_listed_whole() -> None:
    store = Store()
    metadata = {"name": "a-1", "namespace": "ns", "uid": "u", "resourceVersion": "5", "labels": OURS}

    async def read(path: str, query: Mapping[str, str] | None = None, metadata_only: bool = False) -> Any:
        assert (query or {})["labelSelector"] == "app.kubernetes.io/managed-by=maas-operator"
        assert not metadata_only
        return {"metadata": {"resourceVersion": "9"}, "items": [{"metadata": metadata, "data": {"a": "b"}}]}

    made = compared(store, read)
    await made.arrived(CONFIG_MAPS)
    assert Key("ConfigMap", "ns", "a-1") in store.versions("ConfigMap")
