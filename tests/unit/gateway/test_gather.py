"""From manifests to facts: what is read again, and what cannot be read."""

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from maas_operator.api.kinds import API_KEY, MODEL_SERVICE
from maas_operator.api.names import ANNOTATION_DEFAULT_KEY_LIMITS, ANNOTATION_FROZEN, ANNOTATION_WAKE, PORT_NAME
from maas_operator.gateway import looking
from maas_operator.gateway.facts import Facts, Reach
from maas_operator.gateway.gather import SERVICE_OF_SLICE, Read, counts_tokens, gather
from maas_operator.gateway.seeing import NAMESPACE, SLICE, Changes, Seen

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def api_key(name: str, version: int, accepted: str = "True", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "maas-operator.io/v1alpha1",
        "kind": "ApiKey",
        "metadata": {"namespace": "team-a", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)},
        "spec": {"tag": name, "description": "d", "sha256": "0" * 64, **spec},
        "status": {"conditions": [{"type": "Accepted", "status": accepted, "message": "not kept"}]},
    }


def known(seen: Seen, read: Read) -> list[str]:
    return [key.name for key in gather((), seen.of(API_KEY.kind), (), (), NOW, read=read).keys]


def test_m22_what_was_read_before_is_read_again_only_where_it_was_replaced() -> None:
    seen, read = Seen(), Read()
    assert seen.put(api_key("one", 1))
    assert seen.put(api_key("two", 2, expiresAt="2026-05-01T00:00:00Z"))
    assert seen.put(api_key("three", 3, accepted="False"))
    assert known(seen, read) == known(seen, read) == ["one"]
    assert not seen.put(api_key("one", 4)), "nothing that matters is another"
    assert seen.put(api_key("two", 5, expiresAt="2026-07-01T00:00:00Z"))
    assert known(seen, read) == ["one", "two"]
    read.keep(seen.of(API_KEY.kind))
    assert known(seen, read) == ["one", "two"]


def test_81006_81005_what_is_held_against_a_key_is_looked_at_anew_each_time() -> None:
    keys, read = [api_key("one", 1, limits={"tokenQuota": 10})], Read()

    def held(frozen: str, used: int) -> tuple[bool, bool]:
        namespace = {"metadata": {"name": "team-a", "annotations": {ANNOTATION_FROZEN: frozen}}}
        (key,) = gather((), keys, (), (namespace,), NOW, used={"team-a/one": used}, read=read).keys
        return key.frozen, key.quota_used_up

    assert [held("", 9), held("*", 9), held("", 10), held("", 0)] == [
        (False, False),
        (True, False),
        (False, True),
        (False, False),
    ]


def test_81101_81103_81005_a_key_has_its_accounts_default_for_each_limit_that_it_does_not_name() -> None:
    seen, read, versions = Seen(), Read(), itertools.count(1)
    seen.put(api_key("plain", 1))
    seen.put(api_key("own", 2, limits={"requestsPerMinute": 5, "tokenQuota": 100}))

    def limits(text: str, used: int = 0) -> dict[str, tuple[int | None, int | None, bool]]:
        metadata = {"name": "team-a", "uid": "uid", "resourceVersion": str(next(versions))}
        annotations = {ANNOTATION_DEFAULT_KEY_LIMITS: text, "other": "not kept"}
        assert seen.put({"kind": NAMESPACE, "metadata": metadata | {"annotations": annotations}})
        found = gather(
            (),
            seen.of(API_KEY.kind),
            (),
            seen.of(NAMESPACE),
            NOW,
            used={"team-a/plain": used, "team-a/own": used},
            read=read,
        )
        assert found.unreadable == ()
        each = {key.name: (key.limits, key.quota_used_up) for key in found.keys}
        return {name: (of.requests_per_minute, of.tokens_per_minute, up) for name, (of, up) in each.items()}

    assert limits("") == {"plain": (None, None, False), "own": (5, None, False)}
    assert limits("requestsPerMinute=600, tokensPerMinute=9000") == {
        "plain": (600, 9000, False),
        "own": (5, 9000, False),
    }
    assert limits("tokenQuota=50", used=50) == {"plain": (None, None, True), "own": (5, None, False)}
    assert limits("", used=50) == {"plain": (None, None, False), "own": (5, None, False)}


def test_81005_the_ledger_is_asked_where_a_key_or_an_account_has_a_quota() -> None:
    def account(text: str) -> dict[str, Any]:
        return {"metadata": {"name": "team-a", "annotations": {ANNOTATION_DEFAULT_KEY_LIMITS: text}}}

    assert not counts_tokens([api_key("one", 1, limits={"requestsPerMinute": 5})], [account("requestsPerMinute=6")])
    assert counts_tokens([api_key("one", 1, limits={"tokenQuota": 5})], [])
    assert counts_tokens([api_key("one", 1)], [{"metadata": {"name": "team-b"}}, account("tokenQuota=5")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rpm=600", "rpm=600: write NAME=NUMBER, with one of requestsPerMinute, tokensPerMinute, tokenQuota"),
        ("requestsPerMinute=many", "requestsPerMinute=many: write NAME=NUMBER"),
        ("requestsPerMinute=0", "requestsPerMinute: Input should be greater than or equal to 1"),
    ],
)
def test_default_limits_that_cannot_be_read_are_told_of_and_take_no_key_away(text: str, said: str) -> None:
    metadata = {"name": "team-a", "annotations": {ANNOTATION_DEFAULT_KEY_LIMITS: text}}
    facts = gather((), [api_key("one", 1)], (), [{"kind": "Namespace", "metadata": metadata}], NOW)
    assert [key.name for key in facts.keys] == ["one"]
    (told,) = facts.unreadable
    assert told.startswith(f"Namespace team-a: {ANNOTATION_DEFAULT_KEY_LIMITS}: {said}")


def test_m22_a_key_whose_end_cannot_be_read_is_left_out_and_stops_no_other() -> None:
    keys = [api_key("leap", 1, expiresAt="2026-06-30T23:59:60Z"), api_key("good", 2, expiresAt="2026-07-01T00:00:00Z")]
    facts = gather((), keys, (), (), NOW)
    assert [(key.name, key.expires) for key in facts.keys] == [("good", datetime(2026, 7, 1, tzinfo=UTC))]
    assert "leap" in facts.unreadable[0]
    assert facts.next_expiry == datetime(2026, 7, 1, tzinfo=UTC)


def test_m22_a_key_that_the_operator_makes_counts_once_its_digest_is_in_the_status() -> None:
    seen = Seen()
    made = api_key("made", 1, delivery="Secret")
    del made["spec"]["sha256"]
    assert seen.put(made)
    assert known(seen, Read()) == []
    delivered = made | {"metadata": made["metadata"] | {"resourceVersion": "2"}}
    delivered["status"] = made["status"] | {"sha256": "1" * 64, "delivery": {"secretName": "not-kept"}}
    assert seen.put(delivered)
    (key,) = gather((), seen.of(API_KEY.kind), (), (), NOW).keys
    assert key.sha256 == "1" * 64


def test_m22_the_digest_of_a_key_that_the_user_made_is_that_of_the_spec() -> None:
    own = api_key("own", 1)
    own["status"]["sha256"] = "1" * 64
    (key,) = gather((), [own], (), (), NOW).keys
    assert key.sha256 == "0" * 64


def test_m10_a_service_that_stopped_by_itself_cannot_be_called() -> None:
    seen = Seen()

    def service(version: int, **auto_stop: Any) -> dict[str, Any]:
        metadata = {"namespace": "team-a", "name": "chat", "uid": "uid", "resourceVersion": str(version)}
        spec = {"model": {"name": "tiny"}, "resourcePool": "p", "flavor": "f"}
        manifest = {
            "apiVersion": "maas-operator.io/v1alpha1",
            "kind": "ModelService",
            "metadata": metadata,
            "spec": spec,
        }
        return manifest | {"status": {"autoStop": {"countedSeconds": version, **auto_stop}}}

    def reach() -> Reach:
        return gather(seen.of(MODEL_SERVICE.kind), (), (), (), NOW).services[0].reach

    seen.put(service(1))
    assert reach() == Reach.OPEN
    assert not seen.put(service(2)), "how far its time has run down changes nothing"
    assert seen.put(service(3, stoppedAt="2026-05-01T00:00:00Z"))
    assert reach() == Reach.STOPPED


def ready(reason: str) -> dict[str, str]:
    return {"type": "Ready", "status": "False", "reason": reason}


SLEEPS = {"scaling": {"minInstances": 0, "maxInstances": 2}}


@pytest.mark.parametrize(
    ("spec", "status", "more", "awaited"),
    [
        ({}, {}, {}, True),
        ({"instances": 2}, {"phase": "Deploying"}, {}, True),
        ({"instances": 2}, {"phase": "Queuing"}, {}, True),
        ({"instances": 2}, {"phase": "Failed"}, {}, False),
        ({"instances": 2}, {"phase": "Failed", "conditions": [ready("InstanceFailing")]}, {}, False),
        ({"instances": 2}, {"phase": "Failed", "conditions": [ready("NodeNotReady")]}, {}, True),
        ({"instances": 0}, {"phase": "Stopped"}, {}, False),
        ({"state": "Stopped"}, {}, {}, False),
        ({}, {"autoStop": {"stoppedAt": "2026-05-01T00:00:00Z"}}, {}, False),
        (SLEEPS, {"phase": "Stopped", "instances": {"desired": 0}}, {}, True),
        (SLEEPS, {"phase": "Failed", "instances": {"desired": 1}}, {}, False),
        ({}, {}, {"deletionTimestamp": "2026-05-01T00:00:00Z"}, False),
    ],
)
def test_requests_wait_for_a_service_that_is_to_have_instances_and_does_not_fail(
    spec: dict[str, Any], status: dict[str, Any], more: dict[str, Any], awaited: bool
) -> None:
    seen = Seen()
    seen.put(model_service(spec, status, **more))
    (found,) = gather(seen.of(MODEL_SERVICE.kind), (), (), (), NOW).services
    assert found.awaited == awaited


def test_a_frozen_service_is_not_waited_for() -> None:
    namespace = {"metadata": {"name": "team-a", "annotations": {ANNOTATION_FROZEN: "*"}}}
    (found,) = gather([model_service({}, {})], (), (), (namespace,), NOW).services
    assert not found.awaited


def test_it_sleeps_where_the_operator_has_decided_on_no_instance() -> None:
    def asleep(spec: dict[str, Any], status: dict[str, Any]) -> bool:
        seen = Seen()
        seen.put(model_service(spec, status))
        return gather(seen.of(MODEL_SERVICE.kind), (), (), (), NOW).services[0].asleep

    assert asleep(SLEEPS, {"instances": {"desired": 0, "ready": 0}})
    assert not asleep(SLEEPS, {"instances": {"desired": 1, "ready": 0}})
    assert not asleep(SLEEPS, {}), "nothing has been decided yet"
    assert not asleep({"instances": 0}, {"instances": {"desired": 0}}), "its user wants none"


def test_of_a_services_annotations_the_wish_that_it_be_woken_is_kept() -> None:
    seen = Seen()
    assert seen.put(model_service(SLEEPS, {}, 1))
    assert seen.put(model_service(SLEEPS, {}, 2, annotations={ANNOTATION_WAKE: "2026-06-01T00:00:00Z", "other": "1"}))
    assert not seen.put(model_service(SLEEPS, {}, 3, annotations={ANNOTATION_WAKE: "2026-06-01T00:00:00Z"}))
    (found,) = gather(seen.of(MODEL_SERVICE.kind), (), (), (), NOW).services
    assert found.wake_requested == "2026-06-01T00:00:00Z"


def model_service(spec: dict[str, Any], status: dict[str, Any], version: int = 1, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "maas-operator.io/v1alpha1",
        "kind": "ModelService",
        "metadata": {"namespace": "team-a", "name": "chat", "uid": "uid", "resourceVersion": str(version), **metadata},
        "spec": {"model": {"name": "tiny"}, "resourcePool": "p", "flavor": "f", **spec},
        "status": status,
    }


def endpoint_slice(name: str, address: str, **given: Any) -> dict[str, Any]:
    metadata = {"namespace": "team-a", "name": name, "uid": name, "resourceVersion": "1"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": SLICE,
        "metadata": metadata | {"labels": {SERVICE_OF_SLICE: "gateway"}},
        "addressType": "IPv4",
        "ports": [{"name": PORT_NAME, "port": 8000}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    } | given


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ({"ports": [{"name": PORT_NAME, "protocol": "TCP"}]}, 0),  # all ports
        ({"ports": [{"name": PORT_NAME, "port": None}]}, 0),
        ({"ports": None, "endpoints": None}, 0),
        ({"addressType": "FQDN", "endpoints": [{"addresses": ["engine.example"]}]}, 0),
        ({"endpoints": [{"conditions": None, "addresses": None}]}, 1),
    ],
    ids=["a port without a number", "null", "nothing", "names", "no addresses"],
)
def test_one_odd_slice_stops_no_other(odd: dict[str, Any], told: int) -> None:
    seen = Seen()
    for each in (endpoint_slice("odd", "10.0.0.1", **odd), endpoint_slice("good", "10.0.0.2")):
        assert seen.put(each)
    facts = gather((), (), seen.of(SLICE), (), NOW, gateway=("team-a", "gateway"))
    assert facts.replicas == (("10.0.0.2", 8000),)
    assert len(facts.unreadable) == told


def test_an_object_with_which_anything_is_wrong_is_left_out_and_told() -> None:
    good = {"kind": "Namespace", "metadata": {"name": "good", "annotations": {ANNOTATION_FROZEN: "*"}}}
    odd = {"kind": "Namespace", "metadata": {"name": "odd", "annotations": {ANNOTATION_FROZEN: 7}}}
    model = {"kind": "Model", "metadata": {"name": "m"}, "spec": {"versions": [{"unsupportedParameters": ["n"]}]}}
    key = api_key("one", 1)
    key["metadata"]["namespace"] = "good"
    facts = gather((), [key], (), (odd, good), NOW, models=(model,))
    assert [each.frozen for each in facts.keys] == [True]
    assert [each.partition(": ")[0] for each in facts.unreadable] == ["Model m", "Namespace odd"]


async def test_a_look_that_fails_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = iter([ZeroDivisionError()])

    def sometimes(*given: Any, **named: Any) -> Facts:
        if error := next(failing, None):
            raise error
        return gather(*given, **named)

    monkeypatch.setattr(looking, "gather", sometimes)
    monkeypatch.setattr(looking, "RETRY", 0.001)
    changes = Changes()
    changes.complete.set()
    with capture_logs() as logs:
        async with asyncio.timeout(10):
            facts = await anext(looking.look(Seen(), changes, ("", ""), dict))
    assert facts == Facts()
    assert [each["task"] for each in logs] == ["facts"]
