"""Hypothesis strategies: whatever the CRDs let through (and some of what their rules keep out), seen in any state."""

import re
from typing import Any

from hypothesis import strategies as st

from maas_operator.api.crd import structural
from maas_operator.api.fields import Part
from maas_operator.api.kinds import MODEL, MODEL_SERVICE, RESOURCE_POOL
from maas_operator.api.model import ModelVersion
from maas_operator.api.names import ANNOTATION_RERENDER
from maas_operator.api.resourcepool import ResourcePoolSpec
from maas_operator.api.seen import Failure, Manifest, NodeSeen, PodSeen, ServiceSeen
from maas_operator.api.settings import Settings
from maas_operator.decide.accelerators import CPU, accelerators

ACCELERATORS = st.sampled_from([*accelerators(), "abacus"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=24)
KINDS = {"Model": MODEL, "ResourcePool": RESOURCE_POOL, "ModelService": MODEL_SERVICE}


def of_schema(schema: Manifest, path: str = "", without: frozenset[str] = frozenset()) -> st.SearchStrategy[Any]:
    """Values that a structural schema lets through. without: paths of fields that they do not have."""
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
            return _array(schema, path, without)
    if "additionalProperties" in schema:
        values = of_schema(schema["additionalProperties"], path, without)
        return st.dictionaries(st.from_regex(r"[a-z]{1,4}(/[a-z]{1,3})?", fullmatch=True), values, max_size=2)
    required = schema.get("required", [])
    fields = {
        name: of_schema(child, f"{path}.{name}", without)
        for name, child in schema["properties"].items()
        if f"{path}.{name}" not in without
    }
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


def _array(schema: Manifest, path: str, without: frozenset[str]) -> st.SearchStrategy[list[Any]]:
    items = of_schema(schema["items"], path, without)
    least, most = schema.get("minItems", 0), min(schema["maxItems"], 3)
    kind = schema.get("x-kubernetes-list-type")
    if kind == "map":
        (key,) = schema["x-kubernetes-list-map-keys"]
        return st.lists(items, min_size=least, max_size=most, unique_by=lambda item: item[key])
    return st.lists(items, min_size=least, max_size=most, unique=kind == "set")


def specs(part: type[Part], *without: str) -> st.SearchStrategy[Manifest]:
    return of_schema(structural(part), without=frozenset(without))


def only(part: type[Part], *fields: str) -> st.SearchStrategy[Manifest]:
    """What may stand in these fields of a part."""
    return specs(part, *(f".{name}" for name in structural(part)["properties"] if name not in fields))


AMOUNTS_OF_FLAVORS = (".flavors.cpu", ".flavors.memory", ".flavors.sharedMemory")
"""A flavor's amounts: with those of the schema hardly any pod fits."""
FACTS = ("weights", "architecture", "accelerators")
"""What is known of a model's version, by which a service can be refused."""
SPECS = {name: specs(kind.spec) for name, kind in KINDS.items()}
ANY = SPECS | {"ResourcePool": specs(RESOURCE_POOL.spec, *AMOUNTS_OF_FLAVORS)}
FITTING = {
    "Model": specs(MODEL.spec, ".gated", *(f".versions.{fact}" for fact in FACTS)),
    "ResourcePool": specs(RESOURCE_POOL.spec, ".accounts", ".cache.persistentVolumeClaim", *AMOUNTS_OF_FLAVORS),
    "ModelService": specs(MODEL_SERVICE.spec, ".qps", ".scaling", ".model.version"),
}
"""Without what nearly always refuses a service, or, as a claim does, has a Job come before any pod."""
STATUSES = specs(MODEL_SERVICE.status)
LEARNED = only(ModelVersion, *FACTS)
PLACES = only(ResourcePoolSpec, "nodeSelector", "tolerations")
"""Where a pool's pods may run."""
QUANTITIES = st.builds(
    "{}{}{}".format,
    st.integers(1, 99_999),
    st.just("") | st.integers(0, 9_999).map(".{}".format),
    st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi"]),
)
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
    back_off=st.sampled_from(["", "40s"]),
    memory_limit=st.sampled_from(["", "2Gi"]),
    image=st.sampled_from(["", "registry.example/engine:1"]),
    start_seconds=st.none() | TINY,
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
        {
            "accelerators": image,
            "imagePullSecrets": secrets,
            "drainSeconds": draw(st.integers(10, 900)),
            "sources": {"image": draw(st.sampled_from(["maas-operator:1", "maas-operator:2"]))},
        }
    )


def _object(name: str, spec: Manifest, **metadata: Any) -> Manifest:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "generation": 1, **metadata}, "spec": spec}


METRICS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["QPS", "Concurrency", "Queue", "KVCache"]), "target": st.integers(1, 100)}
    ),
    max_size=4,
    unique_by=lambda metric: str(metric["type"]),
)
SCALINGS: st.SearchStrategy[Manifest] = st.builds(
    lambda least, most, metrics: {
        "minInstances": least,
        "maxInstances": most,
        "metrics": metrics,
        "sleepAfter": "1m",
    },
    st.integers(0, 3),
    st.integers(3, 5),
    METRICS,
)
HOW_MANY: st.SearchStrategy[Manifest] = st.one_of(
    st.sampled_from([1, 2, 3, 0]).map(lambda count: {"instances": count}),
    SCALINGS.map(lambda scaling: {"scaling": scaling}),
)
"""What of a spec says how many instances run."""


@st.composite
def services(draw: st.DrawFn, fitting: bool = False, new: bool = False) -> ServiceSeen:
    """A service with all it names and nothing standing; a `fitting` one is accepted, a `new` one has no status."""
    fitting = fitting or draw(MOSTLY)
    specs_of = FITTING if fitting else ANY
    spec, model, pool = draw(specs_of["ModelService"]), draw(specs_of["Model"]), draw(specs_of["ResourcePool"])
    for flavor in pool["flavors"]:
        flavor |= {"cpu": draw(QUANTITIES), "memory": draw(QUANTITIES)}
    if fitting or draw(MOSTLY):
        spec |= {"flavor": draw(st.sampled_from(pool["flavors"]))["name"]}
        spec["model"].pop("version", None)
        if draw(st.booleans()):
            spec["model"]["version"] = draw(st.sampled_from(model["versions"]))["name"]
        pool.pop("accounts", None)
    if fitting:
        spec |= draw(HOW_MANY)
        if draw(MOSTLY):
            spec.pop("state", None)
        for flavor in pool["flavors"]:
            if flavor.get("accelerator", {}).get("type") == "abacus":
                flavor["accelerator"]["type"] = "nvidia"
            known = accelerators()[flavor.get("accelerator", {}).get("type", CPU)]
            if known.max_count:
                flavor["accelerator"]["count"] = known.max_count
            if known.max_hosts:
                flavor["hosts"] = known.max_hosts
    annotations = {"annotations": {ANNOTATION_RERENDER: "now"}} if draw(st.booleans()) else {}
    service: dict[str, Any] = {"apiVersion": "maas-operator.io/v1alpha1", "kind": "ModelService"} | _object(
        "assistant", spec, namespace="team-a", **annotations
    )
    if not new and draw(st.booleans()):
        service["status"] = draw(STATUSES)
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
