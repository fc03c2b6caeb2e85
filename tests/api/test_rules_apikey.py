"""M22, ApiKey: every rule of its schema, accepted and refused by a real API server."""

from collections.abc import Iterator

import pytest
from kubernetes import client

from maas_operator.api.crd import definition
from maas_operator.api.kinds import API_KEY
from maas_operator.api.names import GROUP, VERSION
from tests.api.admission import Admission
from tests.api.rules import (
    Rule,
    cel,
    choice,
    items,
    label,
    moment,
    number,
    of,
    replaced,
    required,
    rules_of,
    some,
    text,
)

pytestmark = pytest.mark.api

EXAMPLE = {
    "apiVersion": "maas-operator.io/v1alpha1",
    "kind": "ApiKey",
    "metadata": {"name": "ci", "namespace": "default"},
    "spec": {
        "tag": "ci",
        "description": "nightly evaluation",
        "sha256": "0" * 64,
        "kind": "Bearer",
        "limits": {"requestsPerMinute": 600, "tokensPerMinute": 200_000, "tokenQuota": 1_000_000},
        "services": ["assistant"],
        "expiresAt": "2027-01-31T00:00:00Z",
    },
}
IMMUTABLE = {
    "tag": ("the tag cannot be changed: delete the key and make another", "other"),
    "description": ("the description cannot be changed: delete the key and make another", "other"),
    "sha256": ("the key's digest cannot be changed: delete the key and make another", "1" * 64),
    "kind": ("the key's kind cannot be changed: delete the key and make another", "ClientCredentials"),
}

RULES = of(
    "M22",
    required("spec.tag", "spec.description", "spec.sha256"),
    text("spec.tag", 1, 100, accepted=("a", "A_1-b", "-", "0"), refused=("a b", "a.b", "é", "a/b")),
    text("spec.description", 1, 100, accepted=("anything: é, 漢",)),
    text("spec.sha256", 64, 64, accepted=("0a" * 32,), refused=("A" * 64, "g" * 64)),
    choice("spec.kind", "Bearer", "ClientCredentials"),
    some("spec.limits", "tokenQuota"),
    number("spec.limits.requestsPerMinute", 1, 60_000_000),
    number("spec.limits.tokensPerMinute", 1, 1_000_000_000),
    number("spec.limits.tokenQuota", 1, 1_000_000_000_000_000),
    items("spec.services", 0, 64, "service-{}".format, unique=True),
    label("spec.services[]"),
    text("spec.expiresAt", 0, 64, fill=lambda size: "2027-01-31T00:00:00.".ljust(size - 1, "0") + "Z"),
    moment("spec.expiresAt"),
    *(cel(f"spec.{field}", words, (), ()) for field, (words, _) in IMMUTABLE.items()),
    cel("spec", IMMUTABLE["kind"][0], (), ()),
)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.keyword != "rule"], ids=str)
def test_rule(admission: Admission, rule: Rule) -> None:
    admission.judge(API_KEY, EXAMPLE, rule)


def test_every_rule_has_a_row() -> None:
    assert {rule.identity for rule in RULES} == set(rules_of(definition(API_KEY)))


@pytest.fixture
def key(admission: Admission) -> Iterator[str]:
    """A key that is really there."""
    where = (GROUP, VERSION, "default", API_KEY.plural)
    admission.objects.create_namespaced_custom_object(*where, replaced(EXAMPLE, "metadata.name", "immutable"))
    yield "immutable"
    admission.objects.delete_namespaced_custom_object(*where, "immutable")


@pytest.mark.parametrize("field", IMMUTABLE)
def test_m22_what_a_key_is_cannot_be_changed(admission: Admission, key: str, field: str) -> None:
    words, other = IMMUTABLE[field]
    with pytest.raises(client.ApiException) as refused:
        admission.objects.patch_namespaced_custom_object(
            GROUP, VERSION, "default", API_KEY.plural, key, {"spec": {field: other}}
        )
    assert f"spec.{field}: Invalid value" in str(refused.value.body)
    assert words in str(refused.value.body)


def test_m22_a_keys_labels_can_be_changed(admission: Admission, key: str) -> None:
    admission.objects.patch_namespaced_custom_object(
        GROUP, VERSION, "default", API_KEY.plural, key, {"metadata": {"labels": {"owner": "ci"}}}
    )
