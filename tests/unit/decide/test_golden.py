"""Golden pairs: NAME.in.yaml is what was seen, NAME.out.yaml what is decided. `pytest --update-golden` rewrites them.

Besides what was seen, an in-file may say:
  like: NAME        everything that this file does not say is as in NAME.in.yaml
  standing: {...}   a decision was carried out an hour ago, upon the facts of `like` and what is said here otherwise:
                    its objects stand in the cluster as the API server keeps them, its status is on the service, and
                    pods without a `template` of their own are of its template
  alter: {...}      by kind: what somebody changed in the objects that stand there since
  gone: [...]       kinds of which somebody deleted what stood there
  show: [...]       the parts of the decision that the out-file has; see SHOWN
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from maas_operator.api.decision import Decision
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.decide import decide_service
from tests.unit.decide.apiserver import children_after
from tests.unit.decide.facts import EARLIER, NOW, manifests_of, merged, service_seen, settings_from, template_of

GOLDEN = Path(__file__).parent / "golden"


def facts_of(name: str) -> Manifest:
    """What an in-file says."""
    said: Manifest = yaml.load((GOLDEN / f"{name}.in.yaml").read_text(), yaml.CSafeLoader)
    if "like" not in said:
        return said
    like = {key: value for key, value in facts_of(said.pop("like")).items() if key != "show"}
    standing = said.pop("standing", None)
    facts: Manifest = merged(like, said)
    if standing is not None:
        facts["earlier"] = merged(like, standing)
    return facts


def seen_from(facts: Manifest) -> ServiceSeen:
    """What was seen: what the facts say, and what stands there."""
    seen = service_seen(facts)
    if "earlier" not in facts:
        return seen
    before = facts["earlier"]
    earlier = decide_service(service_seen(before), settings_from(before), EARLIER)
    children = children_after(earlier)
    for (kind, _), child in children.items():
        child.update(merged(child, facts.get("alter", {}).get(kind, {})))
    template = template_of(manifests_of(earlier))
    return replace(
        seen,
        service={"status": earlier.status} | seen.service,
        children={key: child for key, child in children.items() if key[0] not in facts.get("gone", [])}
        | dict(seen.children),
        pods=[replace(pod, template=pod.template or template) for pod in seen.pods],
    )


def _engine(decision: Decision) -> Manifest:
    return dict(_pod(decision)["spec"]["containers"][0])


def _pod(decision: Decision) -> Manifest:
    return dict(_of_kind(decision, "Deployment")["spec"]["template"])


def _groups(decision: Decision) -> Manifest:
    return dict(_of_kind(decision, "LeaderWorkerSet")["spec"]["leaderWorkerTemplate"])


def _of_kind(decision: Decision, kind: str) -> Manifest:
    return next(each for each in manifests_of(decision) if each["kind"] == kind)


def _annotated(manifest: Manifest) -> Manifest:
    """A manifest, and of the template that is kept in its annotation only that it is there."""
    shown = copy.deepcopy(manifest)
    annotations = shown["metadata"]["annotations"]
    if "maas-operator.io/applied-template" in annotations:
        annotations["maas-operator.io/applied-template"] = "(the template)"
    return shown


SHOWN: Mapping[str, Callable[[Decision], Any]] = {
    "writes": lambda it: [
        f"{each.why} {each.manifest['kind']} {each.manifest['metadata']['name']}" for each in it.apply
    ],
    "apply": lambda it: [asdict(each) | {"manifest": _annotated(each.manifest)} for each in it.apply],
    "ConfigMap": lambda it: _annotated(_of_kind(it, "ConfigMap")),
    "Job": lambda it: _annotated(_of_kind(it, "Job")),
    "Service": lambda it: _annotated(_of_kind(it, "Service")),
    "Deployment": lambda it: _annotated(_of_kind(it, "Deployment")),
    "LeaderWorkerSet": lambda it: _annotated(_of_kind(it, "LeaderWorkerSet")),
    "hosts": lambda it: {
        part: _groups(it)[part]["spec"]["containers"][0]["args"] for part in ("leaderTemplate", "workerTemplate")
    },
    "schedulers": lambda it: {
        part: _groups(it)[part]["spec"].get("schedulerName") for part in ("leaderTemplate", "workerTemplate")
    },
    "affinity": lambda it: _groups(it)["workerTemplate"]["spec"].get("affinity"),
    "replicas": lambda it: _of_kind(it, "Deployment")["spec"]["replicas"],
    "strategy": lambda it: _of_kind(it, "Deployment")["spec"]["strategy"],
    "template": lambda it: template_of(manifests_of(it)),
    "pod": _pod,
    "engine": _engine,
    "args": lambda it: _engine(it)["args"],
    "env": lambda it: {each["name"]: each.get("value", each.get("valueFrom")) for each in _engine(it)["env"]},
    "resources": lambda it: _engine(it)["resources"],
    "before": lambda it: {each["name"]: each["resources"] for each in _pod(it)["spec"]["initContainers"]},
    "image": lambda it: _engine(it)["image"],
    "volumes": lambda it: _pod(it)["spec"]["volumes"],
    "remove": lambda it: [
        {key: value for key, value in asdict(each).items() if value is not False} for each in it.remove
    ],
    "events": lambda it: [f"{each.type} {each.reason}: {each.message}" for each in it.events],
    "status": lambda it: it.status,
    "phase": lambda it: it.status["phase"],
    "suspension": lambda it: it.status.get("suspension"),
    "model": lambda it: it.status.get("model"),
    "queue": lambda it: it.status.get("queue"),
    "instances": lambda it: it.status["instances"],
    "marks": lambda it: [f"{each.name} {each.deletion_cost}" for each in it.marks],
    "scaling": lambda it: it.status.get("scaling"),
    "conditions": lambda it: {
        each["type"]: f"{each['status']} since {each['lastTransitionTime'][11:16]}, {each['reason']}: {each['message']}"
        for each in it.status["conditions"]
    },
}
"""Parts of a decision that an in-file may ask for."""
USUAL = ["writes", "remove", "events", "phase", "instances", "conditions"]


@pytest.mark.parametrize("name", sorted(path.name.removesuffix(".in.yaml") for path in GOLDEN.glob("*.in.yaml")))
def test_golden(name: str, update_golden: bool) -> None:
    facts = facts_of(name)
    decision = decide_service(seen_from(facts), settings_from(facts), NOW)
    shown = {part: SHOWN[part](decision) for part in facts.get("show", USUAL)}
    decided = yaml.dump(_plain(shown), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    expected = GOLDEN / f"{name}.out.yaml"
    if update_golden:
        expected.write_text(decided)
    assert decided == expected.read_text()


def test_every_out_file_has_its_in_file() -> None:
    names = {
        kind: {path.name.removesuffix(f".{kind}.yaml") for path in GOLDEN.glob(f"*.{kind}.yaml")}
        for kind in ("in", "out")
    }
    assert names["out"] == names["in"]


class _Dumper(yaml.SafeDumper):
    """No anchors: a value that stands twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value
