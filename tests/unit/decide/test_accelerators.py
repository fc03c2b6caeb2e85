"""What the operator knows of accelerators: the files themselves, and what is rendered from them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from maas_operator.api.model import ModelVersion, VersionAccelerator
from maas_operator.api.modelservice import EngineExtras
from maas_operator.api.resourcepool import Flavor, ResourcePoolSpec
from maas_operator.api.settings import AcceleratorSettings, Settings, SourceSettings
from maas_operator.decide import accelerators as module
from maas_operator.decide.accelerators import Accelerator, accelerators, impossible, read, told
from maas_operator.decide.acceptance import Plan, accept
from maas_operator.decide.engine import engine
from maas_operator.decide.room import needs
from maas_operator.decide.sources import disk, weights
from maas_operator.decide.workload import template_inputs
from tests.unit.decide.facts import merged, service_seen
from tests.unit.decide.test_golden import GOLDEN, facts_of

FILES = Path(module.__file__).with_suffix("")
DOCS = Path(__file__).parents[3] / "docs" / "accelerators.md"
BEGIN, END = "<!-- accelerators -->\n", "<!-- end -->\n"
IMAGE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+/[a-z0-9./_-]+:(?!latest$)[A-Za-z0-9._-]*[0-9][A-Za-z0-9._-]*")
LOAD_SECONDS = 5000
MINIMAL = "{type: a, description: A, image: 'registry.example/a:1'}"


def of(kind: str, **flavor: Any) -> Plan:
    """The plan of the golden pair ascend-910b, on so many devices of another type."""
    count = flavor.pop("count", 1)
    offered = {"name": "910b-x2", "accelerator": {"type": kind, "count": count}, "cpu": "8", "memory": "64Gi"} | flavor
    facts = merged(facts_of("ascend-910b"), {"pool": {"spec": {"flavors": [offered]}}})
    plan = accept(service_seen(facts))
    assert isinstance(plan, Plan), plan
    return plan


def rendered(plan: Plan, **ours: Any) -> dict[str, Any]:
    brought = weights("team-a", plan, SourceSettings())
    return engine("assistant", plan, brought, AcceleratorSettings(**ours), Settings(load_seconds=LOAD_SECONDS))


def _env(plan: Plan) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in rendered(plan)["env"]}


@pytest.mark.parametrize("kind", accelerators())
def test_every_type_has_its_golden_pair(kind: str) -> None:
    assert f"type: {kind}," in (GOLDEN / f"{kind}.in.yaml").read_text() or kind == "cpu"
    decided = (GOLDEN / f"{kind}.out.yaml").read_text()
    accelerator = accelerators()[kind]
    assert f"{accelerator.resource}: '" in decided or kind == "cpu"
    assert f"image: {accelerator.image}\n" in decided


@pytest.mark.parametrize("accelerator", accelerators().values(), ids=accelerators())
def test_images_are_named_with_their_registry_and_a_fixed_tag(accelerator: Accelerator) -> None:
    assert IMAGE.fullmatch(accelerator.image)


def test_a_file_is_named_after_its_types() -> None:
    for path in FILES.glob("*.yaml"):
        said = yaml.safe_load(path.read_text())
        if "type" in said:
            assert said["type"] == path.stem
        for variant in said.get("variants", []):
            assert variant["type"].startswith(path.stem.rsplit("-", 1)[0])


def test_every_field_is_used_by_some_file() -> None:
    used = {each for known in accelerators().values() for each in _set(known)}
    kinds = {kind for kind, _ in used}
    assert {(kind, name) for kind in kinds for name in kind.model_fields} == used


def _set(known: BaseModel) -> Iterator[tuple[type[BaseModel], str]]:
    for name in known.model_fields_set:
        yield type(known), name
        value = getattr(known, name)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, BaseModel):
                yield from _set(each)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"a": MINIMAL, "b": MINIMAL}, "b.yaml: type a is in another file too"),
        ({"a": "{extends: b, type: a}"}, "a.yaml: extends b, which is no other file"),
        ({"a": "{extends: a}"}, "a.yaml: extends a, which is no other file"),
        ({"a": "{extends: b}", "b": "{extends: a}"}, "extends"),
        (
            {"a": "{description: A, image: x, variants: [{type: b}]}", "c": "{extends: a, type: c}"},
            "which is several types",
        ),
        ({"a": MINIMAL.replace("type:", "imge: x, type:")}, "imge"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(texts: Mapping[str, str], words: str) -> None:
    with pytest.raises((ValueError, ValidationError), match=words):
        read(texts)


def test_a_file_has_what_it_does_not_say_as_the_one_that_it_extends() -> None:
    base = "{image: 'registry.example/a:1', args: [--one], env: [{name: A, value: a}]}"
    one, two = read(
        {
            "base": base,
            "one": "{extends: base, type: one, description: 1, args: [--two]}".replace("1", "'1'"),
            "two": "{extends: one, variants: [{type: two, args: []}]}",
        }
    ).values()
    assert [one.args, two.args, two.description, one.kin, two.kin] == [["--two"], [], "1", [], ["one"]]
    assert one.env == two.env
    assert "base" not in accelerators()


def test_what_a_version_says_of_a_chip_holds_for_other_names_of_it_unless_it_speaks_of_them() -> None:
    entries = [{"type": "ascend-910b", "count": 4}, {"type": "cce-ascend-910b", "count": 8}]
    version = ModelVersion.model_validate(
        {"name": "a", "source": "hf://a/b", "contextLength": 4096, "accelerators": entries}
    )
    found = {kind: told(version, accelerators()[kind]) for kind in ("ascend-910b", "hami-ascend-910b3", "ascend-a3")}
    assert [each and each.count for each in found.values()] == [4, 4, None]
    assert told(version, accelerators()["cce-ascend-910b"]) == VersionAccelerator(type="cce-ascend-910b", count=8)


def test_a_version_that_says_nothing_to_start_an_accelerator_with_has_the_digest_that_it_had() -> None:
    bare = {"name": "a", "source": "hf://a/b", "contextLength": 4096}
    version = ModelVersion.model_validate(bare)
    facts = VersionAccelerator.model_validate(
        {"type": "nvidia", "count": 2, "support": "Full", "weights": {"size": "1Gi", "precision": "int8"}}
    )
    assert version.digest == "74ebacaf2307b419"  # as the operator of before came to
    assert {version.digest_on(None), version.digest_on(facts)} == {version.digest}
    for started in ({"args": ["--a"]}, {"env": [{"name": "A", "value": "b"}]}, {"source": "hf://c/d"}):
        assert version.digest_on(
            facts.model_copy(update=VersionAccelerator(type="nvidia", **started).__dict__)
        ) not in (version.digest,)


@pytest.mark.parametrize(("kind", "same"), [("nvidia", True), ("ascend-910b", False)])
def test_pods_follow_from_what_a_version_says_of_the_accelerator_that_they_have_alone(kind: str, same: bool) -> None:
    plain = facts_of("ascend-910b")
    version = plain["model"]["spec"]["versions"][0]
    entries = {"ascend-910b": {"type": "ascend-910b"}} | {kind: {"type": kind, "args": ["--new"]}}
    particular = merged(plain, {"model": {"spec": {"versions": [version | {"accelerators": [*entries.values()]}]}}})
    inputs = []
    for facts in (plain, particular):
        seen = service_seen(facts)
        plan = accept(seen)
        assert isinstance(plan, Plan)
        inputs.append(template_inputs(seen.service, plan))
    assert (inputs[0] == inputs[1]) is same


@pytest.mark.parametrize("kind", ["ascend-910b", "ascend-a3", "cce-ascend-910b"])
def test_ascend_over_several_hosts_knows_its_address_and_cannot_start_without_hccn_conf(kind: str) -> None:
    plan = of(kind, count=8, hosts=2)
    facts, env = rendered(plan), _env(plan)
    assert env["HCCL_IF_IP"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    assert [env[f"{each}_SOCKET_IFNAME"] for each in ("HCCL", "GLOO", "TP")] == ["eth0"] * 3
    assert env["HCCL_CONNECT_TIMEOUT"] == "7200"
    paths = {each["hostPath"]["path"]: each["hostPath"]["type"] for each in facts["volumes"] if "hostPath" in each}
    assert paths["/etc/hccn.conf"] == "File"
    assert paths["/usr/local/Ascend/driver/tools/hccn_tool"] == "File"


def test_the_runtime_brings_the_driver_and_not_hccn_conf() -> None:
    volumes = rendered(of("ascend-910b", count=8, hosts=2), driver_mounts=False)["volumes"]
    assert [each["hostPath"]["path"] for each in volumes if "hostPath" in each] == [
        "/etc/hccn.conf",
        "/usr/local/Ascend/driver/tools/hccn_tool",
    ]


@pytest.mark.parametrize("kind", ["cce-ascend-910b", "cce-ascend-a3", "cce-ascend-310p"])
def test_on_cce_the_add_on_brings_the_driver_and_in_modelarts_lite_nothing_does(kind: str) -> None:
    usual, lite = (
        {each["name"] for each in rendered(of(kind), **ours)["mounts"]} for ours in ({}, {"driver_mounts": True})
    )
    assert lite - usual == {"dcmi", "npu-smi", "driver-lib64", "driver-version", "ascend-install"}


@pytest.mark.parametrize("kind", ["ascend-910b", "nvidia", "cpu"])
def test_the_engines_servers_wait_as_long_as_it_may_load_unless_somebody_says_otherwise(kind: str) -> None:
    """With several API servers (data parallelism) vLLM gives up by itself otherwise, after 600 seconds."""
    name, plan = "VLLM_ENGINE_READY_TIMEOUT_S", of(kind)
    own = replace(
        plan,
        spec=plan.spec.model_copy(
            update={"engine": EngineExtras.model_validate({"env": [{"name": name, "value": "9"}]})}
        ),
    )
    assert [_env(each)[name] for each in (plan, own)] == [str(LOAD_SECONDS), "9"]


def test_one_host_is_told_nothing_of_several() -> None:
    names = {each["name"] for each in rendered(of("ascend-910b", count=8))["env"]}
    assert not {"HCCL_IF_IP", "HCCL_SOCKET_IFNAME"} & names


@pytest.mark.parametrize(
    ("kind", "count", "hosts", "words"),
    [
        ("ascend-910b-10c", 2, 1, "asks for 2 devices of accelerator type ascend-910b-10c.*its accelerator.count to 1"),
        ("ascend-310p-4c", 2, 1, "2 devices"),
        ("ascend-310p", 4, 2, "asks for 2 hosts of accelerator type ascend-310p.*set its hosts to 1"),
        ("gaudi", 8, 2, "2 hosts"),
    ],
)  # fmt: skip
def test_devices_that_cannot_work_together_are_refused(kind: str, count: int, hosts: int, words: str) -> None:
    offered = {"name": "f", "accelerator": {"type": kind, "count": count}, "cpu": "1", "memory": "1Gi", "hosts": hosts}
    why = impossible(Flavor.model_validate(offered), accelerators()[kind])
    assert why is not None
    assert re.search(words, why)


def test_m3_the_accelerators_own_resource_is_no_further_device() -> None:
    offered = {"name": "f", "accelerator": {"type": "nvidia", "count": 1}, "cpu": "1", "memory": "1Gi"}
    same, other = (
        impossible(Flavor.model_validate(offered | {"devices": {name: 1}}), accelerators()["nvidia"])
        for name in ("nvidia.com/gpu", "nvidia.com/hostdev")
    )
    assert same is not None
    assert "accelerator.count" in same
    assert other is None


@pytest.mark.parametrize(
    ("kind", "flavor", "locks", "root"),
    [
        ("nvidia", {}, False, False),
        ("nvidia", {"devices": {"rdma/hca": 1}}, True, True),
        ("nvidia", {"devices": {"rdma/hca": 1}, "ipcLock": False}, False, False),
        ("nvidia", {"devices": {"nvidia.com/hostdev": 1}}, False, False),
        ("nvidia", {"devices": {"nvidia.com/hostdev": 1}, "ipcLock": True}, True, True),
        ("amd", {"devices": {"rdma/hca": 1}}, True, True),
        ("amd", {"devices": {"rdma/hca": 1}, "ipcLock": False}, False, True),
    ],
)
def test_m3_memory_is_locked_by_root_alone(kind: str, flavor: dict[str, Any], locks: bool, root: bool) -> None:
    """Linux gives a capability that is added to a container to no other user."""
    facts = rendered(of(kind, **flavor))
    added = facts["container_security_context"]["capabilities"].get("add", [])
    assert ("IPC_LOCK" in added) is locks
    assert set(accelerators()[kind].capabilities) <= set(added)
    assert (facts["pod_security_context"]["runAsUser"] == 0) is root


@pytest.mark.parametrize("kind", [each.type for each in accelerators().values() if each.several_hosts.env])
def test_an_administrator_says_by_which_device_hosts_find_each_other_and_a_service_more(kind: str) -> None:
    usual, ours = (
        _devices(rendered(of(kind, count=1, hosts=2), **each)) for each in ({}, {"network_interface": "net1"})
    )
    assert set(usual.values()) == {"eth0"}
    assert ours == dict.fromkeys(usual, "net1")
    plan = of(kind, count=1, hosts=2)
    extras = EngineExtras.model_validate({"env": [{"name": "GLOO_SOCKET_IFNAME", "value": "bond0"}]})
    told = rendered(replace(plan, spec=plan.spec.model_copy(update={"engine": extras})), network_interface="net1")
    assert _devices(told) == ours | {"GLOO_SOCKET_IFNAME": "bond0"}


def _devices(facts: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in facts["env"] if each["name"].endswith("_SOCKET_IFNAME")}


@pytest.mark.parametrize(
    ("source", "entry", "cache", "expected"),
    [
        ("hf://a/b", {}, {}, 110),
        ("modelscope://a/b", {}, {}, 110),
        ("s3://abc/b", {}, {}, 110),
        ("oci://a/b:1", {}, {}, 0),
        ("pvc://a", {}, {}, 0),
        ("hf://a/b", {}, {"hostPath": {"path": "/a"}}, 0),
        ("hf://a/b", {}, {"persistentVolumeClaim": {"claimName": "a"}}, 0),
        ("hf://a/b", {"source": "hf://a/c", "weights": {"size": "50Mi", "precision": "int8"}}, {}, 55),
        ("hf://a/b", {"weights": {"size": "1", "precision": "int8"}}, {}, 1),
        ("hf://a/b", {"source": "pvc://a"}, {}, 0),
    ],
)
def test_disk_is_asked_for_where_weights_come_into_the_pod(
    source: str, entry: dict[str, Any], cache: dict[str, Any], expected: int
) -> None:
    """expected: MiB, of weights of 100."""
    version = {"name": "a", "source": source, "contextLength": 4096, "weights": {"size": "100Mi", "precision": "int8"}}
    version["accelerators"] = [{"type": "nvidia"} | entry]
    plan = of("nvidia")
    pool = ResourcePoolSpec.model_validate(plan.pool.model_dump(by_alias=True) | ({"cache": cache} if cache else {}))
    plan = replace(plan, version=ModelVersion.model_validate(version), pool=pool)
    assert disk(plan) == expected * 2**20
    brought = weights("team-a", plan, SourceSettings(image="maas-operator:1"))
    containers = [*brought.before, {"resources": {"requests": rendered(plan)["requests"]}}]
    asked = [each["resources"]["requests"].get("ephemeral-storage") for each in containers]
    assert [each for each in asked if each] == ([f"{expected}Mi"] if expected else [])


def test_weights_of_unknown_size_ask_for_no_disk() -> None:
    version = ModelVersion.model_validate({"name": "a", "source": "hf://a/b", "contextLength": 4096})
    assert disk(replace(of("nvidia"), version=version)) == 0


@pytest.mark.parametrize("kind", accelerators())
def test_one_device_of_one_host_is_always_possible(kind: str) -> None:
    assert rendered(of(kind))["args"]


def test_a_device_may_be_some_of_its_resource() -> None:
    assert needs(of("ascend-310p-4-cores").flavor)["huawei.com/npu-core"] == 4


def table() -> str:
    """The types as docs/accelerators.md lists them."""
    head = "| Type | What it is | Resource | Memory | Usual node labels | Image |\n|---|---|---|---|---|---|\n"
    return head + "".join(
        f"| `{each.type}` | {each.description} | {_resource(each)} | {each.memory or ''} | "
        f"{'<br>'.join(f'`{key}={value}`' for key, value in each.node_labels.items())} | `{each.image}` |\n"
        for each in accelerators().values()
    )


def _resource(accelerator: Accelerator) -> str:
    if accelerator.resource is None:
        return ""
    times = "" if accelerator.resource_per_device == 1 else f"{accelerator.resource_per_device} × "
    return f"{times}`{accelerator.resource}`"


def test_the_table_in_the_docs_is_that_of_the_files(update_golden: bool) -> None:
    text = DOCS.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    current = before + BEGIN + table() + END + after
    if update_golden:
        DOCS.write_text(current)
    assert current == text
