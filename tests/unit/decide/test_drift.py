"""Drift: what stands there holds what is desired, in whatever words the API server keeps it."""

from typing import Any

import pytest

from maas_operator.decide.drift import holds


@pytest.mark.parametrize(
    ("live", "desired"),
    [
        ({"a": 1, "theirs": 2}, {"a": 1}),
        ({}, {"a": {}}),
        ({}, {"a": []}),
        ({}, {"a": ""}),
        ([{"name": "x", "value": "1", "theirs": 1}], [{"name": "x", "value": "1"}]),
        ([{"name": "sidecar"}, {"name": "x"}], [{"name": "x"}]),
        ([{"name": "y"}, {"name": "x"}], [{"name": "x"}, {"name": "y"}]),
        ([{"name": "x"}], [{"name": "x", "value": ""}]),
        ({"requests": {"cpu": "500m"}}, {"requests": {"cpu": "0.5"}}),
        ({"limits": {"memory": "1536Mi"}}, {"limits": {"memory": "1.5Gi"}}),
        ({"sizeLimit": "1Gi"}, {"sizeLimit": "1073741824"}),
        ({"requests": {"cpu": "1m"}}, {"requests": {"cpu": "0.0001"}}),
        (
            [{"uid": "1", "name": "x", "kind": "Ours"}, {"uid": "2", "name": "x", "kind": "Theirs"}],
            [{"uid": "1", "name": "x", "kind": "Ours"}],
        ),
    ],
)
def test_it_holds(live: Any, desired: Any) -> None:
    assert holds(live, desired)


@pytest.mark.parametrize(
    ("live", "desired"),
    [
        ({}, {"a": 1}),
        ({}, {"a": 0}),
        ({}, {"a": False}),
        ({"a": 2}, {"a": 1}),
        ({"a": "1"}, {"a": 1}),
        ({"a": None}, {"a": {"b": 1}}),
        ({"a": []}, {"a": {"b": 1}}),
        ({"a": {}}, {"a": ["b"]}),
        (["a", "b"], ["a"]),
        (["b", "a"], ["a", "b"]),
        ([], ["a"]),
        (["a"], []),
        ([{"name": "y"}], [{"name": "x"}]),
        ([{"name": "x", "value": "2"}], [{"name": "x", "value": "1"}]),
        (["x"], [{"name": "x"}]),
        ({"requests": {"cpu": "501m"}}, {"requests": {"cpu": "0.5"}}),
        ({"requests": {"cpu": "much"}}, {"requests": {"cpu": "0.5"}}),
        ({"value": "1000m"}, {"value": "1"}),
    ],
)
def test_it_does_not_hold(live: Any, desired: Any) -> None:
    assert not holds(live, desired)
