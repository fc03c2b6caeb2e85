"""ResourcePool: every rule of its schema, accepted and refused by a real API server."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from maas_operator.api.crd import definition
from maas_operator.api.kinds import RESOURCE_POOL
from tests.api.admission import Admission
from tests.api.rules import (
    MAP_KEY,
    Rule,
    cel,
    choice,
    decimal,
    items,
    label,
    members,
    moment,
    name,
    number,
    of,
    quantity,
    replaced,
    required,
    rules_of,
    text,
)

pytestmark = pytest.mark.api

SELECTOR = {
    "matchLabels": {MAP_KEY: "gold"},
    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold"]}],
}
EXAMPLE = {
    "apiVersion": "maas-operator.io/v1alpha1",
    "kind": "ResourcePool",
    "metadata": {"name": "ascend-a"},
    "spec": {
        "description": "for production",
        "dedicated": True,
        "nodeSelector": {MAP_KEY: "huawei-Ascend910"},
        "tolerations": [{"key": "npu", "operator": "Equal", "value": "yes", "effect": "NoExecute"}],
        "accounts": SELECTOR,
        "cache": {"hostPath": {"path": "/var/lib/maas"}},
        "flavors": [
            {
                "name": "910b-x2",
                "description": "two cards",
                "accelerator": {"type": "ascend-910b", "count": 2, "memory": "64Gi"},
                "hosts": 2,
                "topologyKey": "example.com/super-node",
                "cpu": "32",
                "memory": "4Ti",
                "sharedMemory": "512Mi",
                "networks": ["network/rail-0"],
                "maxQPS": 40,
                "price": {"perHour": "12.50", "currency": "EUR"},
            }
        ],
        "quotas": [{"name": "everybody", "accounts": SELECTOR, "flavors": ["910b-x2"], "instances": 4}],
        "prepaid": [
            {
                "name": "autumn",
                "account": "team-a",
                "flavor": "910b-x2",
                "hours": 100,
                "start": "2026-09-01T00:00:00Z",
                "end": "2028-12-01T00:00:00Z",
            }
        ],
    },
}
SMALL = {"name": "small", "cpu": "1", "memory": "2Gi"}
PACKAGE = {"account": "team-a", "flavor": "910b-x2", "hours": 1, "start": "2026-09-01T00:00:00Z"}
CLAIM_NAME = "spec.cache.persistentVolumeClaim.claimName"
DEVICES = "spec.flavors[].devices"
RESOURCES = ("rdma/hca_shared_devices_a", "nvidia.com/hostdev", "vpc.amazonaws.com/efa", "a/B.c-d_e")
NO_RESOURCES = (
    *(
        "cpu",
        "hugepages-2Mi",
        "nvidia.com/",
        "/hca",
        "NVIDIA.com/a",
        "a/b/c",
        "a/b c",
        "a/" + "b" * 64,
        "a" * 245 + "/b",
    ),
    *("kubernetes.io/a", "node.kubernetes.io/a", "requests.nvidia.com/gpu"),
)
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


def accounts(path: str) -> tuple[Rule, ...]:
    """A selector of accounts, by the labels of their namespaces."""
    expression = f"{path}.matchExpressions[]"
    return (
        *labels(f"{path}.matchLabels"),
        *items(f"{path}.matchExpressions", 0, 16, lambda index: {"key": f"key-{index}", "operator": "Exists"}),
        *required(f"{expression}.key", f"{expression}.operator"),
        *label_key(f"{expression}.key"),
        *choice(f"{expression}.operator", "In", "NotIn", "Exists", "DoesNotExist", good=("In", "NotIn")),
        *items(f"{expression}.values", 0, 64, "value-{}".format, unique=True),
        *label_value(f"{expression}.values[]"),
        *cel(
            expression,
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
    )


def each_device(rules: tuple[Rule, ...]) -> Iterator[Rule]:
    """The rules of a device's count: its key is no plain word."""
    for rule in rules:
        good, bad = (tuple({"rdma/hca": each} for each in values) for values in (rule.good, rule.bad))
        yield replace(rule, path=DEVICES, owner=rule.path, field=f"{DEVICES}.rdma/hca", good=good, bad=bad)


def some_devices(count: int) -> dict[str, int]:
    return {f"rdma/hca_{number}": 1 for number in range(count)}


def of_claim(rules: tuple[Rule, ...]) -> Iterator[Rule]:
    """The rules of a claim's name: the example's cache is the other one of the two."""
    for rule in rules:

        def claims(values: tuple[str, ...]) -> tuple[Any, ...]:
            return tuple({"persistentVolumeClaim": {"claimName": each}} for each in values)

        bad = claims(rule.bad) or ({"persistentVolumeClaim": {}},)
        yield replace(rule, path="spec.cache", owner=rule.path, field=rule.path, good=claims(rule.good), bad=bad)


RULES = (
    *text("spec.description", 0, 256),
    *cel(
        "spec.cache",
        "a cache is one of the two: hostPath, a folder of each node, or persistentVolumeClaim, a volume that the nodes "
        "share",
        good=({"persistentVolumeClaim": {"claimName": "weights"}}, {"hostPath": {"path": "/a"}}),
        bad=({}, {"persistentVolumeClaim": {"claimName": "weights"}, "hostPath": {"path": "/a"}}),
    ),
    *cel(
        "spec.cache.hostPath",
        "hostPath.path is an absolute path without '..'",
        good=({"path": "/a/..b"}, {"path": "/a/b..c"}),
        bad=({"path": "/a/.."}, {"path": "/../a"}),
        owner="spec.cache",
    ),
    *required("spec.cache.hostPath.path"),
    *text(
        "spec.cache.hostPath.path",
        2,
        1024,
        fill=lambda size: "/" + "a" * (size - 1),
        accepted=("/a", "/var/lib/maas-operator/a_1.b"),
        refused=("a/b", "//", "/a/", "/a b", "/a$(b)"),
    ),
    *of_claim((*required(CLAIM_NAME), *name(CLAIM_NAME))),
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
    *number("spec.tolerations[].tolerationSeconds", 0, 86_400),
    *cel(
        "spec.tolerations[]",
        "tolerationSeconds needs effect NoExecute: other taints send no instance away",
        good=({"key": "npu", "effect": "NoExecute", "tolerationSeconds": 60}, {"key": "npu", "effect": "NoExecute"}),
        bad=({"key": "npu", "tolerationSeconds": 60}, {"key": "npu", "effect": "NoSchedule", "tolerationSeconds": 60}),
    ),
    *accounts("spec.accounts"),
    *of(
        "M3",
        required("spec.flavors", "spec.flavors[].name", "spec.flavors[].cpu", "spec.flavors[].memory"),
        items("spec.flavors", 1, 64, lambda index: {"name": f"f-{index}", "cpu": "1", "memory": "1Gi"}, unique=True),
        label("spec.flavors[].name"),
        text("spec.flavors[].description", 0, 256),
        required("spec.flavors[].accelerator.type", "spec.flavors[].accelerator.count"),
        label("spec.flavors[].accelerator.type"),
        number("spec.flavors[].accelerator.count", 1, 64),
        quantity("spec.flavors[].accelerator.memory", shortest="1G"),
        cel(
            "spec.flavors[].accelerator.memory",
            "memory must be at least 1Mi: without a unit it is in bytes, and m is a thousandth",
            good=("64Gi", "1Mi", "68719476736"),
            bad=("64", "0", "64m"),
            owner="spec.flavors[].accelerator",
        ),
        (
            Rule("spec.flavors[].hosts", "minimum", (2,), (0,), "should be greater than or equal to 1"),
            Rule("spec.flavors[].hosts", "maximum", (64,), (65,), "should be less than or equal to 64"),
        ),
        label_key("spec.flavors[].topologyKey"),
        cel(
            "spec.flavors[]",
            "topologyKey keeps the hosts of an instance together: it needs hosts of 2 or more",
            good=(SMALL, SMALL | {"hosts": 1}, SMALL | {"hosts": 2, "topologyKey": "rack"}),
            bad=(SMALL | {"topologyKey": "rack"}, SMALL | {"hosts": 1, "topologyKey": "rack"}),
            field="spec.flavors[].topologyKey",
        ),
        (Rule(DEVICES, "maxProperties", (some_devices(0), some_devices(16)), (some_devices(17),), "at most 16 items"),),
        tuple(each_device(number(f"{DEVICES}{{}}", 1, 1_000_000))),
        cel(
            DEVICES,
            "an extended resource is DOMAIN/NAME, the domain a lower-case DNS name other than kubernetes.io and not "
            "beginning with requests., the name of at most 63 letters, digits, '-', '_' and '.'",
            good=tuple({each: 1} for each in RESOURCES),
            bad=tuple({each: 1} for each in NO_RESOURCES),
        ),
        items("spec.flavors[].networks", 0, 32, "network-{}".format),
        text(
            "spec.flavors[].networks[]",
            1,
            384,
            accepted=("rail-0", "network/rail-0", "network/rail.0@net1"),
            refused=("Rail", "a/b/c", "a,b", "a@", "/a", "a b"),
        ),
        quantity("spec.flavors[].cpu"),
        quantity("spec.flavors[].memory", shortest="1T"),
        quantity("spec.flavors[].sharedMemory"),
        cel("spec.flavors[].cpu", "cpu must be more than 0", ("1m", "0.5"), ("0", "0m")),
        cel(
            "spec.flavors[].memory",
            "memory must be at least 1Mi: without a unit it is in bytes, and m is a thousandth",
            good=("512Mi", "536870912"),
            bad=("0", "1023Ki", "256", "256m"),
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
    *items("spec.quotas", 0, 64, lambda index: {"name": f"q-{index}", "instances": 1}, unique=True),
    *required("spec.quotas[].name", "spec.quotas[].instances"),
    *label("spec.quotas[].name"),
    *accounts("spec.quotas[].accounts"),
    *items("spec.quotas[].flavors", 0, 64, "f-{}".format, unique=True),
    *label("spec.quotas[].flavors[]"),
    *number("spec.quotas[].instances", 0, 100_000),
    *of(
        "M16",
        required("spec.flavors[].price.perHour", "spec.flavors[].price.currency"),
        decimal("spec.flavors[].price.perHour"),
        text(
            "spec.flavors[].price.currency",
            3,
            3,
            fill=lambda size: "EUR".ljust(size, "O"),
            accepted=("EUR", "CNY"),
            refused=("eur", "E1R", "EU "),
        ),
        items("spec.prepaid", 0, 1024, lambda index: PACKAGE | {"name": f"p-{index}"}, unique=True),
        required(*(f"spec.prepaid[].{field}" for field in ("name", "account", "flavor", "hours", "start"))),
        label("spec.prepaid[].name"),
        label("spec.prepaid[].account"),
        label("spec.prepaid[].flavor"),
        number("spec.prepaid[].hours", 1, 10_000_000),
        moment("spec.prepaid[].start"),
        moment("spec.prepaid[].end"),
        cel(
            "spec.prepaid[].end",
            "end must be after start: a package that has ended before it begins pays for nothing",
            good=("2026-09-01T00:00:01Z", "2026-09-01T01:00:00.5+01:00"),
            bad=("2026-09-01T00:00:00Z", "2025-09-01T00:00:00Z", "2026-09-01T00:30:00+01:00"),
            owner="spec.prepaid[]",
        ),
    ),
)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule(admission: Admission, rule: Rule) -> None:
    admission.judge(RESOURCE_POOL, EXAMPLE, rule)


def test_every_rule_has_a_row() -> None:
    assert {rule.identity for rule in RULES} == set(rules_of(definition(RESOURCE_POOL)))


def test_only_flavors_are_needed(admission: Admission) -> None:
    spec = {"flavors": [SMALL]}
    assert admission.ask(RESOURCE_POOL, replaced(EXAMPLE, "spec", spec)) is None
