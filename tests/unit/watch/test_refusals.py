"""Why hosts of instances are not made, from the events of the StatefulSets that a LeaderWorkerSet is made of."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from maas_operator.api.names import LABEL_LWS_GROUP, LABEL_LWS_NAME
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.watch import refusals
from maas_operator.watch.keys import Key
from maas_operator.watch.objects import Altered
from maas_operator.watch.refusals import RECENT, Refusals
from maas_operator.watch.store import Store
from tests.unit.watch.test_store import OURS, SERVICE, made, service

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUOTA = 'create Pod set-0 in StatefulSet set failed error: pods "set-0" is forbidden: exceeded quota: small'


def group_set(replicas: int = 1, version: int = 1) -> Manifest:
    spec = {"replicas": replicas, "leaderWorkerTemplate": {"size": 2}}
    return made("LeaderWorkerSet", "set", version, "team-a", spec=spec, metadata={"labels": OURS})


def host(name: str, group: str = "0") -> Manifest:
    labels = OURS | {LABEL_LWS_NAME: "set", LABEL_LWS_GROUP: group}
    return made("Pod", name, 1, "team-a", spec={"containers": []}, metadata={"labels": labels})


def event(message: str = QUOTA, of: str = "set", kind: str = "StatefulSet", ago: timedelta = timedelta()) -> Manifest:
    what = {"kind": kind, "name": of}
    return {"metadata": {}, "involvedObject": what, "message": message, "lastTimestamp": (NOW - ago).isoformat()}


class House:
    """A store with a service of one instance of two hosts, whose API server answers with these events."""

    def __init__(self, *events: Manifest) -> None:
        self.store = Store()
        self.store.put(service())
        self.store.put(group_set())
        self.events: list[Manifest] | OSError = list(events)
        self.asked: list[Mapping[str, str]] = []
        self.altered: list[Altered] = []
        self.refusals = Refusals(self.store, self.altered.append, self.read)

    async def read(self, path: str, query: Mapping[str, str] = {}, metadata_only: bool = False) -> Manifest:
        assert path == "/api/v1/namespaces/team-a/events"
        self.asked.append(query)
        if isinstance(self.events, OSError):
            raise self.events
        return {"items": self.events}

    def look(self, times: int = 2) -> None:
        for _ in range(times):
            asyncio.run(self.refusals.look(NOW))

    def refused(self) -> str | None:
        seen = self.store.snapshot(SERVICE)
        assert isinstance(seen, ServiceSeen)
        return seen.refused


def test_a_quotas_words_are_told_once_hosts_are_missing_for_a_while() -> None:
    house = House(event())
    house.look(1)
    assert [house.asked, house.refused()] == [[], None], "they may be just about to be made"
    house.look(1)
    assert house.refused() == QUOTA
    assert house.asked == [{"fieldSelector": "reason=FailedCreate,type=Warning", "limit": "500"}]
    house.look(1)
    assert house.altered == [set(), {SERVICE}, set()]


def test_the_workers_are_asked_about_too() -> None:
    house = House(event(of="set-0"))
    house.store.put(host("set-0"))
    house.look()
    assert house.refused() == QUOTA


def test_once_all_hosts_are_there_nothing_is_held_against_it_and_nobody_asked() -> None:
    house = House(event())
    house.look()
    for name in ("set-0", "set-0-1"):
        house.store.put(host(name))
    asked = len(house.asked)
    house.look()
    assert (house.refused(), len(house.asked)) == (None, asked)
    assert {SERVICE} in house.altered[2:]


def test_what_leaves_is_no_host_and_what_is_asked_for_no_more_is_not_missing() -> None:
    house = House(event())
    house.store.put(host("set-0"))
    leaving = host("set-0-1")
    leaving["metadata"]["deletionTimestamp"] = NOW.isoformat()
    house.store.put(leaving)
    house.look()
    assert house.refused() == QUOTA
    house.store.put(group_set(replicas=0, version=2))
    house.look()
    assert house.refused() is None


def test_events_of_others_and_of_long_ago_tell_nothing() -> None:
    house = House(
        event(of="set-other"),
        event(of="another"),
        event(kind="ReplicaSet"),
        event(ago=RECENT + timedelta(seconds=1)),
        {"metadata": {}, "involvedObject": {"kind": "StatefulSet", "name": "set"}, "message": QUOTA},
    )
    house.look()
    assert house.refused() is None


def test_the_newest_words_count() -> None:
    house = House(event("old", ago=timedelta(minutes=5)), event("new"), event("older", ago=timedelta(minutes=9)))
    house.look()
    assert house.refused() == "new"


def test_events_that_cannot_be_asked_for_change_nothing() -> None:
    house = House(event())
    house.look()
    house.events = OSError("away")
    house.look()
    assert house.refused() == QUOTA


def test_a_set_that_is_gone_is_not_asked_about() -> None:
    house = House(event())
    house.look(1)
    house.store.drop(Key("LeaderWorkerSet", "team-a", "set"), "LeaderWorkerSet-set")
    house.look()
    assert house.asked == []


def test_an_event_on_something_without_a_name_stops_no_other() -> None:
    house = House({"metadata": {}, "involvedObject": {"kind": "StatefulSet"}, "message": "odd"}, event())
    house.look()
    assert house.refused() == QUOTA


async def test_what_is_unheard_of_does_not_end_the_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "LOOK_SECONDS", 0.001)
    house, looked = House(event()), asyncio.Event()
    failing, read = iter([ZeroDivisionError(), KeyError()]), house.read

    async def sometimes(path: str, query: Mapping[str, str] = {}, metadata_only: bool = False) -> Manifest:
        if error := next(failing, None):
            raise error
        looked.set()
        return await read(path, query, metadata_only)

    monkeypatch.setattr(house.refusals, "_read", sometimes)
    with capture_logs() as logs:
        running = asyncio.create_task(house.refusals.run())
        async with asyncio.timeout(10):
            await looked.wait()
        running.cancel()
    assert [each["task"] for each in logs] == ["refusals"] * 2
