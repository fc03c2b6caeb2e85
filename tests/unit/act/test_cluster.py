"""Writing: whose objects are touched, and what a status patch says."""

from collections.abc import Iterator
from typing import Any

import pytest

from maas_operator.act.answers import ApiError, Outdated, Refused
from maas_operator.act.cluster import Cluster
from maas_operator.act.executor import Executor
from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Apply, Decision, Mark, Remove
from maas_operator.api.seen import Manifest, Outcome, Overruled
from tests.unit.act.fakes import Answer, FakeHttp, patched

PATH = "/apis/apps/v1/namespaces/team-a/deployments/assistant"


def owned(uid: str, kind: str = "Deployment") -> Manifest:
    owner = {"apiVersion": "maas-operator.io/v1alpha1", "kind": "ModelService", "name": "assistant", "uid": uid}
    metadata = {"name": "assistant", "namespace": "team-a", "ownerReferences": [owner | {"controller": True}]}
    version = "apps/v1" if kind == "Deployment" else "v1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": {"replicas": 1}}


def cluster(http: FakeHttp) -> tuple[Cluster, list[Manifest]]:
    fed: list[Manifest] = []
    return Cluster(http, fed.append), fed  # type: ignore[arg-type]


async def test_what_was_written_is_seen_at_once() -> None:
    answer = owned("me") | {"status": {}}
    writes, fed = cluster(FakeHttp({("PATCH", PATH): answer}))
    await writes.apply(Apply(owned("me"), None, "created"))
    assert fed == [answer]


async def test_an_object_that_was_seen_is_written_only_if_it_is_still_the_one() -> None:
    http = FakeHttp()
    writes, _ = cluster(http)
    await writes.apply(Apply(owned("me"), "its-uid", "drifted"))
    assert http.writes()[0][2]["metadata"]["uid"] == "its-uid"
    http.answers[("PATCH", PATH)] = ApiError(409, {"message": "uid mismatch"})
    with pytest.raises(Outdated):
        await writes.apply(Apply(owned("me"), "its-uid", "drifted"))


def conflict(manager: str, *fields: str) -> ApiError:
    """As the API server answers an apply that would take fields of another manager."""
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}" using apps/v1', "field": field}
        for field in fields
    ]
    return ApiError(409, {"message": "Apply failed", "reason": "Conflict", "details": {"causes": causes}})


@pytest.mark.parametrize(
    ("error", "by"),
    [
        (conflict("kubectl", ".spec.replicas"), "kubectl (.spec.replicas)"),
        (conflict("x", ".d", ".c", ".b", ".a"), "x (.a, .b, .c and 1 more)"),
        (conflict("maas-operator", ".spec"), None),
    ],
    ids=["one", "many", "ourselves"],
)
async def test_fields_that_another_manager_took_are_taken_back_and_told_of(error: ApiError, by: str | None) -> None:
    answers: Iterator[Answer] = iter([error, {}])
    http = FakeHttp({("PATCH", PATH): lambda _: next(answers)})
    writes, fed = cluster(http)
    outcome = await Executor(writes).carry_out(Decision({}, apply=(Apply(owned("me"), "its-uid", "drifted"),)))
    assert outcome == Outcome(overruled=(Overruled("Deployment", "assistant", by),) if by else ())
    assert len(http.writes()) == 2
    assert fed == [{}]


async def test_an_edit_that_an_apply_cannot_repair_is_overwritten() -> None:
    refusal = ApiError(422, {"message": 'spec.ports[1].name: Duplicate value: "http"'})
    answers: Iterator[Answer] = iter([refusal, {}, {}])
    http = FakeHttp({("PATCH", PATH): lambda _: next(answers)})
    writes, _ = cluster(http)
    await writes.apply(Apply(owned("me"), "its-uid", "drifted"))
    assert http.writes()[1][2] == {"metadata": {"uid": "its-uid"}, "spec": {"replicas": 1}}
    assert len(http.writes()) == 3


async def test_a_strangers_object_that_turns_up_is_refused_and_not_taken_over() -> None:
    http = FakeHttp({("PATCH", PATH): ApiError(409, {"message": "conflict"}), ("GET", PATH): owned("someone")})
    writes, fed = cluster(http)
    with pytest.raises(Refused) as refused:
        await writes.apply(Apply(owned("me"), None, "created"))
    assert refused.value.failure.reason == Reason.NOT_OURS
    assert fed == []


async def test_an_object_of_ours_that_turns_up_is_looked_at_again() -> None:
    http = FakeHttp({("PATCH", PATH): ApiError(409, {"message": "conflict"}), ("GET", PATH): owned("me")})
    writes, fed = cluster(http)
    with pytest.raises(Outdated):
        await writes.apply(Apply(owned("me"), None, "created"))
    assert fed == [owned("me")]


async def test_m2_who_may_not_look_whose_it_is_says_so() -> None:
    path = "/api/v1/namespaces/team-a/configmaps/assistant"
    words = 'User "op" cannot get resource "configmaps" in API group "" in the namespace "team-a"'
    writes, _ = cluster(FakeHttp({("GET", path): ApiError(403, {"message": words})}))
    with pytest.raises(Refused) as refused:
        await writes.apply(Apply(owned("me", "ConfigMap"), None, "created"))
    assert refused.value.failure.reason == Reason.FORBIDDEN
    assert "may not get configmaps in namespace team-a" in refused.value.failure.message


async def test_a_strangers_config_map_is_not_even_merged_with_ours() -> None:
    path = "/api/v1/namespaces/team-a/configmaps/assistant"
    http = FakeHttp({("GET", path): owned("someone", "ConfigMap")})
    writes, _ = cluster(http)
    with pytest.raises(Refused):
        await writes.apply(Apply(owned("me", "ConfigMap"), None, "created"))
    assert http.writes() == []


class Api:
    """An object in an API server."""

    def __init__(self, stands: Manifest) -> None:
        self.stands = stands

    async def write(self, method: str, path: str, body: list[Manifest], content_type: str, _: Any) -> Manifest:
        assert (method, path, content_type) == ("PATCH", f"{PATH}/status", "application/json-patch+json")
        self.stands = patched(self.stands, body)
        return self.stands


def seen(uid: str, status: Manifest, version: str = "1") -> Manifest:
    metadata = owned("me")["metadata"] | {"uid": uid, "resourceVersion": version}
    return owned("me") | {"metadata": metadata, "status": status}


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        ({}, {"a": 1}),
        ({"a": 1}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "d": 3}}),
        ({"a": [1], "b": 1}, {"a": [1, 2], "b": 1}),
        ({"a": 1}, {"a": {"b": 1}}),
    ],
)
async def test_a_status_patch_makes_the_status_what_it_should_be(now: Any, wanted: Any) -> None:
    api = Api(seen("one", now))
    writes, fed = cluster(api)  # type: ignore[arg-type]
    await writes.write_status(seen("one", now), wanted)
    assert api.stands["status"] == wanted
    assert fed == [api.stands]


async def test_a_status_patch_says_only_what_differs() -> None:
    http = FakeHttp()
    writes, _ = cluster(http)
    await writes.write_status(seen("one", {"phase": "Running", "a": 1, "b": 1}), {"phase": "Running", "a": 2})
    assert http.writes() == [("PATCH", f"{PATH}/status", {"metadata": {"uid": "one"}, "status": {"a": 2, "b": None}})]


async def test_m10_a_status_never_lands_on_another_object_of_the_name() -> None:
    api = Api(seen("two", {"phase": "Running"}))
    writes, fed = cluster(api)  # type: ignore[arg-type]
    with pytest.raises(Outdated):
        await writes.write_status(seen("one", {}), {"autoStop": {"stoppedAt": "2026-01-31T16:00:00Z"}})
    assert (api.stands["status"], fed) == ({"phase": "Running"}, [])


async def test_a_status_with_what_was_learned_is_written_only_upon_the_state_that_was_decided_upon() -> None:
    api = Api(seen("one", {}, version="2"))
    writes, _ = cluster(api)  # type: ignore[arg-type]
    with pytest.raises(Outdated):
        await writes.write_status(seen("one", {}), {"a": 1}, "1")
    await writes.write_status(seen("one", {}), {"a": 1}, "2")
    assert api.stands["status"] == {"a": 1}


async def test_a_pod_that_is_another_one_by_now_needs_no_mark() -> None:
    causes = [{"reason": "FieldValueInvalid", "field": "metadata.uid", "message": "field is immutable"}]
    refusal = ApiError(422, {"message": "metadata.uid: Invalid value", "details": {"causes": causes}})
    http = FakeHttp({("PATCH", "/api/v1/namespaces/team-a/pods/p"): refusal})
    writes, fed = cluster(http)
    await writes.mark(Mark("team-a", "p", "uid-p", "1"))
    assert (len(http.writes()), fed) == (1, [])


async def test_a_failed_write_ends_the_decision() -> None:
    http = FakeHttp({("PATCH", PATH): ApiError(500, {"message": "etcd is away"})})
    writes, _ = cluster(http)
    remove = Remove("ConfigMap", "team-a", "old", "uid")
    outcome = await Executor(writes).carry_out(
        Decision(status={}, apply=(Apply(owned("me"), "u", "changed"),), remove=(remove,))
    )
    assert [failure.reason for failure in outcome.failures] == [Reason.WRITE_FAILED]
    assert len(http.writes()) == 1


async def test_a_namespace_that_ends_is_no_failure() -> None:
    http = FakeHttp({("PATCH", PATH): ApiError(404, {"message": 'namespaces "team-a" not found'})})
    writes, _ = cluster(http)
    outcome = await Executor(writes).carry_out(Decision(status={}, apply=(Apply(owned("me"), None, "created"),)))
    assert outcome.failures == ()


async def test_m9_a_pod_that_is_removed_has_the_grace_that_was_decided() -> None:
    http = FakeHttp()
    writes, _ = cluster(http)
    await writes.remove(Remove("Pod", "team-a", "hung", "its-uid", 15))
    assert http.writes() == [
        (
            "DELETE",
            "/api/v1/namespaces/team-a/pods/hung",
            {"propagationPolicy": "Background", "preconditions": {"uid": "its-uid"}, "gracePeriodSeconds": 15},
        )
    ]


async def test_a_leader_that_is_removed_is_gone_only_after_its_workers() -> None:
    http = FakeHttp()
    writes, _ = cluster(http)
    await writes.remove(Remove("Pod", "team-a", "set-0", "its-uid", 15, dependents_first=True))
    ((_, _, body),) = http.writes()
    assert body["propagationPolicy"] == "Foreground"


async def test_what_is_removed_is_the_one_that_was_seen() -> None:
    http = FakeHttp()
    writes, _ = cluster(http)
    await writes.remove(Remove("Deployment", "team-a", "assistant", "its-uid"))
    ((method, path, body),) = http.writes()
    assert (method, path, body["preconditions"]) == ("DELETE", PATH, {"uid": "its-uid"})


POD_PATH = "/api/v1/namespaces/team-a/pods/p0"
MARK = Mark("team-a", "p0", "its-uid", "6")


async def test_m14_an_instance_is_marked_before_there_are_fewer() -> None:
    http = FakeHttp()
    writes, fed = cluster(http)
    decision = Decision({}, marks=(MARK,), apply=(Apply(owned("me"), "its-uid", "changed"),))
    assert not (await Executor(writes).carry_out(decision)).failures
    assert [path for _, path, _ in http.writes()] == [POD_PATH, PATH]
    annotations = {"controller.kubernetes.io/pod-deletion-cost": "6"}
    assert http.writes()[0][2] == {"metadata": {"uid": "its-uid", "annotations": annotations}}
    assert len(fed) == 2


@pytest.mark.parametrize("status", [404, 409], ids=["gone", "another by now"])
async def test_m14_an_instance_that_is_gone_needs_no_mark(status: int) -> None:
    http = FakeHttp({("PATCH", POD_PATH): ApiError(status, {"message": "no"})})
    writes, _ = cluster(http)
    decision = Decision({}, marks=(MARK,), apply=(Apply(owned("me"), "its-uid", "changed"),))
    assert not (await Executor(writes).carry_out(decision)).failures
    assert [path for _, path, _ in http.writes()] == [POD_PATH, PATH]


async def test_m14_without_the_permission_to_mark_nothing_is_removed_and_the_permission_is_named() -> None:
    words = 'pods "p0" is forbidden: User "x" cannot patch resource "pods" in API group "" in the namespace "team-a"'
    http = FakeHttp({("PATCH", POD_PATH): ApiError(403, {"message": words})})
    writes, _ = cluster(http)
    decision = Decision({}, marks=(MARK,), apply=(Apply(owned("me"), "its-uid", "changed"),))
    (failure,) = (await Executor(writes).carry_out(decision)).failures
    assert (failure.reason, len(http.writes())) == (Reason.FORBIDDEN, 1)
    assert "may not patch pods in namespace team-a (needed for " in failure.message
