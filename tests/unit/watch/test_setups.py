"""Why nodes cannot set pods up, from the events of those that wait."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maas_operator.act.answers import ApiError
from maas_operator.api.seen import Failure, Manifest, ServiceSeen
from maas_operator.watch.objects import Altered
from maas_operator.watch.setups import MOST_ASKED, PATIENCE, Setups, failure
from maas_operator.watch.store import Store
from tests.unit.watch.test_store import OURS, SERVICE, made, service

GIVEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATE = GIVEN + PATIENCE + timedelta(seconds=1)
MISSING = 'MountVolume.SetUp failed for volume "hccn-conf" : hostPath type check failed: /etc/hccn.conf is not a file'


def pod(name: str = "p", version: int = 1, is_set_up: str = "False", given: datetime = GIVEN) -> Manifest:
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": given.isoformat()},
        {"type": "PodReadyToStartContainers", "status": is_set_up},
    ]
    spec = {"containers": [], "nodeName": "npu-7"}
    status = {"phase": "Pending", "conditions": conditions}
    return made("Pod", name, version, "team-a", spec=spec, status=status, metadata={"labels": OURS})


def event(message: str, reason: str = "FailedMount", at: str = "2026-01-02T03:04:06Z") -> Manifest:
    return {"metadata": {}, "reason": reason, "message": message, "lastTimestamp": at}


class House:
    """A store with a service, whose API server answers with these events."""

    def __init__(self, *events: Manifest) -> None:
        self.store = Store()
        self.store.put(service())
        self.events: list[Manifest] | OSError = list(events)
        self.asked: list[Mapping[str, str]] = []
        self.altered: list[Altered] = []
        self.setups = Setups(self.store, self.altered.append, self.read)

    async def read(self, path: str, query: Mapping[str, str] = {}, metadata_only: bool = False) -> Manifest:
        assert path == "/api/v1/namespaces/team-a/events"
        self.asked.append(query)
        if isinstance(self.events, OSError):
            raise self.events
        return {"items": self.events}

    def look(self, now: datetime = LATE) -> None:
        asyncio.run(self.setups.look(now))

    def failures(self) -> list[Failure | None]:
        seen = self.store.snapshot(SERVICE)
        assert isinstance(seen, ServiceSeen)
        return [each.failure for each in seen.pods]


def test_what_a_node_lacks_is_told_of_the_pod_and_alters_its_service_once() -> None:
    house = House(event(MISSING))
    house.store.put(pod())
    house.look()
    assert house.failures() == [Failure("FailedMount", MISSING, node="npu-7")]
    house.look()
    assert house.altered == [{SERVICE}, set()]
    assert house.asked[0]["fieldSelector"] == "involvedObject.uid=Pod-p,type=Warning"


def test_a_pod_is_not_asked_about_before_its_node_has_had_time() -> None:
    house = House(event(MISSING))
    house.store.put(pod())
    house.look(GIVEN + PATIENCE)
    assert [house.asked, house.failures()] == [[], [None]]


def test_once_the_pod_is_set_up_nothing_is_held_against_it() -> None:
    house = House(event(MISSING))
    house.store.put(pod())
    house.look()
    house.store.put(pod(version=2, is_set_up="True"))
    assert house.failures() == [None]
    house.look()
    assert len(house.asked) == 1


def test_a_pod_that_is_gone_is_not_asked_about() -> None:
    house = House(event(MISSING))
    raw = pod()
    house.store.put(raw)
    house.store.drop(next(iter(house.store.versions("Pod"))), raw["metadata"]["uid"])
    house.look()
    assert house.asked == []


def test_where_events_may_not_be_listed_what_is_known_stays() -> None:
    house = House(event(MISSING))
    house.store.put(pod())
    house.look()
    house.events = ApiError(403, {"message": "events is forbidden"})
    house.look()
    assert house.failures() == [Failure("FailedMount", MISSING, node="npu-7")]


def test_of_many_pods_those_that_wait_longest_are_asked_about() -> None:
    house = House()
    for number in range(MOST_ASKED + 1):
        house.store.put(pod(f"p{number}", given=GIVEN - timedelta(seconds=number)))
    house.look()
    assert len(house.asked) == MOST_ASKED
    assert not any("Pod-p0," in each["fieldSelector"] for each in house.asked)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], None),
        ([event("Back-off", "BackOff")], None),
        ([event("old", at="2026-01-02T03:00:00Z"), event("new")], "new"),
        ([event(MISSING, at="2026-01-02T03:00:00Z"), event("Unable to attach or mount volumes")], MISSING),
        ([event("no runtime for ascend", "FailedCreatePodSandBox")], "no runtime for ascend"),
    ],
)  # fmt: skip
def test_of_several_events_one_tells(events: list[Manifest], expected: str | None) -> None:
    store = Store()
    store.put(service())
    store.put(pod())
    found: Any = failure(store.set_up()[0], events)
    assert (found.message if found else None) == expected
