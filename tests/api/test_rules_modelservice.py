"""ModelService: every rule of its schema, accepted and refused by a real API server."""

import pytest

from maas_operator.api.crd import definition
from maas_operator.api.kinds import MODEL_SERVICE
from tests.api.admission import Admission
from tests.api.rules import (
    Rule,
    cel,
    choice,
    items,
    label,
    name,
    number,
    of,
    replaced,
    required,
    rules_of,
    some,
    text,
    variable,
)

pytestmark = pytest.mark.api

EXAMPLE = {
    "apiVersion": "maas-operator.io/v1alpha1",
    "kind": "ModelService",
    "metadata": {"name": "assistant", "namespace": "default"},
    "spec": {
        "displayName": "Assistant_prod",
        "description": "answers questions",
        "model": {"name": "deepseek-r1", "version": "8k"},
        "resourcePool": "ascend-a",
        "flavor": "910b-x2",
        "instances": 2,
        "qps": 50,
        "limits": {"requestsPerMinute": 600, "tokensPerMinute": 200_000},
        "sharing": {"accounts": ["team-b"]},
        "balancing": "LeastRequest",
        "state": "Running",
        "autoStop": {"after": "4h"},
        "engine": {
            "args": ["--enable-prefix-caching"],
            "env": [{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}],
            "image": "example.com/vllm:1.2",
        },
    },
}
DIGEST = "sha256:" + "0" * 64

RULES = (
    *of(
        "M7",
        cel(
            "metadata.name",
            "metadata.name must be at most 50 lower-case letters, digits and '-', and start with a letter, since a "
            "Service of this name is made; spec.displayName takes capitals and '_'",
            good=("a", "a-1", "a" * 50),
            bad=("a" * 51, "1a", "a.b"),
            field="metadata",
            owner="",
        ),
        text("spec.displayName", 1, 64, accepted=("A", "a-1_B"), refused=("1a", "-a", "_a", "a b", "a.b", "é")),
        text("spec.description", 0, 256),
        required("spec.model", "spec.model.name", "spec.resourcePool", "spec.flavor"),
        name("spec.model.name"),
        label("spec.model.version"),
        name("spec.resourcePool"),
        label("spec.flavor"),
        number("spec.instances", 0, 1000),
        number("spec.qps", 1, 1_000_000),
    ),
    *some("spec.limits", "requestsPerMinute"),
    *number("spec.limits.requestsPerMinute", 1, 60_000_000),
    *number("spec.limits.tokensPerMinute", 1, 1_000_000_000),
    *items("spec.sharing.accounts", 1, 256, "team-{}".format, unique=True),
    *label("spec.sharing.accounts[]"),
    *cel(
        "spec.sharing",
        "name the accounts, or set all: true, one of the two",
        good=({"all": True}, {"accounts": ["team-b"]}),
        bad=({}, {"all": True, "accounts": ["team-b"]}),
    ),
    *cel(
        "spec.sharing",
        "all can only be true: else leave it out",
        good=({"all": True},),
        bad=({"all": False},),
        field="spec.sharing.all",
        owner="spec.sharing.all",
    ),
    *choice("spec.balancing", "LeastRequest", "PrefixAffinity"),
    *of("M13", choice("spec.state", "Running", "Stopped")),
    *of(
        "M10",
        required("spec.autoStop.after"),
        text(
            "spec.autoStop.after",
            2,
            18,
            fill=lambda size: "99999h99999m99999s".rjust(size, "9"),
            shortest="1h",
            accepted=("1h", "2h", "4h", "6h", "90m", "1h30m", "1h30m15s"),
            refused=("45", "1d", "1h 30m", "-1h", "1m1h"),
        ),
        cel(
            "spec.autoStop.after",
            "autoStop.after must be one minute or more",
            good=("1m", "60s", "0h1m"),
            bad=("59s", "0h0m"),
        ),
    ),
    *items("spec.engine.args", 0, 64, "--flag-{}".format),
    *text("spec.engine.args[]", 1, 1024),
    *cel(
        "spec.engine.args",
        "the operator sets --model, --served-model-name, --host, --port, --max-model-len, --shutdown-timeout, "
        "--api-key, --chat-template itself: leave them out of engine.args (the context length comes from the Model's "
        "version, the name from metadata.name)",
        good=([], ["--models"], ["--seed", "--1"], ["x=--port"]),
        bad=(
            ["--model=x"], ["--served-model-name", "x"], ["--served_model_name=x"], ["--host=::"], ["--port", "1"],
            ["--max-model-len=1"], ["--shutdown-timeout=1"], ["--api-key=x"], ["--seed=1", "--chat-template=x"],
        ),
    ),
    *variable("spec.engine.env"),
    *text(
        "spec.engine.image",
        1,
        512,
        fill=lambda size: "a:1".rjust(size, "a")[:size],
        shortest="a:1",
        accepted=("a:1",),
        refused=("a b:1", " a:1"),
    ),
    *cel(
        "spec.engine.image",
        "engine.image needs a tag other than latest, or a digest, so that every instance runs the same engine",
        good=("vllm:1", "example.com:5000/vllm:v1.2", f"vllm@{DIGEST}", f"vllm:latest@{DIGEST}", "vllm:latest-cpu"),
        bad=("vllm", "example.com:5000/vllm", "vllm:latest", "vllm@sha256:12"),
        owner="spec",
    ),
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule(admission: Admission, rule: Rule) -> None:
    admission.judge(MODEL_SERVICE, EXAMPLE, rule)


def test_every_rule_has_a_row() -> None:
    assert {rule.identity for rule in RULES} == set(rules_of(definition(MODEL_SERVICE)))


def test_only_model_pool_and_flavor_are_needed(admission: Admission) -> None:
    spec = {"model": {"name": "deepseek-r1"}, "resourcePool": "ascend-a", "flavor": "910b-x2"}
    assert admission.ask(MODEL_SERVICE, replaced(EXAMPLE, "spec", spec)) is None


def test_a_field_that_nobody_knows_is_refused_by_kubectl(admission: Admission) -> None:
    refusal = admission.ask(MODEL_SERVICE, replaced(EXAMPLE, "spec.instance", 3))
    assert refusal is not None
    assert 'unknown field "spec.instance"' in refusal.about("")
