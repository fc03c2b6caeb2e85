"""The pods of an instance of several hosts have what the pod of one host has, but for what is named here: each golden
pair is rendered as it is, and on two hosts."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from maas_operator.api.seen import Manifest
from maas_operator.decide.accelerators import impossible
from maas_operator.decide.acceptance import Plan, accept
from maas_operator.decide.parallel import SEVERAL_HOSTS, hosts
from maas_operator.decide.workload import render
from tests.unit.decide.facts import service_seen, settings_from
from tests.unit.decide.test_golden import GOLDEN, facts_of

TEMPLATE, APP = "maas-operator.io/template", "app.kubernetes.io/name"
PARALLEL = ("--tensor-parallel-size", "--pipeline-parallel-size")
MARGIN_SECONDS = 10
WORKERS_OWN = ("startupProbe", "livenessProbe", "lifecycle")
"""It has no port: it is asked by its connection to its leader, and leaves after it."""


def plan_of(name: str) -> Plan | None:
    """What an in-file asks for, with a PriorityClass, where that is accepted and of one host."""
    plan = accept(service_seen(facts_of(name)))
    if not isinstance(plan, Plan) or hosts(plan.flavor) > 1:
        return None
    return replace(plan, spec=plan.spec.model_copy(update={"priority_class_name": "urgent"}))


def on_two(plan: Plan) -> Plan:
    return replace(plan, flavor=plan.flavor.model_copy(update={"hosts": 2}))


NAMES = sorted(path.name.removesuffix(".in.yaml") for path in GOLDEN.glob("*.in.yaml"))
PLANS = {
    name: plan for name in NAMES if (plan := plan_of(name)) and not impossible(on_two(plan).flavor, plan.accelerator)
}


def pods(name: str) -> tuple[Manifest, Manifest, Manifest]:
    """The pod of one host, the leader's and the worker's."""
    facts = facts_of(name)
    service, settings = service_seen(facts).service, settings_from(facts)
    one = json.loads(render(service, PLANS[name], settings).template)
    group = json.loads(render(service, on_two(PLANS[name]), settings).template)
    return one, group["leaderTemplate"], group["workerTemplate"]


def engine(pod: Manifest) -> Manifest:
    return dict(pod["spec"]["containers"][0])


def added(now: list[Manifest], before: list[Manifest]) -> list[Manifest]:
    """What a list has beside what another one has, of which nothing may be missing."""
    assert [each for each in before if each not in now] == []
    return [each for each in now if each not in before]


def without(pod: Manifest, *fields: str) -> Manifest:
    """The pod, without these fields of its engine and without the digest of its template."""
    bare = copy.deepcopy(pod)
    del bare["metadata"]["labels"][TEMPLATE]
    for field in fields:
        bare["spec"]["containers"][0].pop(field, None)
    return bare


def shared_out(args: list[str]) -> list[str]:
    """The arguments, but for how the work is shared out, what is planned for it, and how hosts find each other."""
    own = args[: args.index(SEVERAL_HOSTS)] if SEVERAL_HOSTS in args else args
    return [each for each in own if each.partition("=")[0] not in (*PARALLEL, "--kv-cache-memory-bytes")]


def test_the_golden_pairs_hold_every_source_and_what_else_a_pod_may_have() -> None:
    sources = {plan.version.source.partition("://")[0] for plan in PLANS.values()}
    assert sources == {"hf", "modelscope", "s3", "oci", "pvc"}
    texts = [json.dumps(pods(name)[0]["spec"]) for name in PLANS]
    fields = {"initContainers", "secretKeyRef", "imagePullSecrets", "runtimeClassName", "schedulerName", "configMap"}
    assert {field for field in fields if any(field in text for text in texts)} == fields
    assert len(PLANS) > 100


@pytest.mark.parametrize("name", PLANS)
def test_a_leader_has_what_a_pod_of_one_host_has_and_what_hosts_need_beside(name: str) -> None:
    one, leader, _ = pods(name)
    beside = PLANS[name].accelerator.several_hosts
    volumes = [{"name": each.name, "hostPath": {"path": each.path, "type": each.type}} for each in beside.host_paths]
    assert added(leader["spec"]["volumes"], one["spec"]["volumes"]) == volumes
    mounts = [{"name": each.name, "mountPath": each.path, "readOnly": True} for each in beside.host_paths]
    assert added(engine(leader)["volumeMounts"], engine(one)["volumeMounts"]) == mounts
    variables = {each["name"] for each in added(engine(leader)["env"], engine(one)["env"])}
    assert variables <= {"VLLM_HOST_IP", *(each.name for each in beside.env)}
    assert shared_out(engine(leader)["args"]) == shared_out(engine(one)["args"])
    leaves = engine(leader)["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert leaves.startswith(engine(one)["lifecycle"]["preStop"]["exec"]["command"][-1].partition(";")[0])
    other = ("args", "env", "volumeMounts", "lifecycle")
    mine, its = without(leader, *other), without(one, *other)
    for pod in (mine, its):
        del pod["spec"]["volumes"]
    assert mine["spec"].pop("affinity")
    assert mine == its


@pytest.mark.parametrize("name", PLANS)
def test_a_worker_has_what_its_leader_has_but_no_port(name: str) -> None:
    _, leader, worker = pods(name)
    assert engine(worker)["args"][-1] == "--headless"
    assert shared_out(engine(worker)["args"]) == shared_out(engine(leader)["args"])
    assert engine(leader)["args"][-1] != "--headless"
    assert not {"ports", "readinessProbe"} & engine(worker).keys()
    assert all(engine(worker)[field] != engine(leader)[field] for field in WORKERS_OWN)
    other = ("args", "ports", "readinessProbe", *WORKERS_OWN)
    mine, its = without(worker, *other), without(leader, *other)
    labels: dict[str, Any] = mine["metadata"]["labels"]
    assert labels.pop(APP) != its["metadata"]["labels"].pop(APP)
    mine["spec"]["terminationGracePeriodSeconds"] -= MARGIN_SECONDS
    assert mine == its
