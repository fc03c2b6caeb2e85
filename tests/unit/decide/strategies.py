"""Hypothesis strategies: whatever the CRDs let through (and some of what their rules keep out), seen in any state."""

import re
from typing import Any

from hypothesis import strategies as st

from maas_operator.api.crd import structural
from maas_operator.api.fields import Part
from maas_operator.api.kinds import MODEL, MODEL_SERVICE, RESOURCE_POOL
from maas_operator.api.names import ANNOTATION_RERENDER
from maas_operator.api.seen import Failure, Manifest, NodeSeen, PodSeen, ServiceSeen
from maas_operator.api.settings import Settings
from maas_operator.decide.accelerators import accelerators

ACCELERATORS = st.sampled_from([*accelerators(), "abacus"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=24)
KINDS = {"Model": MODEL, "ResourcePool": RESOURCE_POOL, "ModelService": MODEL_SERVICE}


def of_schema(schema: Manifest, path: str = "") -> st.SearchStrategy[Any]:
    """Values that a structural schema lets through."""
    if path.endswith(".accelerator.type"):
        return ACCELERATORS
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema["minimum"], schema.get("maximum", 10**6))
        case "string":
            return _string(schema)
        case "array":
            return _array(schema, path)
    if "additionalProperties" in schema:
        values = of_schema(schema["additionalProperties"], path)
        return st.dictionaries(st.from_regex(r"[a-z]{1,4}(/[a-z]{1,3})?", fullmatch=True), values, max_size=2)
    required = schema.get("required", [])
    fields = {name: of_schema(child, f"{path}.{name}") for name, child in schema["properties"].items()}
    return st.fixed_dictionaries(
        {name: field for name, field in fields.items() if name in required},
        optional={name: field for name, field in fields.items() if name not in required},
    )


def _string(schema: Manifest) -> st.SearchStrategy[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 32)
    if "pattern" not in schema:
        return TEXT.filter(lambda text: least <= len(text) <= most)
    pattern = re.compile(schema["pattern"])
    return (
        st.from_regex(pattern, fullmatch=True)
        .map(lambda text: text[:most])
        .filter(lambda text: len(text) >= least and pattern.fullmatch(text) is not None)
    )


def _array(schema: Manifest, path: str) -> st.SearchStrategy[list[Any]]:
    items = of_schema(schema["items"], path)
    least, most = schema.get("minItems", 0), min(schema["maxItems"], 3)
    kind = schema.get("x-kubernetes-list-type")
    if kind == "map":
        (key,) = schema["x-kubernetes-list-map-keys"]
        return st.lists(items, min_size=least, max_size=most, unique_by=lambda item: item[key])
    return st.lists(items, min_size=least, max_size=most, unique=kind == "set")


def specs(part: type[Part]) -> st.SearchStrategy[Manifest]:
    return of_schema(structural(part))


SPECS = {name: specs(kind.spec) for name, kind in KINDS.items()}
STATUSES = specs(MODEL_SERVICE.status)
QUANTITIES = st.from_regex(r"[1-9][0-9]{0,4}(\.[0-9]{1,4})?(m|k|M|G|Ki|Mi|Gi)?", fullmatch=True)
MOSTLY = st.sampled_from([True, True, True, False])
TINY = st.integers(0, 5)
AMOUNTS = st.fixed_dictionaries(
    {},
    optional={
        "cpu": st.integers(0, 64_000),
        "memory": st.integers(0, 2**40),
        "nvidia.com/gpu": TINY,
        "pods": st.integers(0, 110),
    },
)
FAILURES = st.builds(
    Failure,
    reason=st.sampled_from(["CrashLoopBackOff", "OOMKilled", "Error", "ImagePullBackOff", "Strange"]),
    message=TEXT,
    exit_code=st.none() | st.integers(0, 255),
    restarts=TINY,
)
PODS = st.builds(
    PodSeen,
    namespace=st.just("team-a"),
    name=st.sampled_from(["a", "b", "c"]),
    uid=st.text("abc", min_size=3),
    service=st.just("assistant"),
    pool=st.none() | st.just("pool-a"),
    flavor=st.none() | st.just("one"),
    model_version=st.sampled_from([None, "2k", "4k"]),
    template_hash=st.sampled_from(["aaa", "bbb", None]),
    node=st.sampled_from(["node-1", "node-2", None, "gone"]),
    phase=st.sampled_from(["Running", "Pending", "Succeeded", "Failed", "Unknown"]),
    ready=st.booleans(),
    leaving=st.booleans(),
    unschedulable=st.none() | TEXT,
    failure=st.none() | FAILURES,
    requests=AMOUNTS,
    template=st.sampled_from(["STANDING", "older", None]),
)


@st.composite
def _nodes(draw: st.DrawFn) -> NodeSeen:
    ours, others = draw(AMOUNTS), draw(AMOUNTS)
    model_pods = draw(TINY)
    return NodeSeen(
        name=draw(st.sampled_from(["node-1", "node-2"])),
        labels=draw(st.dictionaries(st.text("ab", min_size=1, max_size=2), st.sampled_from(["", "a"]), max_size=2)),
        taints=tuple(draw(st.lists(st.tuples(st.just("k"), st.sampled_from(["", "v"]), EFFECTS), max_size=2))),
        ready=draw(st.booleans()),
        cordoned=draw(st.booleans()),
        allocatable=draw(AMOUNTS),
        requested={key: ours.get(key, 0) + others.get(key, 0) for key in ours.keys() | others.keys()},
        requested_by_models=ours,
        pods=draw(TINY) + model_pods,
        model_pods=model_pods,
    )


EFFECTS = st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"])
NODES = _nodes()


@st.composite
def settings(draw: st.DrawFn) -> Settings:
    image = draw(st.sampled_from([{}, {"cpu": {"image": "registry.example/admin:1"}}]))
    secrets = draw(st.sampled_from([[], ["registry"]]))
    return Settings.model_validate(
        {"accelerators": image, "imagePullSecrets": secrets, "drainSeconds": draw(st.integers(10, 900))}
    )


def _object(name: str, spec: Manifest, **metadata: Any) -> Manifest:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "generation": 1, **metadata}, "spec": spec}


@st.composite
def services(draw: st.DrawFn, fitting: bool = False, statuses: st.SearchStrategy[Manifest] = STATUSES) -> ServiceSeen:
    """A service with all it names and nothing standing; a `fitting` one is accepted."""
    spec, model, pool = draw(SPECS["ModelService"]), draw(SPECS["Model"]), draw(SPECS["ResourcePool"])
    for flavor in pool["flavors"]:
        flavor |= {"cpu": draw(QUANTITIES), "memory": draw(QUANTITIES)}
        flavor.pop("sharedMemory", None)
    fitting = fitting or draw(MOSTLY)
    if fitting or draw(MOSTLY):
        spec |= {"flavor": draw(st.sampled_from(pool["flavors"]))["name"]}
        spec["model"].pop("version", None)
        if draw(st.booleans()):
            spec["model"]["version"] = draw(st.sampled_from(model["versions"]))["name"]
        pool.pop("accounts", None)
    if fitting:
        spec.pop("qps", None)
        spec["instances"] = draw(st.sampled_from([1, 2, 3, 0]))
        if draw(MOSTLY):
            spec.pop("state", None)
        for flavor in pool["flavors"]:
            if flavor.get("accelerator", {}).get("type") == "abacus":
                flavor["accelerator"]["type"] = "nvidia"
    annotations = {"annotations": {ANNOTATION_RERENDER: "now"}} if draw(st.booleans()) else {}
    service: dict[str, Any] = {"apiVersion": "maas-operator.io/v1alpha1", "kind": "ModelService"} | _object(
        "assistant", spec, namespace="team-a", **annotations
    )
    if draw(st.booleans()):
        service["status"] = draw(statuses)
    return ServiceSeen(
        service=service,
        model=_object(spec["model"]["name"], model) if fitting or draw(MOSTLY) else None,
        pool=_object(spec["resourcePool"], pool) if fitting or draw(MOSTLY) else None,
        namespace_labels=draw(st.dictionaries(st.text("ab", min_size=1, max_size=2), st.just("x"), max_size=2)),
        children={},
        pods=draw(
            st.lists(PODS, min_size=draw(st.sampled_from([2, 1, 3, 0])), max_size=3, unique_by=lambda pod: pod.name)
        ),
        nodes=draw(st.lists(NODES, max_size=2, unique_by=lambda node: node.name)),
    )
