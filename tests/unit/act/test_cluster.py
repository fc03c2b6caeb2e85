"""Writing: whose objects are touched, and what a status patch says."""

from collections.abc import Iterator
from typing import Any

import pytest

from maas_operator.act.answers import ApiError, Outdated, Refused
from maas_operator.act.cluster import Cluster
from maas_operator.act.executor import Executor
from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Apply, Decision, Remove
from maas_operator.api.seen import Manifest
from tests.unit.act.fakes import Answer, FakeHttp

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


async def test_a_strangers_config_map_is_not_even_merged_with_ours() -> None:
    path = "/api/v1/namespaces/team-a/configmaps/assistant"
    http = FakeHttp({("GET", path): owned("someone", "ConfigMap")})
    writes, _ = cluster(http)
    with pytest.raises(Refused):
        await writes.apply(Apply(owned("me", "ConfigMap"), None, "created"))
    assert http.writes() == []


@pytest.mark.parametrize(
    ("now", "wanted", "patch"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {}, {"a": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "d": 3}}, {"a": {"c": None, "d": 3}}),
        ({"a": [1], "b": 1}, {"a": [1, 2], "b": 1}, {"a": [1, 2]}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
async def test_a_status_patch_makes_the_status_what_it_should_be(now: Any, wanted: Any, patch: Any) -> None:
    http = FakeHttp()
    writes, _ = cluster(http)
    await writes.write_status(owned("me") | {"status": now}, wanted)
    assert http.writes() == [("PATCH", f"{PATH}/status", {"status": patch})]


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


async def test_what_is_removed_is_the_one_that_was_seen() -> None:
    http = FakeHttp()
    writes, _ = cluster(http)
    await writes.remove(Remove("Deployment", "team-a", "assistant", "its-uid"))
    ((method, path, body),) = http.writes()
    assert (method, path, body["preconditions"]) == ("DELETE", PATH, {"uid": "its-uid"})
