"""What holds of every decision, whatever was seen."""

import copy
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from maas_operator.api.conditions import Reason
from maas_operator.api.crd import structural
from maas_operator.api.decision import Decision
from maas_operator.api.kinds import KINDS, MODEL_SERVICE
from maas_operator.api.resourcepool import ResourcePoolSpec
from maas_operator.api.seen import Manifest, ModelSeen, NodeSeen, Outcome, PodSeen, PoolSeen, ServiceSeen, WriteFailure
from maas_operator.api.settings import Settings
from maas_operator.decide import decide_model, decide_pool, decide_service, with_outcome
from maas_operator.decide.room import capacity, free, usable
from tests.unit.decide.apiserver import children_after
from tests.unit.decide.facts import EARLIER, NOW, manifests_of, template_of
from tests.unit.decide.strategies import AMOUNTS, LEARNED, NODES, PLACES, PODS, SPECS, services, settings

STATUS = {kind.kind: Draft202012Validator(structural(kind.status)) for kind in KINDS}
LATER = NOW + timedelta(minutes=5)
FAILURES = st.builds(
    WriteFailure,
    what=st.just("Deployment team-a/assistant"),
    reason=st.sampled_from(
        [str(reason) for reason in (Reason.FORBIDDEN, Reason.WRITE_FAILED, Reason.WAITING_FOR_REMOVAL)]
    ),
    message=st.text(max_size=20),
)


def standing(seen: ServiceSeen, given_settings: Settings, **found: Any) -> tuple[ServiceSeen, Decision]:
    """What is seen after a decision upon nothing was carried out, with these pods; and that decision."""
    first = decide_service(replace(seen, pods=(), children={}), given_settings, EARLIER)
    template = template_of(manifests_of(first))
    pods = [replace(pod, template=template if pod.template == "STANDING" else pod.template) for pod in seen.pods]
    service = seen.service | {"status": copy.deepcopy(first.status)}
    return replace(seen, service=service, children=children_after(first), pods=found.get("pods", pods)), first


def again(seen: ServiceSeen, decision: Decision) -> ServiceSeen:
    """What is seen once the decision has been carried out and its status written."""
    children = children_after(decision, seen.children.values())
    return replace(seen, service=seen.service | {"status": json.loads(json.dumps(decision.status))}, children=children)


def check_status(status: Manifest, kind: str) -> None:
    """The status is one that the API server takes, and obeys kstatus."""
    assert not [error.message for error in STATUS[kind].iter_errors(status)]
    conditions = {each["type"]: each["status"] for each in status["conditions"]}
    assert len(conditions) == len(status["conditions"])
    telling = [conditions.get("Ready"), conditions.get("Reconciling"), conditions.get("Stalled")]
    assert telling.count("True") == 1, conditions
    assert {conditions.get("Reconciling"), conditions.get("Stalled")} <= {None, "True"}
    assert all(each["observedGeneration"] == status["observedGeneration"] for each in status["conditions"])


@given(services(), settings(), st.lists(FAILURES, max_size=3))
def test_any_service_gets_a_decision(seen: ServiceSeen, given_settings: Settings, failures: list[WriteFailure]) -> None:
    decision = decide_service(seen, given_settings, NOW)
    check_status(decision.status, "ModelService")
    check_status(with_outcome(decision, Outcome(tuple(failures)), 1, NOW), "ModelService")
    assert decide_service(seen, given_settings, NOW) == decision
    stood, _ = standing(seen, given_settings)
    check_status(decide_service(stood, given_settings, NOW).status, "ModelService")


@given(services(), settings(), st.randoms(use_true_random=False))
def test_what_was_seen_is_left_as_it_was(seen: ServiceSeen, given_settings: Settings, random: Any) -> None:
    stood, _ = standing(seen, given_settings)
    before = copy.deepcopy(stood)
    decide_service(stood, given_settings, NOW)
    assert stood == before


@given(services(), settings())
def test_a_decision_carried_out_leaves_nothing_to_do(seen: ServiceSeen, given_settings: Settings) -> None:
    """Also where the API server keeps the objects in words of its own, and others add to them."""
    untimed = {field: value for field, value in seen.service["spec"].items() if field != "autoStop"}
    stood, _ = standing(replace(seen, service=seen.service | {"spec": untimed}), given_settings)
    done = again(stood, decide_service(stood, given_settings, NOW))
    following = decide_service(done, given_settings, LATER)
    assert not following.apply, [each.why for each in following.apply]
    done = again(done, following)
    last = decide_service(done, given_settings, LATER + timedelta(hours=1))
    assert (last.apply, last.remove, last.events) == ((), (), ())
    assert json.dumps(last.status) == json.dumps(following.status)


CHANGES = st.sampled_from(
    [
        lambda spec, version: spec.update(engine={"args": ["--new"]}),
        lambda spec, version: spec.update(engine={"env": [{"name": "NEW", "value": "x"}]}),
        lambda spec, version: spec.update(engine={"image": "registry.example/new:1"}),
        lambda spec, version: version.update(contextLength=999),
        lambda spec, version: version.update(source="hf://new/new"),
        lambda spec, version: version.update(chatTemplate="new"),
        lambda spec, version: version.update(reasoningParser="new"),
        lambda spec, version: version.update(args=["--new"]),
    ]
)


def running(pods: int) -> list[PodSeen]:
    made: list[PodSeen] = []
    for number in range(pods):
        facts: dict[str, Any] = {
            "namespace": "team-a",
            "name": f"p{number}",
            "uid": str(number),
            "service": "assistant",
            "pool": None,
        }
        facts |= {"flavor": None, "model_version": None, "template_hash": "aaa", "node": "node-1", "phase": "Running"}
        facts |= {"ready": True, "leaving": False, "unschedulable": None, "failure": None, "requests": {}}
        made.append(PodSeen(**facts))
    return made


@given(services(fitting=True, new=True), settings(), CHANGES)
def test_what_matters_for_the_pods_changes_their_template(
    seen: ServiceSeen, given_settings: Settings, change: Any
) -> None:
    stood, first = standing(seen, given_settings, pods=running(1))
    spec, model = copy.deepcopy(seen.service["spec"]), copy.deepcopy(seen.model or {})
    version = next(each for each in model["spec"]["versions"] if each["name"] == first.status["model"]["version"])
    change(spec, version)
    assume((spec, model) != (seen.service["spec"], seen.model))
    decision = decide_service(replace(stood, service=stood.service | {"spec": spec}, model=model), given_settings, NOW)
    assert template_of(manifests_of(decision)) not in {None, template_of(manifests_of(first))}
    assert decision.status["phase"] in {"Updating", "Stopped"}


@given(services(fitting=True, new=True), settings(), settings(), PLACES)
def test_no_running_pod_is_restarted_by_the_operator_or_the_pool(
    seen: ServiceSeen, earlier: Settings, later: Settings, other: Manifest
) -> None:
    stood, first = standing(seen, earlier, pods=running(1))
    pool = copy.deepcopy(seen.pool or {})
    pool["spec"] |= other
    for flavor in pool["spec"]["flavors"]:
        flavor |= {"cpu": "7", "memory": "7Gi"}
    decision = decide_service(replace(stood, pool=pool), later, NOW)
    assert template_of(manifests_of(decision)) in {None, template_of(manifests_of(first))}


@given(services(fitting=True, new=True), settings(), settings(), LEARNED)
def test_m3_nothing_that_was_deployed_is_refused_or_restarted_for_what_is_learned_of_it(
    seen: ServiceSeen, earlier: Settings, later: Settings, learned: Manifest
) -> None:
    """An upgrade brings facts on models and devices, and stricter arithmetic: what was accepted before stays."""
    stood, first = standing(seen, earlier, pods=running(1))
    model, pool = copy.deepcopy(seen.model or {}), copy.deepcopy(seen.pool or {})
    for version in model["spec"]["versions"]:
        version.update(learned)
    for flavor in pool["spec"]["flavors"]:
        flavor.get("accelerator", {})["memory"] = "1Gi"
    decision = decide_service(replace(stood, model=model, pool=pool), later, NOW)
    conditions = {each["type"]: each for each in decision.status["conditions"]}
    assert conditions["Accepted"]["status"] == "True"
    assert template_of(manifests_of(decision)) in {None, template_of(manifests_of(first))}
    assert not any(each.kind == "Deployment" for each in decision.remove)


POOLS = SPECS["ResourcePool"].map(
    lambda spec: {"metadata": {"name": "pool-a", "uid": "u", "generation": 1}, "spec": spec}
)


@given(POOLS, st.lists(NODES, max_size=3), st.lists(PODS, max_size=4), st.lists(st.text(max_size=300), max_size=30))
def test_any_pool_gets_its_figures(
    pool: Manifest, nodes: list[NodeSeen], pods: list[PodSeen], users: list[str]
) -> None:
    seen = PoolSeen(pool, nodes, users, pods)
    decision = decide_pool(seen, NOW)
    check_status(decision.status, "ResourcePool")
    assert all(row["free"] <= row["capacity"] for row in decision.status.get("flavors", ()))
    following = decide_pool(replace(seen, pool=pool | {"status": decision.status}), LATER)
    assert following.status == decision.status


@given(POOLS, st.lists(NODES, min_size=1, max_size=3), AMOUNTS, st.booleans())
def test_a_pod_more_is_no_room_more(
    pool: Manifest, nodes: list[NodeSeen], requests: dict[str, int], ours: bool
) -> None:
    spec = ResourcePoolSpec.model_validate(pool["spec"])
    first = nodes[0]
    more: dict[str, Any] = {
        "requested": {
            key: first.requested.get(key, 0) + requests.get(key, 0) for key in first.requested.keys() | requests.keys()
        },
        "pods": first.pods + 1,
    }
    if ours:
        before = first.requested_by_models
        more["requested_by_models"] = {
            key: before.get(key, 0) + requests.get(key, 0) for key in before.keys() | requests.keys()
        }
        more["model_pods"] = first.model_pods + 1
    fuller = [replace(first, **more), *nodes[1:]]
    for flavor in spec.flavors:
        was, now = usable(spec, nodes), usable(spec, fuller)
        assert 0 <= free(flavor, now) <= free(flavor, was)
        assert free(flavor, now) <= capacity(flavor, now) <= capacity(flavor, was)
        assert not ours or capacity(flavor, now) == capacity(flavor, was)


@given(SPECS["Model"], st.lists(st.text(max_size=300), max_size=30), st.booleans())
def test_any_model_gets_its_status(spec: Manifest, users: list[str], taken: bool) -> None:
    metadata = {"name": "m", "uid": "u", "generation": 1}
    older = [{"metadata": {"name": "a" * 253}}] if taken and "product" in spec else []
    seen = ModelSeen({"metadata": metadata, "spec": spec}, users, [*older, {"metadata": metadata}])
    decision = decide_model(seen, NOW)
    check_status(decision.status, "Model")
    assert decide_model(replace(seen, model=seen.model | {"status": decision.status}), LATER).status == decision.status


def test_the_status_schema_is_the_one_of_the_kind() -> None:
    schema: Any = STATUS[MODEL_SERVICE.kind].schema
    assert schema["properties"]["phase"]["enum"]
