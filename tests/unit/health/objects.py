"""Objects of the five kinds as the operator leaves them: what the golden pairs saw, with the status decided upon it."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from maas_operator.api.conditions import ConditionType, condition
from maas_operator.api.seen import ApiKeySeen, ChannelTold, Manifest, ModelSeen, PoolSeen, TopicSeen
from maas_operator.decide import decide_api_key, decide_model, decide_pool, decide_service, decide_topic
from tests.unit.decide.facts import NOW, node, settings_from
from tests.unit.decide.test_golden import GOLDEN, facts_of, seen_from

STATES = ("Ready", "Reconciling", "Stalled")
"""One is True, of every object."""
AUTO_STOPPED = "auto-stopped"
"""A golden pair whose instance is still finishing."""


@dataclass(frozen=True)
class Case:
    """An object, and by what name a failing test tells it."""

    name: str
    manifest: Manifest

    @property
    def status(self) -> Manifest:
        return dict(self.manifest["status"])

    @property
    def state(self) -> str:
        """Which of kstatus' three conditions is True. Raises ValueError if not exactly one is."""
        (state,) = (each for each in STATES if condition(self.status, ConditionType(each)).get("status") == "True")
        return state

    @property
    def leaving(self) -> bool:
        return "deletionTimestamp" in self.manifest["metadata"]

    def said(self, kind: str) -> str:
        """The message of its condition of this type."""
        return str(condition(self.status, ConditionType(kind))["message"])

    def altered(self, **fields: object) -> Manifest:
        """The object with other top-level fields."""
        return self.manifest | fields


def leaving(case: Case) -> Manifest:
    """The object while it is being deleted, whatever its status says."""
    return case.altered(metadata=case.manifest["metadata"] | {"deletionTimestamp": "2026-01-02T03:00:00Z"})


def _names(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(".in.yaml") for path in folder.glob("*.in.yaml"))


def _case(name: str, seen: Manifest, status: Manifest) -> Case:
    metadata = {"name": "x", "generation": 1} | seen["metadata"]
    return Case(name, seen | {"metadata": metadata, "status": status})


@cache
def services() -> tuple[Case, ...]:
    """One for each golden pair of services, and one that an automatic stop has left without instances."""
    made = []
    for name in _names(GOLDEN):
        facts = facts_of(name)
        seen, settings = seen_from(facts), settings_from(facts)
        made.append(_case(name, dict(seen.service), decide_service(seen, settings, NOW).status))
        if name == AUTO_STOPPED:
            gone = replace(seen, pods=[])
            made.append(_case(f"{name}-all-gone", dict(gone.service), decide_service(gone, settings, NOW).status))
    return tuple(made)


@cache
def others() -> tuple[Case, ...]:
    """The four other kinds, in every state that they know."""
    return (*_pools(), *_models(), *_keys(), *_topics())


def _thing(**spec: object) -> Manifest:
    return {"metadata": {"name": "x", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec}


def _pools() -> list[Case]:
    flavor = {"name": "one", "cpu": "1", "memory": "1Gi"}
    usual, odd = _thing(flavors=[flavor]), _thing(flavors=[flavor | {"accelerator": {"type": "abacus", "count": 1}}])
    seen = {
        "ResourcePool with nodes": PoolSeen(usual, [node("a")], [], []),
        "ResourcePool without nodes": PoolSeen(usual, [], [], []),
        "ResourcePool of an unknown accelerator": PoolSeen(odd, [node("a")], [], []),
    }
    return [_case(name, each.pool, decide_pool(each, NOW).status) for name, each in seen.items()]


def _models() -> list[Case]:
    model = _thing(versions=[{"name": "8k"}], product={"id": "97a75a6d", "name": "p", "modelName": "m"})
    older = model | {"metadata": {"name": "older", "creationTimestamp": "2025-01-01T00:00:00Z"}}
    seen = {"Model": ModelSeen(model, [], []), "Model of a taken product": ModelSeen(model, [], [model, older])}
    return [_case(name, each.model, decide_model(each, NOW).status) for name, each in seen.items()]


def _keys() -> list[Case]:
    made = []
    for name in _names(GOLDEN / "keys"):
        facts = yaml.safe_load((GOLDEN / "keys" / f"{name}.in.yaml").read_text())
        key = facts["key"]
        decision = decide_api_key(ApiKeySeen(key, [key, *facts.get("account", ())]), settings_from(facts), NOW)
        made.append(_case(f"ApiKey {name}", key, decision.status))
    return made


def _topics() -> list[Case]:
    topic = _thing(channels=[{"name": "hook"}])
    failing = TopicSeen(topic, {"hook": ChannelTold(deliveries=0, failures=1, error="503", last_delivery=None)})
    seen = {"NotificationTopic": TopicSeen(topic), "NotificationTopic with a failing channel": failing}
    return [_case(name, each.topic, decide_topic(each, NOW).status) for name, each in seen.items()]
