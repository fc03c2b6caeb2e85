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
from maas_operator.api.seen import Manifest, TopicSeen
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

    rules = {KEY.kind: Rule(lambda seen: seen.topic, decide)}
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


async def test_an_error_names_the_object() -> None:
    made = reconciler(FakeHttp(), ValueError("not understood"))
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as told, pytest.raises(ValueError):
        await made.reconcile(KEY)
    assert (told[0]["kind"], told[0]["namespace"], told[0]["name"]) == KEY


async def test_an_object_that_is_gone_needs_nothing() -> None:
    made = reconciler(FakeHttp(), Decision({}))
    assert await made.reconcile(Key("NotificationTopic", "ns", "another")) is None
