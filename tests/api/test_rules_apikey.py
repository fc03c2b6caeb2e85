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
ONE_OF_TWO = (
    "say either sha256, of a key that you make (kubectl maas key create does), or delivery: Secret, for one that the "
    "operator makes"
)
WHO_MAKES_IT = "who makes the key cannot be changed: delete the key and make another"
ONCE = "a key is delivered once: its digest never changes"

RULES = of(
    "M22",
    required("spec.tag", "spec.description"),
    text("spec.tag", 1, 100, accepted=("a", "A_1-b", "-", "0"), refused=("a b", "a.b", "é", "a/b")),
    text("spec.description", 1, 100, accepted=("anything: é, 漢",)),
    text("spec.sha256", 64, 64, accepted=("0a" * 32,), refused=("A" * 64, "g" * 64)),
    choice("spec.delivery", "Secret", good=()),
    choice("spec.kind", "Bearer", "ClientCredentials"),
    some("spec.limits", "tokenQuota"),
    number("spec.limits.requestsPerMinute", 1, 60_000_000),
    number("spec.limits.tokensPerMinute", 1, 1_000_000_000),
    number("spec.limits.tokenQuota", 1, 1_000_000_000_000_000),
    items("spec.services", 0, 64, "service-{}".format, unique=True),
    label("spec.services[]"),
    moment("spec.expiresAt"),
    *(cel(f"spec.{field}", words, (), ()) for field, (words, _) in IMMUTABLE.items()),
    cel("spec", IMMUTABLE["kind"][0], (), ()),
    cel("spec", ONE_OF_TWO, (), ()),
    cel("spec", WHO_MAKES_IT, (), ()),
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


DELIVERED = EXAMPLE | {"spec": {"tag": "ci", "description": "nightly evaluation", "delivery": "Secret"}}


def test_m22_either_the_user_makes_the_key_or_the_operator(admission: Admission) -> None:
    assert admission.ask(API_KEY, DELIVERED) is None
    both = replaced(DELIVERED, "spec.sha256", "0" * 64)
    neither = replaced(DELIVERED, "spec.delivery", None)
    for manifest in (both, neither):
        refusal = admission.ask(API_KEY, manifest)
        assert refusal is not None
        assert ONE_OF_TWO in refusal.about("spec")


def test_m22_who_makes_the_key_cannot_be_changed(admission: Admission, key: str) -> None:
    with pytest.raises(client.ApiException) as refused:
        admission.objects.patch_namespaced_custom_object(
            GROUP, VERSION, "default", API_KEY.plural, key, {"spec": {"sha256": None, "delivery": "Secret"}}
        )
    assert WHO_MAKES_IT in str(refused.value.body)


@pytest.fixture
def delivered(admission: Admission) -> Iterator[str]:
    """A key that the operator is to make, whose user has written a digest and a Secret's name into its status."""
    where = (GROUP, VERSION, "default", API_KEY.plural)
    status = {"sha256": "0" * 64, "delivery": {"secretName": "some-other", "secretUID": "uid"}}
    admission.objects.create_namespaced_custom_object(
        *where, replaced(DELIVERED, "metadata.name", "delivered") | {"status": status}
    )
    yield "delivered"
    admission.objects.delete_namespaced_custom_object(*where, "delivered")


def test_m22_a_user_brings_no_digest_by_the_status(admission: Admission, delivered: str) -> None:
    where = (GROUP, VERSION, "default", API_KEY.plural, delivered)
    admission.objects.patch_namespaced_custom_object(*where, {"status": {"sha256": "0" * 64}})
    assert "sha256" not in str(admission.objects.get_namespaced_custom_object(*where))


@pytest.mark.parametrize("other", ["1" * 64, None], ids=["another", "none"])
def test_m22_a_delivered_keys_digest_never_changes(admission: Admission, delivered: str, other: str | None) -> None:
    where = (GROUP, VERSION, "default", API_KEY.plural, delivered)
    admission.objects.patch_namespaced_custom_object_status(*where, {"status": {"sha256": "0" * 64}})
    with pytest.raises(client.ApiException) as refused:
        admission.objects.patch_namespaced_custom_object_status(*where, {"status": {"sha256": other}})
    assert ONCE in str(refused.value.body)
