"""M9, NotificationTopic: every rule of its schema, accepted and refused by a real API server."""

from typing import Any

import pytest

from maas_operator.api.crd import definition
from maas_operator.api.kinds import NOTIFICATION_TOPIC
from tests.api.admission import Admission
from tests.api.rules import Manifest, Rule, cel, items, label, name, of, replaced, required, rules_of, text

pytestmark = pytest.mark.api

SECRET = {"name": "hook", "key": "url"}
WEBHOOK = {"urlFrom": SECRET, "signingKeyFrom": {"name": "hook", "key": "signing-key"}}
WEBHOOK_CHANNEL = "spec.channels[].webhook"
APPRISE_CHANNEL = "spec.channels[].apprise"


def topic(channel: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": "maas-operator.io/v1alpha1",
        "kind": "NotificationTopic",
        "metadata": {"name": "ops", "namespace": "default"},
        "spec": {"description": "who is on call", "channels": [{"name": "first", **channel}]},
    }


def secret_key(path: str) -> tuple[Rule, ...]:
    return (
        *required(path, f"{path}.name", f"{path}.key"),
        *name(f"{path}.name"),
        *text(f"{path}.key", 1, 253, accepted=("url", "A_1.b-c"), refused=("a b", "a/b")),
    )


RULES = of(
    "M9",
    required("spec.channels", "spec.channels[].name"),
    text("spec.description", 0, 256),
    items("spec.channels", 1, 16, lambda index: {"name": f"c-{index}", "webhook": WEBHOOK}, unique=True),
    label("spec.channels[].name"),
    cel(
        "spec.channels[]",
        "a channel is either a webhook or an apprise channel: give exactly one of the two",
        good=({"name": "a", "webhook": WEBHOOK}, {"name": "a", "apprise": {"urlFrom": SECRET}}),
        bad=({"name": "a"}, {"name": "a", "webhook": WEBHOOK, "apprise": {"urlFrom": SECRET}}),
    ),
    secret_key(f"{WEBHOOK_CHANNEL}.urlFrom"),
    secret_key(f"{WEBHOOK_CHANNEL}.signingKeyFrom"),
    secret_key(f"{APPRISE_CHANNEL}.urlFrom"),
)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule(admission: Admission, rule: Rule) -> None:
    channel = {"apprise": {"urlFrom": SECRET}} if rule.path.startswith(APPRISE_CHANNEL) else {"webhook": WEBHOOK}
    admission.judge(NOTIFICATION_TOPIC, topic(channel), rule)


def test_every_rule_has_a_row() -> None:
    assert {rule.identity for rule in RULES} == set(rules_of(definition(NOTIFICATION_TOPIC)))


def test_a_url_in_plain_text_is_refused_by_kubectl(admission: Admission) -> None:
    plain = replaced(topic({"webhook": WEBHOOK}), f"{WEBHOOK_CHANNEL}.url", "https://example.com")
    refusal = admission.ask(NOTIFICATION_TOPIC, plain)
    assert refusal is not None
    assert 'unknown field "spec.channels[0].webhook.url"' in refusal.about("")
