"""ModelService: every rule of its schema, accepted and refused by a real API server."""

import pytest

from maas_operator.api.crd import definition
from maas_operator.api.events import Subscribable
from maas_operator.api.kinds import MODEL_SERVICE
from tests.api.admission import Admission
from tests.api.rules import (
    Rule,
    arguments,
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
        "model": {"name": "deepseek-r1", "version": "8k", "credentials": {"secretName": "hub"}},
        "resourcePool": "ascend-a",
        "flavor": "910b-x2",
        "instances": 2,
        "qps": 50,
        "limits": {"requestsPerMinute": 600, "tokensPerMinute": 200_000},
        "sharing": {"accounts": ["team-b"]},
        "balancing": "LeastRequest",
        "state": "Running",
        "autoStop": {"after": "4h"},
        "rollout": {"withoutRoom": "Replace"},
        "priorityClassName": "maas-production",
        "notifications": {"topic": "ops", "events": ["Running", "Terminated", "Failed"]},
        "engine": {
            "args": ["--enable-prefix-caching"],
            "env": [{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}],
            "image": "example.com/vllm:1.2",
        },
    },
}
SCALED = {key: value for key, value in EXAMPLE["spec"].items() if key != "instances"} | {  # type: ignore[attr-defined]
    "scaling": {
        "minInstances": 0,
        "maxInstances": 1000,
        "metrics": [{"type": "Concurrency", "target": 16}],
        "sleepAfter": "10m",
        "behavior": {
            direction: {
                "stabilizationWindowSeconds": 60,
                "selectPolicy": "Max",
                "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
                "tolerance": "0.1",
            }
            for direction in ("scaleUp", "scaleDown")
        },
        "schedules": [
            {
                "name": "office",
                "start": "0 8 * * 1-5",
                "end": "0 18 * * 1-5",
                "timeZone": "Europe/Berlin",
                "minInstances": 1,
                "maxInstances": 1000,
            }
        ],
    }
}
SCALING_EXAMPLE = EXAMPLE | {"spec": SCALED}
ONE_OWNER = (
    "instances and scaling exclude each other: with scaling the operator decides how many run, between minInstances "
    "and maxInstances"
)
SUBSCRIPTIONS = [str(each) for each in Subscribable]
DIGEST = "sha256:" + "0" * 64


def duration(path: str) -> tuple[Rule, ...]:
    """Hours, minutes and seconds."""
    return text(
        path,
        2,
        18,
        fill=lambda size: "99999h99999m99999s".rjust(size, "9"),
        shortest="1h",
        accepted=("1h", "2h", "4h", "6h", "90m", "1h30m", "1h30m15s"),
        refused=("45", "1d", "1h 30m", "-1h", "1m1h"),
    )


def cron(path: str) -> tuple[Rule, ...]:
    """A cron expression of five fields; whether it comes at all the operator says."""
    return text(
        path,
        9,
        128,
        fill=lambda size: "* * * * ".ljust(size, "*"),
        shortest="* * * * *",
        accepted=("0 8 * * 1-5",),
        refused=("0 8 * * *  ", "@hourly 1", "0 8 * * * *"),
    )


def direction(path: str) -> tuple[Rule, ...]:
    """The rules of one direction."""
    policy = {"type": "Pods", "value": 1, "periodSeconds": 60}
    return (
        *number(f"{path}.stabilizationWindowSeconds", 0, 3600),
        *choice(f"{path}.selectPolicy", "Max", "Min", "Disabled"),
        *items(f"{path}.policies", 1, 8, lambda _: policy),
        *required(f"{path}.policies[].type", f"{path}.policies[].value", f"{path}.policies[].periodSeconds"),
        *choice(f"{path}.policies[].type", "Pods", "Percent"),
        *number(f"{path}.policies[].value", 1, 10_000),
        *number(f"{path}.policies[].periodSeconds", 1, 1800),
        *text(
            f"{path}.tolerance",
            0,
            8,
            fill=lambda size: "0.1" if size <= 8 else "0" * size,
            accepted=("0", "1", "0.1", ".05", "0.125"),
            refused=("2", "0.1234", "1.5", "10%", "-0.1"),
        ),
    )


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
        required("spec.model.credentials.secretName"),
        name("spec.model.credentials.secretName"),
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
        duration("spec.autoStop.after"),
        duration("spec.autoStop.afterIdle"),
        cel(
            "spec.autoStop",
            "autoStop sets after, afterIdle or both",
            good=({"after": "1h"}, {"afterIdle": "1h"}, {"after": "4h", "afterIdle": "1h"}),
            bad=({},),
        ),
        cel(
            "spec.autoStop.afterIdle",
            "autoStop.afterIdle must be one minute or more",
            good=("1m", "60s", "0h1m"),
            bad=("59s", "0h0m"),
        ),
        cel(
            "spec.autoStop.after",
            "autoStop.after must be one minute or more",
            good=("1m", "60s", "0h1m"),
            bad=("59s", "0h0m"),
        ),
    ),
    *choice("spec.rollout.withoutRoom", "Replace", "Wait"),
    *name("spec.priorityClassName"),
    *of(
        "M9",
        required("spec.notifications.topic", "spec.notifications.events"),
        name("spec.notifications.topic"),
        items("spec.notifications.events", 1, len(SUBSCRIPTIONS), (SUBSCRIPTIONS * 2).__getitem__, unique=True),
        choice("spec.notifications.events[]", *SUBSCRIPTIONS, good=("Queuing", "SuspectedSuspension")),
    ),
    *cel(
        "spec.scaling",
        ONE_OWNER,
        good=(),
        bad=({"minInstances": 0, "maxInstances": 1},),
        field="spec.instances",
        owner="spec",
    ),
    *arguments("spec.engine.args"),
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
    *cel(
        "spec.engine.env",
        "the device plugin sets NVIDIA_VISIBLE_DEVICES, AMD_VISIBLE_DEVICES, ASCEND_VISIBLE_DEVICES, "
        "HABANA_VISIBLE_DEVICES: leave them out of engine.env (how many devices an instance has is its flavor's to "
        "say)",
        good=([], [{"name": "ASCEND_RT_VISIBLE_DEVICES", "value": "0"}]),
        bad=tuple(
            [{"name": "A", "value": "1"}, {"name": f"{maker}_VISIBLE_DEVICES", "value": "all"}]
            for maker in ("NVIDIA", "AMD", "ASCEND", "HABANA")
        ),
    ),
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
    ),
)  # fmt: skip


BOUNDS = "minInstances must not be above maxInstances"
HOURS = {"name": "office", "start": "0 8 * * *", "end": "0 9 * * *"}
SCALING_RULES = (
    *required("spec.scaling.minInstances", "spec.scaling.maxInstances"),
    *number("spec.scaling.minInstances", 0, 1000),
    *number("spec.scaling.maxInstances", 1, 1000),
    *cel(
        "spec.scaling",
        BOUNDS,
        good=({"minInstances": 2, "maxInstances": 2}, {"minInstances": 0, "maxInstances": 1}),
        bad=({"minInstances": 3, "maxInstances": 2},),
    ),
    Rule(
        "spec.scaling.metrics",
        "maxItems",
        ([{"type": kind, "target": 1} for kind in ("QPS", "Concurrency", "Queue", "KVCache")],),
        ([{"type": f"M{number}", "target": 1} for number in range(5)],),
        "at most 4 items",
    ),
    Rule(
        "spec.scaling.metrics",
        "unique",
        ([{"type": "QPS", "target": 1}, {"type": "Queue", "target": 1}],),
        ([{"type": "QPS", "target": 1}, {"type": "QPS", "target": 2}],),
        "Duplicate value",
        "spec.scaling.metrics[1]",
    ),
    *required("spec.scaling.metrics[].type", "spec.scaling.metrics[].target"),
    *choice("spec.scaling.metrics[].type", "QPS", "Concurrency", "Queue", "KVCache"),
    *number("spec.scaling.metrics[].target", 1, 1_000_000),
    *cel(
        "spec.scaling.metrics[]",
        "KVCache is measured in per cent: target must be at most 100",
        good=({"type": "KVCache", "target": 100}, {"type": "Queue", "target": 101}),
        bad=({"type": "KVCache", "target": 101},),
    ),
    *duration("spec.scaling.sleepAfter"),
    *cel(
        "spec.scaling.sleepAfter",
        "sleepAfter must be ten seconds or more",
        good=("10s", "1m"),
        bad=("9s", "0h0m"),
    ),
    *direction("spec.scaling.behavior.scaleUp"),
    *direction("spec.scaling.behavior.scaleDown"),
    *items(
        "spec.scaling.schedules", 0, 16, lambda number: HOURS | {"name": f"s{number}", "minInstances": 1}, unique=True
    ),
    *required(*(f"spec.scaling.schedules[].{field}" for field in ("name", "start", "end"))),
    *label("spec.scaling.schedules[].name"),
    *cron("spec.scaling.schedules[].start"),
    *cron("spec.scaling.schedules[].end"),
    *text(
        "spec.scaling.schedules[].timeZone",
        1,
        64,
        accepted=("UTC", "Europe/Berlin", "Etc/GMT+5", "America/Port-au-Prince"),
        refused=("Europe/ Berlin", "a:b", "Zürich"),
    ),
    *number("spec.scaling.schedules[].minInstances", 0, 1000),
    *number("spec.scaling.schedules[].maxInstances", 1, 1000),
    *cel(
        "spec.scaling.schedules[]",
        BOUNDS,
        good=(HOURS | {"minInstances": 2, "maxInstances": 2},),
        bad=(HOURS | {"minInstances": 3, "maxInstances": 2},),
    ),
    *cel(
        "spec.scaling.schedules[]",
        "a schedule sets minInstances, maxInstances or both",
        good=(HOURS | {"minInstances": 0}, HOURS | {"maxInstances": 1}),
        bad=(HOURS,),
    ),
)


@pytest.mark.parametrize("rule", SCALING_RULES, ids=str)
def test_rule_of_scaling(admission: Admission, rule: Rule) -> None:
    admission.judge(MODEL_SERVICE, SCALING_EXAMPLE, rule)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule(admission: Admission, rule: Rule) -> None:
    admission.judge(MODEL_SERVICE, EXAMPLE, rule)


def test_every_rule_has_a_row() -> None:
    assert {rule.identity for rule in (*RULES, *SCALING_RULES)} == set(rules_of(definition(MODEL_SERVICE)))


def test_only_model_pool_and_flavor_are_needed(admission: Admission) -> None:
    spec = {"model": {"name": "deepseek-r1"}, "resourcePool": "ascend-a", "flavor": "910b-x2"}
    assert admission.ask(MODEL_SERVICE, replaced(EXAMPLE, "spec", spec)) is None


def test_a_field_that_nobody_knows_is_refused_by_kubectl(admission: Admission) -> None:
    refusal = admission.ask(MODEL_SERVICE, replaced(EXAMPLE, "spec.instance", 3))
    assert refusal is not None
    assert 'unknown field "spec.instance"' in refusal.about("")
