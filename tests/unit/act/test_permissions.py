"""M2: what the operator finds that it may not do, it says: in the log, as a metric, and to whoever acts on it."""

import asyncio
from typing import Any

import pytest
import structlog

from maas_operator import metrics
from maas_operator.act import permissions
from maas_operator.act.answers import ApiError
from maas_operator.act.permissions import Permissions
from maas_operator.api.permissions import GATEWAY_PERMISSIONS, NOTIFICATION_PERMISSIONS, PERMISSIONS, Lack
from maas_operator.api.seen import Manifest

NEEDED = (*PERMISSIONS, *NOTIFICATION_PERMISSIONS)
TABLE = [lack for each in NEEDED for lack in each.lacks()]


class Reviewing:
    """An API server that says what is granted."""

    def __init__(self) -> None:
        self.withheld: set[Lack] = set()
        self.asked: list[Lack] = []
        self.names: set[tuple[str, str, str]] = set()
        self.failing: set[Lack] = set()

    async def write(self, method: str, path: str, body: Manifest) -> Manifest:
        assert (method, path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        asked = body["spec"]["resourceAttributes"]
        resource = "/".join(part for part in (asked["resource"], asked.get("subresource", "")) if part)
        lack = Lack(asked["group"], resource, asked["verb"])
        self.asked.append(lack)
        if "name" in asked:
            self.names.add((resource, asked["namespace"], asked["name"]))
        if lack in self.failing:
            raise ApiError(500, {"message": "not now"})
        return {"status": {"allowed": lack not in self.withheld}}


def reviewed(server: Any, needed: Any = NEEDED) -> Permissions:
    return Permissions(server, needed, "maas-system", "lease")


@pytest.mark.parametrize("lack", TABLE, ids=lambda each: f"{each.verb}-{each.resource}")
async def test_m2_each_permission_that_is_missing_is_named_and_no_other(lack: Lack) -> None:
    server = Reviewing()
    server.withheld.add(lack)
    made = reviewed(server)
    with structlog.testing.capture_logs() as told:
        await made.review()
    assert made.missing == {lack}
    (said,) = told
    purposes = {each.needed_for for each in NEEDED if lack in each.lacks()}
    assert (said["group"], said["resource"], said["verb"], {said["needed_for"]}) == (*lack, purposes)
    shown = {other for other in TABLE if metrics.PERMISSION_MISSING.labels(*other)._value.get()}
    assert shown == {lack}
    server.withheld.clear()
    await made.review()
    assert not metrics.PERMISSION_MISSING.labels(*lack)._value.get()


async def test_m2_a_lack_is_told_once_and_its_end_too() -> None:
    server, lack = Reviewing(), TABLE[0]
    made = reviewed(server)
    await made.review()
    assert not made.changed.is_set()
    server.withheld.add(lack)
    with structlog.testing.capture_logs() as told:
        await made.review()
        assert made.changed.is_set()
        made.changed.clear()
        await made.review()
        assert not made.changed.is_set()
        server.withheld.clear()
        await made.review()
        assert made.changed.is_set()
    assert [each["event"] for each in told] == ["a permission is missing", "a permission was granted"]


@pytest.mark.parametrize("failing", [0, len(TABLE) - 1])
async def test_m2_a_question_that_fails_hides_no_other_answer(failing: int) -> None:
    server = Reviewing()
    lacking = TABLE[len(TABLE) // 2]
    server.withheld.add(lacking)
    server.failing.add(TABLE[failing])
    made = reviewed(server)
    with pytest.raises(ApiError, match="not now"):
        await made.review()
    assert made.changed.is_set()
    assert made.missing == {lacking}
    assert set(server.asked) == set(TABLE), "all was asked before it was given up"
    made.changed.clear()
    server.withheld.clear()
    with pytest.raises(ApiError, match="not now"):
        await made.review()
    assert made.changed.is_set(), "granted"


async def test_m2_the_lease_is_asked_for_by_name() -> None:
    server = Reviewing()
    await reviewed(server).review()
    assert server.names == {("leases", "maas-system", "lease")}


async def test_m2_what_is_missing_is_asked_for_soon_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permissions, "RECHECK_SECONDS", 0.01)
    server, lack = Reviewing(), TABLE[0]
    server.withheld.add(lack)
    made = reviewed(server, GATEWAY_PERMISSIONS + PERMISSIONS[:1])
    running = asyncio.create_task(made.review_now_and_then())
    await asyncio.wait_for(made.changed.wait(), 5)
    made.changed.clear()
    once = len(server.asked)
    server.withheld.clear()
    await asyncio.wait_for(made.changed.wait(), 5)
    running.cancel()
    assert set(server.asked[once:]) == {lack}
    assert not made.missing


async def test_m2_while_nothing_is_missing_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        raise asyncio.CancelledError

    monkeypatch.setattr("maas_operator.act.permissions.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await reviewed(Reviewing()).review_now_and_then()
    (seconds,) = slept
    assert permissions.REVIEW_SECONDS - 5 < seconds <= permissions.REVIEW_SECONDS
