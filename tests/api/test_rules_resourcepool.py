"""ResourcePool: every rule of its schema, accepted and refused by a real API server."""

import pytest

from maas_operator.api.crd import definition
from maas_operator.api.kinds import RESOURCE_POOL
from tests.api.admission import Admission
from tests.api.rules import (
    MAP_KEY,
    Rule,
    cel,
    choice,
    items,
    label,
    members,
    number,
    of,
    replaced,
    required,
    rules_of,
    text,
)

pytestmark = pytest.mark.api

EXAMPLE = {
    "apiVersion": "maas-operator.io/v1alpha1",
    "kind": "ResourcePool",
    "metadata": {"name": "ascend-a"},
    "spec": {
        "description": "for production",
        "nodeSelector": {MAP_KEY: "huawei-Ascend910"},
        "tolerations": [{"key": "npu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
        "accounts": {
            "matchLabels": {MAP_KEY: "gold"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold"]}],
        },
        "flavors": [
            {
                "name": "910b-x2",
                "description": "two cards",
                "accelerator": {"type": "ascend-910b", "count": 2},
                "cpu": "32",
                "memory": "4Ti",
                "sharedMemory": "512Mi",
                "maxQPS": 40,
            }
        ],
    },
}
EXPRESSION = "spec.accounts.matchExpressions[]"
VALUE_REFUSED = ("-a", "a-", "a b", "a/b")
KEY_REFUSED = ("-a", "a-", "a b", "a/b/c", "/a", "A/b")
KEY_WORDS = (
    "a label's key is [PREFIX/]NAME: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit; "
    "the prefix is a lower-case DNS name"
)


def label_value(path: str) -> tuple[Rule, ...]:
    return text(path, 0, 63, accepted=("", "a", "A_1.b-c"), refused=VALUE_REFUSED)


def label_key(path: str) -> tuple[Rule, ...]:
    return text(path, 1, 316, accepted=("a", "A_1.b", "example.com/a"), refused=KEY_REFUSED)


def labels(path: str) -> tuple[Rule, ...]:
    good = tuple({key: "v"} for key in ("a", "A_1.b", "example.com/a"))
    bad = tuple({key: "v"} for key in (*KEY_REFUSED, "", "a" * 317))
    return (*members(path, 32), *label_value(f"{path}{{}}"), *cel(path, KEY_WORDS, good, bad))


def quantity(path: str, shortest: str = "1") -> tuple[Rule, ...]:
    good, bad = ("1024Mi", "1.5Gi", "2G", "1T", "4000000k"), ("1GB", "-1Gi", "1e9", "1 Gi", ".5Gi", "Gi")
    return text(path, 1, 32, fill=lambda size: "2Gi".rjust(size, "0"), shortest=shortest, accepted=good, refused=bad)


RULES = (
    *text("spec.description", 0, 256),
    *labels("spec.nodeSelector"),
    *items("spec.tolerations", 0, 32, lambda index: {"key": f"key-{index}", "operator": "Exists"}),
    *label_key("spec.tolerations[].key"),
    *choice("spec.tolerations[].operator", "Exists", "Equal", good=("Equal",)),
    *label_value("spec.tolerations[].value"),
    *choice("spec.tolerations[].effect", "NoSchedule", "PreferNoSchedule", "NoExecute"),
    *cel(
        "spec.tolerations[]",
        "a toleration without a key needs operator Exists: it then tolerates every taint",
        good=({"operator": "Exists"}, {"key": "npu"}, {"key": "npu", "operator": "Exists"}),
        bad=({}, {"operator": "Equal"}, {"value": "yes"}),
    ),
    *cel(
        "spec.tolerations[]",
        "operator Exists takes no value: leave the value out, or use Equal",
        good=({"key": "npu", "value": "yes"}, {"key": "npu", "operator": "Exists", "value": ""}),
        bad=({"key": "npu", "operator": "Exists", "value": "yes"},),
    ),
    *labels("spec.accounts.matchLabels"),
    *items("spec.accounts.matchExpressions", 0, 16, lambda index: {"key": f"key-{index}", "operator": "Exists"}),
    *required(f"{EXPRESSION}.key", f"{EXPRESSION}.operator"),
    *label_key(f"{EXPRESSION}.key"),
    *choice(f"{EXPRESSION}.operator", "In", "NotIn", "Exists", "DoesNotExist", good=("In", "NotIn")),
    *items(f"{EXPRESSION}.values", 0, 64, "value-{}".format, unique=True),
    *label_value(f"{EXPRESSION}.values[]"),
    *cel(
        EXPRESSION,
        "In and NotIn need values; Exists and DoesNotExist take none",
        good=(
            {"key": "a", "operator": "NotIn", "values": ["b"]},
            {"key": "a", "operator": "Exists"},
            {"key": "a", "operator": "DoesNotExist", "values": []},
        ),
        bad=(
            {"key": "a", "operator": "In"},
            {"key": "a", "operator": "NotIn", "values": []},
            {"key": "a", "operator": "Exists", "values": ["b"]},
        ),
    ),
    *of(
        "M3",
        required("spec.flavors", "spec.flavors[].name", "spec.flavors[].cpu", "spec.flavors[].memory"),
        items("spec.flavors", 1, 64, lambda index: {"name": f"f-{index}", "cpu": "1", "memory": "1Gi"}, unique=True),
        label("spec.flavors[].name"),
        text("spec.flavors[].description", 0, 256),
        required("spec.flavors[].accelerator.type", "spec.flavors[].accelerator.count"),
        label("spec.flavors[].accelerator.type"),
        number("spec.flavors[].accelerator.count", 1, 64),
        quantity("spec.flavors[].cpu"),
        quantity("spec.flavors[].memory", shortest="1T"),
        quantity("spec.flavors[].sharedMemory"),
        cel("spec.flavors[].cpu", "cpu must be more than 0", ("1m", "0.5"), ("0", "0m"), owner="spec.flavors[]"),
        cel(
            "spec.flavors[].memory",
            "memory must be at least 1Mi: without a unit it is in bytes, and m is a thousandth",
            good=("512Mi", "536870912"),
            bad=("0", "1023Ki", "256", "256m"),
            owner="spec.flavors[]",
        ),
        cel(
            "spec.flavors[].sharedMemory",
            "sharedMemory counts as memory: it cannot be more than memory",
            good=("4Ti", "0"),
            bad=("5Ti", "4097Gi"),
            owner="spec.flavors[]",
        ),
    ),
    *of("M8", number("spec.flavors[].maxQPS", 1, 100_000)),
)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule(admission: Admission, rule: Rule) -> None:
    admission.judge(RESOURCE_POOL, EXAMPLE, rule)


def test_every_rule_has_a_row() -> None:
    assert {rule.identity for rule in RULES} == set(rules_of(definition(RESOURCE_POOL)))


def test_only_flavors_are_needed(admission: Admission) -> None:
    spec = {"flavors": [{"name": "small", "cpu": "1", "memory": "2Gi"}]}
    assert admission.ask(RESOURCE_POOL, replaced(EXAMPLE, "spec", spec)) is None
