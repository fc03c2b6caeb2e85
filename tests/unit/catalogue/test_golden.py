"""What runs for every version of the catalogue on every accelerator that it supports. A file a
model, a document a version and accelerator. `pytest tests/unit/catalogue --update-golden` rewrites them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from maas_operator.api.model import ModelVersion, VersionAccelerator
from maas_operator.api.quantities import parse
from maas_operator.api.resourcepool import Flavor
from maas_operator.api.seen import Manifest
from maas_operator.decide import decide_service
from maas_operator.decide.accelerators import CPU, accelerators
from maas_operator.decide.fit import fit
from tests.unit.catalogue.models import NAMES, manifest, spec
from tests.unit.decide.facts import NOW, manifests_of, service_seen, settings_from

GOLDEN = Path(__file__).parent / "golden"
GIB = 2**30
DEVICE = {"nvidia": 80, "amd": 192, "gaudi": 128, "intel-gpu-xe": 24, "intel-gpu-i915": 48}
"""GiB of a device, where devices of one type differ: H100, MI300X, Gaudi 3, Arc Pro B60, Max 1100."""
AS_RUN_ON_NVIDIA = {
    "deepseek-r1": 16, "deepseek-v3": 16, "deepseek-v3-0324": 16, "deepseek-r1-distill-qwen-14b": 1,
    "deepseek-r1-distill-qwen-32b": 2, "deepseek-coder-7b-instruct-v1.5": 1, "qwq-32b": 2, "qwen2.5-7b-instruct": 1,
    "qwen2.5-14b-instruct": 2, "qwen2.5-32b-instruct": 2, "qwen2.5-72b-instruct": 4, "qwen2.5-vl-7b-instruct": 1,
    "qwen2.5-vl-72b-instruct": 4, "qwen2.5-coder-32b-instruct": 2, "qwen3-8b": 1, "qwen3-14b": 1, "qwen3-32b": 2,
    "llama-3.1-8b-instruct": 1, "llama-3.1-70b-instruct": 4, "mistral-7b-instruct-v0.1": 1,
}  # fmt: skip
"""Devices of 80 GiB, as others run these models. Not in the catalogue: newer devices hold more."""
AS_RUN_ON_ASCEND = {
    "deepseek-r1-distill-qwen-14b": 1, "deepseek-r1-distill-qwen-32b": 4, "deepseek-coder-7b-instruct-v1.5": 1,
    "qwq-32b": 4, "qwen2.5-7b-instruct": 1, "qwen2.5-14b-instruct": 2, "qwen2.5-32b-instruct": 4,
    "qwen2.5-72b-instruct": 4, "qwen2.5-vl-7b-instruct": 1, "qwen2.5-vl-72b-instruct": 8,
    "qwen2.5-coder-32b-instruct": 2, "qwen3-8b": 2, "qwen3-14b": 2, "qwen3-32b": 4, "llama-3.1-8b-instruct": 1,
    "llama-3.1-70b-instruct": 4, "mistral-7b-instruct-v0.1": 1,
}  # fmt: skip
"""Devices of 64 GiB (910B, A3), as others run them. Not in the catalogue: fewer hold many of them, and devices of 32
GiB need more."""
FEWEST_ON_ASCEND = {"qwen3-8b": 1, "qwen3-14b": 1, "qwen3-32b": 2, "deepseek-r1-distill-qwen-32b": 2, "qwq-32b": 2}
"""Devices of 64 GiB that are enough, by vllm-ascend's own guides (Qwen3-8B on one NPU, 32B on two)."""
HOST = 8
"""Devices of a host."""
USUAL = {"HOME", "USER", "VLLM_NO_USAGE_STATS", "VLLM_ENGINE_READY_TIMEOUT_S"}
"""Variables that every engine has alike."""


def _flavor(name: str, version: ModelVersion, on: VersionAccelerator) -> Manifest:
    """The flavor as others run it, or else of the fewest devices that hold it."""
    weights = on.weights or version.weights
    assert weights
    if on.type == CPU:
        return {"name": "fewest", "cpu": "16", "memory": f"{4 * int(parse(weights.size)) // GIB + 64}Gi"}
    if on.type == "nvidia":
        count = min(AS_RUN_ON_NVIDIA[name], HOST)
        return _devices(on.type, count, AS_RUN_ON_NVIDIA[name] // count)
    if on.count is not None:
        return _devices(on.type, on.count, on.hosts)
    if on.type in {"ascend-910b", "ascend-a3"}:
        return _devices(on.type, AS_RUN_ON_ASCEND[name], None)
    known, tried = accelerators()[on.type], [_devices(on.type, count, on.hosts) for count in (1, 2, 4, 8)]
    answers = [(each, fit(version, Flavor.model_validate(each), known).fits) for each in tried]
    return next((each for each, fits in answers if fits), None) or next(each for each, fits in answers if fits is None)


def _devices(kind: str, count: int, hosts: int | None) -> Manifest:
    memory = {"memory": f"{DEVICE[kind]}Gi"} if kind in DEVICE else {}
    accelerator = {"type": kind, "count": count} | memory
    flavor = {"name": "fewest", "cpu": "16", "memory": f"{128 * count}Gi", "accelerator": accelerator}
    return flavor | ({"hosts": hosts} if hosts and hosts > 1 else {})


def _decided(name: str, version: ModelVersion, flavor: Manifest) -> list[Manifest]:
    token = {"credentials": {"secretName": "hub"}} if manifest(name)["spec"].get("gated") else {}
    model = {"name": name, "version": version.name} | token
    wanted = {"model": model, "resourcePool": "p", "flavor": "fewest"}
    facts = {
        "service": {"metadata": {"name": "assistant"}, "spec": wanted | {"instances": 1}},
        "model": manifest(name),
        "pool": {"metadata": {"name": "p"}, "spec": {"flavors": [flavor]}},
    }
    decision = decide_service(service_seen(facts), settings_from(facts), NOW)
    made = manifests_of(decision)
    assert made, [each["message"] for each in decision.status["conditions"]]
    return made


def _containers(part: Any) -> Iterator[Manifest]:
    """The engines' containers in a workload, whatever its kind: of a group of hosts the leader's and the others'."""
    if isinstance(part, dict):
        yield from (each for each in part.get("containers", ()) if each["name"] == "engine")
        for value in part.values():
            yield from _containers(value)


def _shown(manifests: list[Manifest]) -> Iterator[Manifest]:
    for each in manifests:
        for container in _containers(each["spec"]) if "spec" in each else ():
            yield {
                "kind": each["kind"],
                "image": container["image"],
                "args": [*container.get("command", ()), *container["args"]],
                "env": {
                    variable["name"]: variable.get("value", variable.get("valueFrom"))
                    for variable in container["env"]
                    if variable["name"] not in USUAL
                },
                "limits": container["resources"]["limits"],
            }


def _documents(name: str) -> Iterator[Manifest]:
    for version in spec(name).versions:
        for on in version.accelerators:
            flavor = _flavor(name, version, on)
            running = list(_shown(_decided(name, version, flavor)))
            assert running
            needs = {key: flavor[key] for key in ("accelerator", "hosts") if key in flavor}
            yield {"version": version.name, "flavor": needs or CPU, "runs": running}


class _Short(yaml.CSafeDumper):
    """Without aliases, and what is short on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.mark.parametrize("name", NAMES)
def test_m4_what_runs_of_every_version_on_every_accelerator(name: str, update_golden: bool) -> None:
    made = yaml.dump_all(_documents(name), Dumper=_Short, sort_keys=False, width=116, default_flow_style=None)
    golden = GOLDEN / f"{name}.out.yaml"
    if update_golden:
        golden.write_text(made)
    assert made == golden.read_text()


@pytest.mark.parametrize("name", FEWEST_ON_ASCEND)
def test_m3_no_flavor_is_refused_on_which_the_engines_makers_run_the_model(name: str) -> None:
    known = accelerators()["ascend-910b"]
    for version in spec(name).versions:
        enough = FEWEST_ON_ASCEND[name]
        assert fit(version, Flavor.model_validate(_devices(known.type, enough, None)), known).fits
        if enough > 1:
            assert fit(version, Flavor.model_validate(_devices(known.type, enough // 2, None)), known).fits is False


def test_every_golden_file_is_of_a_model() -> None:
    assert {path.name.removesuffix(".out.yaml") for path in GOLDEN.iterdir()} == set(NAMES)
