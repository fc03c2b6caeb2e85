"""Events are told once."""

from maas_operator.act.answers import ApiError
from maas_operator.act.events import REMEMBERED, Events
from maas_operator.api.decision import Event
from tests.unit.act.fakes import FakeHttp

POOL = {"apiVersion": "maas-operator.io/v1alpha1", "kind": "ResourcePool", "metadata": {"name": "cpu", "uid": "u"}}
SERVICE = POOL | {"kind": "ModelService", "metadata": {"name": "a", "namespace": "team-a", "uid": "v"}}
EVENT = Event("Warning", "Queuing", "no room")


def told(http: FakeHttp) -> list[str]:
    return [body["metadata"]["name"] for _, _, body in http.writes()]


async def test_an_event_is_told_once_for_an_object_reason_and_message() -> None:
    http = FakeHttp()
    events = Events(http, "me")  # type: ignore[arg-type]
    for subject, event in (
        (SERVICE, EVENT),
        (SERVICE, EVENT),
        (POOL, EVENT),
        (SERVICE, Event("Warning", "Queuing", "x")),
    ):
        await events.tell(subject, event)
    assert len(set(told(http))) == len(told(http)) == 3


async def test_what_happens_again_is_told_again() -> None:
    http = FakeHttp()
    events = Events(http, "me")  # type: ignore[arg-type]
    for at in ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"):
        await events.tell(SERVICE, Event("Normal", "FellAsleep", "no request", at))
    assert len(set(told(http))) == len(told(http)) == 2


async def test_after_a_restart_it_has_the_same_name_and_the_conflict_is_no_trouble() -> None:
    http = FakeHttp()
    await Events(http, "me").tell(SERVICE, EVENT)  # type: ignore[arg-type]
    ((_, path, _),) = http.writes()
    http.answers[("POST", path)] = ApiError(409, {"reason": "AlreadyExists"})
    again = Events(http, "another")  # type: ignore[arg-type]
    await again.tell(SERVICE, EVENT)
    await again.tell(SERVICE, EVENT)
    first, second = told(http)
    assert first == second


async def test_what_cannot_be_told_fails_nothing_and_is_tried_the_next_time() -> None:
    path = "/api/v1/namespaces/default/events"
    http = FakeHttp({("POST", path): ApiError(403, {"message": "forbidden"})})
    events = Events(http, "me")  # type: ignore[arg-type]
    await events.tell(POOL, EVENT)
    await events.tell(POOL, EVENT)
    assert len(http.writes()) == 2


async def test_what_is_remembered_is_bounded() -> None:
    events = Events(FakeHttp(), "me")  # type: ignore[arg-type]
    for number in range(REMEMBERED + 10):
        await events.tell(SERVICE, Event("Normal", "Counted", str(number)))
    assert len(events._told) == REMEMBERED
