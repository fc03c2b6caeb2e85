"""The reconcile: status even when acting failed, no write where none is due, and errors that name the object."""

from datetime import datetime
from typing import Any

import pytest
import structlog

from maas_operator.act.answers import ApiError
from maas_operator.act.cluster import Cluster
from maas_operator.act.events import Events
from maas_operator.act.executor import Executor
from maas_operator.api.decision import Apply, Decision, Event
from maas_operator.api.seen import Manifest, ScalingMemory, TopicSeen, WriteFailure
from maas_operator.reconcile import Reconciler, Rule, TryAgain
from maas_operator.watch.keys import Key
from maas_operator.watch.store import Store
from tests.unit.act.fakes import FakeHttp

KEY = Key("NotificationTopic", "ns", "ops")
STATUS_PATH = "/apis/maas-operator.io/v1alpha1/namespaces/ns/notificationtopics/ops/status"
CHILD = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ops", "namespace": "ns"}}
CHILD_PATH = "/api/v1/namespaces/ns/services/ops"


def topic(status: Manifest | None = None) -> Manifest:
    metadata = {"name": "ops", "namespace": "ns", "uid": "u", "resourceVersion": "1"}
    raw = {"apiVersion": "maas-operator.io/v1alpha1", "kind": "NotificationTopic", "metadata": metadata}
    return raw | ({"status": status} if status else {})


def reconciler(http: FakeHttp, decision: Decision | Exception, status: Manifest | None = None) -> Reconciler:
    store = Store()
    store.put(topic(status))
    writes: Any = http
    cluster = Cluster(writes, lambda _: None)

    def decide(_: TopicSeen, __: datetime) -> Decision:
        if isinstance(decision, Exception):
            raise decision
        return decision

    def stands(seen: TopicSeen, status: Manifest) -> TopicSeen:
        return TopicSeen(seen.topic | {"status": status})

    rules = {KEY.kind: Rule(lambda seen: seen.topic, decide, stands=stands)}
    return Reconciler(store, cluster, Executor(cluster), Events(writes, "me"), rules)


async def test_the_status_and_the_events_are_told() -> None:
    http = FakeHttp()
    event = Event("Warning", "Queuing", "no room")
    await reconciler(http, Decision({"channels": "a"}, events=(event,))).reconcile(KEY)
    assert [path for _, path, _ in http.writes()] == [STATUS_PATH, "/api/v1/namespaces/ns/events"]


async def test_a_status_that_is_right_is_not_written() -> None:
    http = FakeHttp()
    decision = Decision({"channels": "a"}, look_again=30.0)
    assert await reconciler(http, decision, {"channels": "a"}).reconcile(KEY) == 30.0
    assert http.writes() == []


@pytest.mark.parametrize(("answer", "again"), [(500, True), (422, False)])
async def test_the_status_is_written_even_when_carrying_out_failed(answer: int, again: bool) -> None:
    http = FakeHttp({("PATCH", CHILD_PATH): ApiError(answer, {"message": "no"})})
    decision = Decision({"conditions": []}, apply=(Apply(CHILD, None, "created"),))
    made = reconciler(http, decision)
    if again:
        with pytest.raises(TryAgain):
            await made.reconcile(KEY)
    else:
        await made.reconcile(KEY)
    written = [body["status"] for _, path, body in http.writes() if path == STATUS_PATH]
    assert [condition["reason"] for condition in written[0]["conditions"] if condition["type"] == "Ready"] == [
        "WriteFailed" if again else "RefusedByAPIServer"
    ]


async def test_a_status_that_cannot_be_written_is_tried_again_and_one_that_vanished_is_not() -> None:
    http = FakeHttp({("PATCH", STATUS_PATH): ApiError(503, {})})
    made = reconciler(http, Decision({"channels": "a"}))
    with pytest.raises(TryAgain):
        await made.reconcile(KEY)
    http.answers[("PATCH", STATUS_PATH)] = ApiError(404, {})
    assert await made.reconcile(KEY) is None


FIRST = Decision({"conditions": [], "channels": "a"}, apply=(Apply(CHILD, None, "created"),), written_first=True)


async def test_what_has_to_be_written_first_is_done_once_it_stands_and_is_written_once() -> None:
    http = FakeHttp({("PATCH", STATUS_PATH): ApiError(503, {})})
    made = reconciler(http, FIRST)
    with pytest.raises(TryAgain):
        await made.reconcile(KEY)
    assert [path for _, path, _ in http.writes()] == [STATUS_PATH], "nothing is done before"
    http.answers[("PATCH", STATUS_PATH)] = ApiError(404, {})
    assert await made.reconcile(KEY) is None
    assert [path for _, path, _ in http.writes()] == [STATUS_PATH] * 2, "nor where it is gone"
    del http.answers["PATCH", STATUS_PATH]
    http.asked.clear()
    await made.reconcile(KEY)
    assert [path for _, path, _ in http.writes()] == [STATUS_PATH, CHILD_PATH]


async def test_what_was_written_first_and_cannot_be_done_says_so() -> None:
    http = FakeHttp({("PATCH", CHILD_PATH): ApiError(422, {"message": "no"})})
    await reconciler(http, FIRST).reconcile(KEY)
    first, then = [body["status"] for _, path, body in http.writes() if path == STATUS_PATH]
    assert first["conditions"] == []
    assert {each["type"]: each["reason"] for each in then["conditions"]}["Ready"] == "RefusedByAPIServer"
    assert "channels" not in then, "the rest stands"


async def test_an_object_that_was_taken_back_is_known_to_be_also_when_the_status_cannot_be_written() -> None:
    why = 'conflict with "kubectl" using v1'
    cause = {"reason": "FieldManagerConflict", "message": why, "field": ".spec.ports"}
    conflict = [ApiError(409, {"message": "no", "reason": "Conflict", "details": {"causes": [cause]}})]
    http = FakeHttp({("PATCH", CHILD_PATH): lambda body: conflict.pop() if conflict else body})
    http.answers["PATCH", STATUS_PATH] = ApiError(503, {})
    made = reconciler(http, Decision({"channels": "a"}, apply=(Apply(CHILD, "its-uid", "drifted"),)))
    with pytest.raises(TryAgain):
        await made.reconcile(KEY)
    assert ("Service", "ops") in made._store.contests(KEY)


async def test_an_error_names_the_object() -> None:
    made = reconciler(FakeHttp(), ValueError("not understood"))
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as told, pytest.raises(ValueError):
        await made.reconcile(KEY)
    assert (told[0]["kind"], told[0]["namespace"], told[0]["name"]) == KEY


async def test_an_object_that_is_gone_needs_nothing() -> None:
    made = reconciler(FakeHttp(), Decision({}))
    assert await made.reconcile(Key("NotificationTopic", "ns", "another")) is None


async def test_what_the_next_decision_has_to_know_is_kept_once_the_status_says_what_was_decided() -> None:
    http = FakeHttp({("PATCH", STATUS_PATH): ApiError(503, {})})
    made = reconciler(http, Decision({"channels": "a"}, scaling_memory=ScalingMemory()))
    kept: list[ScalingMemory | None] = []

    def remember(service: Key, memory: ScalingMemory | None) -> None:
        kept.append(memory)

    made._store.remember = remember  # type: ignore[method-assign]
    with pytest.raises(TryAgain):
        await made.reconcile(KEY)
    assert kept == []
    del http.answers["PATCH", STATUS_PATH]
    await made.reconcile(KEY)
    assert kept == [ScalingMemory()]


LACK = WriteFailure("seeing what is there", "Forbidden", "the operator may not list pods", retry=False)
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Accepted",
    "message": "",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def conditions(http: FakeHttp) -> dict[str, tuple[str, str]]:
    """Of the status that was written: type -> status and reason."""
    (body,) = [body for _, path, body in http.writes() if path == STATUS_PATH]
    return {each["type"]: (each["status"], each["reason"]) for each in body["status"]["conditions"]}


FORBIDDEN = ("False", "Forbidden")


async def test_m2_an_object_that_cannot_be_decided_is_told_what_is_missing_and_nothing_is_decided() -> None:
    http = FakeHttp()
    made = reconciler(http, ValueError("decided"), {"conditions": [READY], "phase": "Running"})
    made._seen_whole = lambda _: False
    await made.reconcile(KEY)
    assert http.writes() == [], "the kind is being listed: nothing is wrong"
    made._unseen = lambda: {"Model": LACK}
    await made.reconcile(KEY)
    assert http.writes() == [], "another kind lacks it"
    made._unseen = lambda: {KEY.kind: LACK}
    await made.reconcile(KEY)
    assert conditions(http) == {"Reconciled": FORBIDDEN, "Ready": FORBIDDEN, "Stalled": ("True", "Forbidden")}
    (body,) = [body for _, _, body in http.writes()]
    assert "phase" not in body["status"], "what runs goes on running"


async def test_m2_what_has_been_seen_is_carried_out_and_what_is_missing_told_beside_it() -> None:
    http = FakeHttp()
    decision = Decision({"channels": "a", "conditions": [READY]}, apply=(Apply(CHILD, None, "created"),))
    made = reconciler(http, decision)
    made._unseen = lambda: {KEY.kind: LACK}
    await made.reconcile(KEY)
    assert CHILD_PATH in [path for _, path, _ in http.writes()]
    assert conditions(http)["Reconciled"] == FORBIDDEN


async def test_m2_what_is_missing_is_written_once() -> None:
    http = FakeHttp()
    made = reconciler(http, Decision({"conditions": []}))
    made._unseen = lambda: {KEY.kind: LACK}
    await made.reconcile(KEY)
    (body,) = [body for _, path, body in http.writes() if path == STATUS_PATH]
    again = FakeHttp()
    stands = body["status"]
    made = reconciler(again, Decision({"conditions": []}, before=tuple(stands["conditions"])), stands)
    made._unseen = lambda: {KEY.kind: LACK}
    await made.reconcile(KEY)
    assert again.writes() == []


async def test_m2_a_condition_of_another_version_stops_nothing() -> None:
    http = FakeHttp()
    made = reconciler(http, ValueError("decided"), {"conditions": [READY | {"reason": "OfTomorrow"}]})
    made._seen_whole, made._unseen = lambda _: False, lambda: {KEY.kind: LACK}
    await made.reconcile(KEY)
    assert conditions(http)["Ready"] == FORBIDDEN
