"""From manifests to facts: what is read again, and what cannot be read."""

from datetime import UTC, datetime
from typing import Any

from maas_operator.api.kinds import API_KEY, MODEL_SERVICE
from maas_operator.api.names import ANNOTATION_FROZEN
from maas_operator.gateway.facts import Reach
from maas_operator.gateway.gather import Read, gather
from maas_operator.gateway.seeing import Seen

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
