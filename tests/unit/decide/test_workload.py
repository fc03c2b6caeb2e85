"""The children's manifests: what golden pairs cannot show."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.seen import Manifest
from maas_operator.decide import decide_service, workload
from maas_operator.decide.children import MAX_TEMPLATE
from maas_operator.decide.identity import label_value
from tests.unit.decide.facts import NOW, manifests_of, service_seen, settings_from
from tests.unit.decide.test_golden import facts_of, seen_from

VERSION = {
    "name": "4k",
    "source": "oci://registry.example/tiny:1",
    "contextLength": 4096,
    "args": ["--kv-cache-memory-bytes=67108864"],
}
"""As the newest of the golden pair cpu-first."""


def decided(facts: Manifest) -> list[Manifest]:
    return manifests_of(decide_service(service_seen(facts), settings_from(facts), NOW))


def test_m12_a_priority_class_stands_on_the_pods_and_changes_them() -> None:
    facts = facts_of("cpu-first")
    before = decided(facts)[-1]["spec"]["template"]
    facts["service"]["spec"]["priorityClassName"] = "urgent"
    after = decided(facts)[-1]
    assert "priorityClassName" not in before["spec"]
    assert after["spec"]["template"]["spec"]["priorityClassName"] == "urgent"
    inputs = "maas-operator.io/template-inputs"
    assert (
        after["metadata"]["annotations"][inputs]
        != decided(facts_of("cpu-first"))[-1]["metadata"]["annotations"][inputs]
    )


@pytest.mark.parametrize("name", ["ascend-910b", "hosts-910b", "nvidia", "cpu-first"])
def test_an_engine_stands_where_it_can_write_though_its_root_file_system_is_read_only(name: str) -> None:
    """CANN writes its kernel_meta into the working directory, and does not start where it cannot."""
    spec = decided(facts_of(name))[-1]["spec"]
    groups = spec.get("leaderWorkerTemplate", {"leaderTemplate": spec.get("template"), "workerTemplate": None})
    for template in filter(None, (groups["leaderTemplate"], groups["workerTemplate"])):
        (engine,) = template["spec"]["containers"]
        assert engine["securityContext"]["readOnlyRootFilesystem"]
        (volume,) = (each["name"] for each in engine["volumeMounts"] if each["mountPath"] == engine["workingDir"])
        assert {"name": volume, "emptyDir": {}} in template["spec"]["volumes"]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_comes_through_the_templates_as_it_is(text: str) -> None:
    facts = facts_of("cpu-first")
    facts["model"]["spec"]["versions"] = [
        {
            "name": "4k",
            "source": "hf://a/b",
            "contextLength": 4096,
            "chatTemplate": text,
            "args": [text],
            "env": [{"name": "A", "value": text}],
        }
    ]
    config, _, _, deployment = decided(facts)
    engine = deployment["spec"]["template"]["spec"]["containers"][0]
    assert config["data"] == {"chat-template.jinja": text}
    assert text in engine["args"]
    assert {"name": "A", "value": text} in engine["env"]


def with_env(characters: int) -> Manifest:
    facts = facts_of("cpu-first")
    facts["service"]["spec"]["engine"] = {
        "env": [{"name": f"A{n}", "value": "x" * 4096} for n in range(characters // 4096)]
    }
    return facts


def test_a_template_that_no_annotation_can_hold_is_refused_before_the_api_server_does() -> None:
    facts = with_env(64 * 4096)
    decision = decide_service(service_seen(facts), settings_from(facts), NOW)
    assert not decision.apply
    stalled = next(each for each in decision.status["conditions"] if each["type"] == "Stalled")
    assert stalled["reason"] == "RefusedByAPIServer"
    assert f"and can have {MAX_TEMPLATE}: shorten args and env in spec.engine" in stalled["message"]


def test_the_annotations_of_what_is_written_are_within_the_api_servers_bound() -> None:
    for manifest in decided(with_env(60 * 4096)):
        annotations = manifest["metadata"]["annotations"]
        assert sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) <= 256 * 1024


def test_an_unchanged_service_is_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_of("phase-running")
    first = decide_service(seen_from(facts), settings_from(facts), NOW)

    def refuse(*_: Any) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(workload, "_render", refuse)
    assert decide_service(seen_from(facts), settings_from(facts), NOW) == first


@pytest.mark.parametrize(
    "change",
    [
        {"service": {"metadata": {"name": "other"}}},
        {"service": {"metadata": {"namespace": "other"}}},
        {"service": {"metadata": {"uid": "other"}}},
        {"service": {"spec": {"qps": 6}}},
        {"service": {"spec": {"engine": {"args": ["--new"]}}}},
        {"model": {"spec": {"versions": [{"name": "4k", "source": "hf://new/new", "contextLength": 4096}]}}},
        {"pool": {"spec": {"nodeSelector": {"pool": "b"}}}},
        {"pool": {"spec": {"tolerations": [{"operator": "Exists"}]}}},
        {"pool": {"spec": {"flavors": [{"name": "one", "cpu": "1", "memory": "3Gi", "maxQPS": 10}]}}},
        {"model": {"spec": {"versions": [VERSION | {"accelerators": [{"type": "cpu", "args": ["--new"]}]}]}}},
        {"settings": {"accelerators": {"cpu": {"image": "new:1"}}}},
        {"settings": {"accelerators": {"cpu": {"runtimeClassName": "new"}}}},
        {"settings": {"accelerators": {"cpu": {"schedulerName": "new"}}}},
        {"settings": {"imagePullSecrets": ["new"]}},
        {"settings": {"drainSeconds": 61}},
        {"settings": {"loadSeconds": 61}},
    ],
)
def test_what_is_kept_is_never_taken_for_something_else(change: Manifest) -> None:
    from tests.unit.decide.facts import merged

    facts = facts_of("cpu-first")
    before = decided(facts)
    changed = decided(merged(facts, change))
    assert json.dumps(before) != json.dumps(changed)


def test_the_callers_changes_do_not_reach_what_is_kept() -> None:
    facts = facts_of("cpu-first")
    first = decided(facts)
    text = json.dumps(first)
    for manifest in first:
        manifest["metadata"].clear()
        manifest["spec"].clear()
    assert json.dumps(decided(facts)) == text


def test_what_is_kept_of_a_service_is_small() -> None:
    """RENDERED_KEPT of them must be some megabytes."""
    facts = facts_of("ascend-910b")
    decided(facts)
    packed = list(workload._rendered._values.values())[-1]
    assert len(packed) < 2500


def test_a_version_that_a_user_pins_later_to_the_one_deployed_changes_nothing() -> None:
    facts = facts_of("phase-running")
    seen = seen_from(facts)
    service = json.loads(json.dumps(seen.service))
    service["spec"]["model"]["version"] = "4k"
    assert not decide_service(replace(seen, service=service), settings_from(facts), NOW).apply


def test_long_names_stay_apart_in_labels() -> None:
    assert label_value("a" * 63) == "a" * 63
    assert len({label_value("a" * 64), label_value("a" * 65)}) == 2
    assert all(len(label_value("a" * length)) <= 63 for length in (63, 64, 253))
