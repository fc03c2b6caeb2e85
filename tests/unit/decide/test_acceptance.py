"""Who may use a pool (M3), how many requests a second are allowed (M8), and that shared specs are parsed once."""

import pytest

from maas_operator.api.conditions import Reason
from maas_operator.api.resourcepool import AccountSelector, ResourcePoolSpec
from maas_operator.api.selecting import selects
from maas_operator.decide.acceptance import Plan, Refusal, accept
from maas_operator.decide.specs import parsed
from tests.unit.decide.facts import service_seen
from tests.unit.decide.test_golden import facts_of

GOLD = {"matchLabels": {"tier": "gold"}}


def expression(operator: str, *values: str) -> dict[str, object]:
    return {"matchExpressions": [{"key": "tier", "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "labels", "found"),
    [
        (None, {}, True),
        ({}, {}, True),
        (GOLD, {"tier": "gold", "more": "x"}, True),
        (GOLD, {"tier": "silver"}, False),
        (GOLD, {}, False),
        (expression("In", "gold", "silver"), {"tier": "silver"}, True),
        (expression("In", "gold"), {"tier": "silver"}, False),
        (expression("In", "gold"), {}, False),
        (expression("NotIn", "gold"), {"tier": "silver"}, True),
        (expression("NotIn", "gold"), {}, True),
        (expression("NotIn", "gold"), {"tier": "gold"}, False),
        (expression("Exists"), {"tier": ""}, True),
        (expression("Exists"), {}, False),
        (expression("DoesNotExist"), {}, True),
        (expression("DoesNotExist"), {"tier": "gold"}, False),
        (GOLD | expression("Exists"), {"tier": "gold"}, True),
        (GOLD | expression("DoesNotExist"), {"tier": "gold"}, False),
    ],
)
def test_m3_a_pool_chooses_its_accounts(
    selector: dict[str, object] | None, labels: dict[str, str], found: bool
) -> None:
    chosen = None if selector is None else AccountSelector.model_validate(selector)
    assert selects(chosen, labels) is found


def decided(**spec: object) -> Plan | Refusal:
    facts = facts_of("cpu-first")
    facts["service"]["spec"] |= spec
    return accept(service_seen(facts))


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ({"qps": 10}, True),
        ({"qps": 11}, False),
        ({"qps": 20, "instances": 2}, True),
        ({"qps": 21, "instances": 2}, False),
        ({"qps": 1000, "instances": 0}, True),
    ],
)
def test_m8_requests_a_second_are_bounded_by_the_flavor_and_the_instances(
    spec: dict[str, object], allowed: bool
) -> None:
    plan = decided(**spec)
    if allowed:
        assert isinstance(plan, Plan)
    else:
        assert isinstance(plan, Refusal)
        assert plan.reason == Reason.QPS_TOO_HIGH
        assert plan.message.startswith("ModelArts.4206: ")


@pytest.mark.parametrize(
    ("spec", "desired"),
    [({}, 1), ({"instances": 3}, 3), ({"instances": 3, "state": "Stopped"}, 0), ({"state": "Running"}, 1)],
)
def test_how_many_instances_are_asked_for(spec: dict[str, object], desired: int) -> None:
    plan = decided(qps=1, **spec)
    assert isinstance(plan, Plan)
    assert plan.desired == desired


def test_a_shared_spec_is_parsed_once_and_anew_when_it_changes() -> None:
    spec = {"flavors": [{"name": "a", "cpu": "1", "memory": "1Gi"}]}
    pool = {"metadata": {"name": "p", "uid": "u"}, "spec": spec}
    first = parsed(ResourcePoolSpec, pool)
    assert parsed(ResourcePoolSpec, pool | {"status": {}}) is first
    changed = parsed(ResourcePoolSpec, pool | {"spec": {"flavors": [{"name": "b", "cpu": "1", "memory": "1Gi"}]}})
    assert changed.flavors[0].name == "b"
