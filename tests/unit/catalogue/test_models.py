"""M4, M5, M6, M20, I2: the catalogue has what the guides name, and its figures hold together."""

import re
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
import yaml

from maas_operator.api.model import ModelType, Parameter, Precision, Support
from maas_operator.api.quantities import parse
from maas_operator.decide.accelerators import accelerators
from tests.unit.catalogue import shapes
from tests.unit.catalogue.models import NAMES, PUBLISHED, ROOT, manifest, spec

each_model = pytest.mark.parametrize("name", NAMES)

M6: Mapping[str, dict[str, int]] = {
    "deepseek-r1": {"8k": 8192, "16k": 16384, "32k": 32768},
    "deepseek-v3": {"8k": 8192, "16k": 16384, "32k": 32768, "64k": 65536},
    "deepseek-v3-0324": {"8k": 8192, "16k": 16384, "32k": 32768, "64k": 65536},
    "deepseek-r1-distill-qwen-14b": {"8k": 8192},
    "deepseek-r1-distill-qwen-32b": {"8k": 8192, "32k": 32768},
    "qwq-32b": {"16k": 16384, "32k": 32768},
    "qwen2.5-vl-7b-instruct": {"32k": 32768},
    "qwen3-8b": {"32k": 32768},
    "qwen2.5-32b-instruct": {"64k": 65536},
}
"""The guide's table."""
OTHERS = {"4k": 4096}
"""Any other."""
BESIDE = {"32k": 32768}
"""What is offered beside the guide's versions, where the model was made for it; never as the default."""
SERIES = {
    "DeepSeek": 6,
    "QwQ": 1,
    "Qwen2.5": 5,
    "Qwen2.5-VL": 2,
    "Qwen3": 3,
    "Llama 3.1": 2,
    "Mistral": 1,
}
PRODUCTS = {
    "maas-model-qwen-2.5-coder-32b": ("97a75a6d-7eb4-40c9-894b-8e9f5924b555", "Qwen/Qwen2.5-Coder-32B-Instruct"),
    "maas-model-qwen-2.5-32b": ("0a0bffe9-2f62-4ebb-8aee-118ede22b816", "Qwen/Qwen2.5-32B-Instruct"),
    "maas-model-llama-3.1-8b": ("ba5d2874-dc83-425e-af98-c810f11dad79", "meta-llama/Meta-Llama-3.1-8B-Instruct"),
    "maas-model-llama-3.1-70b": ("8d728109-0fb2-46c7-a406-1113634d72ab", "meta-llama/Meta-Llama-3.1-70B-Instruct"),
    "maas-model-mistral-7b-v0.1": ("269c3034-e6c7-4359-9e77-c3efedfaa778", "mistralai/Mistral-7B-Instruct-v0.1"),
}
TEMPERATURES = {r"deepseek-(r1|v3).*": "0.6", r"qwen3-.*": "0.6", r"qwen2\.5-vl-.*": "0.2"}
TOLERANCE = 0.01


def _closed(schema: Any) -> Any:
    """A CRD's schema that takes no field it does not name, as the API server with strict validation."""
    if isinstance(schema, dict):
        closed = {key: _closed(value) for key, value in schema.items()}
        return closed | {"additionalProperties": False} if "properties" in schema else closed
    return [_closed(each) for each in schema] if isinstance(schema, list) else schema


CRD = yaml.load((ROOT / "crds" / "models.yaml").read_text(), yaml.CSafeLoader)
SCHEMA = _closed(CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])


def test_m4_every_model_of_the_guides_is_there() -> None:
    counted = {series: sum(spec(name).series == series for name in NAMES) for series in SERIES}
    assert counted == SERIES
    assert set(M6) < set(NAMES) == set(PUBLISHED) - {"deepseek"}


@each_model
def test_a_file_is_a_model_of_its_name_and_what_the_crd_takes(name: str) -> None:
    read = manifest(name)
    assert {key: read[key] for key in ("apiVersion", "kind", "metadata")} == {
        "apiVersion": "maas-operator.io/v1alpha1",
        "kind": "Model",
        "metadata": {"name": name},
    }
    jsonschema.validate(read["spec"], SCHEMA)
    assert spec(name).model_dump(mode="json", by_alias=True, exclude_unset=True) == read["spec"]


@each_model
def test_m5_what_people_filter_by_and_read_is_said(name: str) -> None:
    said = spec(name)
    assert said.type == (ModelType.IMAGE_UNDERSTANDING if "-vl-" in name else ModelType.TEXT_GENERATION)
    assert said.supported_jobs
    assert said.languages
    assert len(said.use_cases) >= 2
    assert said.license
    assert said.display_name and said.display_name.lower() == name


@each_model
def test_m5_every_introduction_is_a_paragraph_of_its_own(name: str) -> None:
    own = spec(name).introduction or ""
    assert 120 <= len(own) <= 600
    assert own.endswith(".")
    assert own not in {spec(other).introduction for other in NAMES if other != name}


@each_model
def test_m6_versions_and_their_context_are_those_of_the_table(name: str) -> None:
    versions = {version.name: version.context_length for version in spec(name).versions}
    table = M6.get(name, OTHERS)
    assert table.items() <= versions.items()
    assert versions.items() - table.items() <= BESIDE.items()
    assert list(versions)[-1] == list(table)[-1], "the last is what a service gets that names none"


@each_model
def test_a_version_is_no_longer_than_the_model_was_made_for_unless_it_says_how(name: str) -> None:
    for version in spec(name).versions:
        assert version.architecture
        stretched = any('"rope_type":"yarn"' in argument for argument in version.args)
        assert (version.context_length > version.architecture.context_length) == stretched


@each_model
def test_m20_sampling_is_the_guides(name: str) -> None:
    wanted = next((value for pattern, value in TEMPERATURES.items() if re.fullmatch(pattern, name)), None)
    for version in spec(name).versions:
        said = version.sampling and version.sampling.temperature
        assert said == wanted or wanted is None


def test_m20_r1_and_v3_take_no_n_above_one_no_beam_search_and_no_length_penalty() -> None:
    refusing = {name: {tuple(version.unsupported_parameters) for version in spec(name).versions} for name in NAMES}
    for name, said in refusing.items():
        assert said == {tuple(Parameter) if name in {"deepseek-r1", "deepseek-v3", "deepseek-v3-0324"} else ()}


def test_m21_models_that_think_have_a_parser_for_it() -> None:
    thinking = {name for name in NAMES if all(version.reasoning_parser for version in spec(name).versions)}
    assert thinking == {name for name in NAMES if name.startswith(("deepseek-r1", "qwq", "qwen3"))}


def test_i2_the_catalogue_has_the_guides_five_products() -> None:
    found = [product for name in NAMES if (product := spec(name).product)]
    assert {each.name: (each.id, each.model_name) for each in found} == PRODUCTS
    assert len(found) == len(PRODUCTS)


@each_model
def test_architecture_is_that_of_the_published_config(name: str) -> None:
    config = PUBLISHED[name]["config"]
    for version in spec(name).versions:
        assert version.architecture
        assert version.architecture.model_dump(exclude_none=True) == {
            "parameters": shapes.parameters(config),
            "layers": config["num_hidden_layers"],
            "hidden_size": config["hidden_size"],
            "attention_heads": config["num_attention_heads"],
            "kv_heads": config["num_key_value_heads"],
            "head_size": shapes.head_size(config),
            "vocabulary_size": config["vocab_size"],
            "context_length": config["max_position_embeddings"],
            **({"sliding_window": config["sliding_window"]} if "sliding_window" in config else {}),
        } | ({"latent_size": shapes.latent_size(config)} if "kv_lora_rank" in config else {})


@each_model
def test_the_count_of_the_shapes_is_what_the_hub_counts(name: str) -> None:
    counted = shapes.files(PUBLISHED[name]["config"])
    assert counted.keys() == PUBLISHED[name]["counted"].keys()
    for precision, number in PUBLISHED[name]["counted"].items():
        assert counted[precision] == pytest.approx(number, rel=1e-4)


@each_model
def test_weights_are_as_large_as_parameters_and_precision_say(name: str) -> None:
    computed = sum(shapes.BYTES[kind] * number for kind, number in shapes.files(PUBLISHED[name]["config"]).items())
    assert computed == pytest.approx(PUBLISHED[name].get("bytes", computed), rel=1e-4)
    for version in spec(name).versions:
        assert version.weights and version.architecture
        assert int(parse(version.weights.size)) == pytest.approx(computed, rel=TOLERANCE)
        plain = version.architecture.parameters * shapes.BYTES[version.weights.precision]
        beside = TOLERANCE if version.weights.precision == Precision.BFLOAT16 else 0.03
        assert int(parse(version.weights.size)) == pytest.approx(plain, rel=beside), "fp8 has parts that are none"
        for other in (each.weights for each in version.accelerators if each.weights):
            assert other.estimated
            assert int(parse(other.size)) == pytest.approx(computed, rel=TOLERANCE)


def test_deepseek_r1_is_of_641_gib_and_a_token_of_its_cache_small() -> None:
    (version, *_) = spec("deepseek-r1").versions
    assert version.weights
    assert int(parse(version.weights.size)) / 2**30 == pytest.approx(641.3, abs=0.1)
    assert shapes.cache_bytes(PUBLISHED["deepseek-r1"]["config"]) == 70_272
    assert shapes.cache_bytes(PUBLISHED["qwen2.5-7b-instruct"]["config"]) == 57_344


EVERYWHERE = {"ascend-910b", "ascend-a3", "nvidia"}
"""Where every model runs, but for the one that has no weights for Ascend."""


@each_model
def test_accelerators_are_those_that_the_operator_knows(name: str) -> None:
    for version in spec(name).versions:
        types = {each.type for each in version.accelerators}
        assert types <= accelerators().keys()
        assert types >= ({"nvidia"} if name == "deepseek-v3-0324" else EVERYWHERE)
        assert len(types) == len(version.accelerators)


@each_model
def test_on_ascend_only_qwen3_and_the_large_deepseek_are_promised(name: str) -> None:
    promised = name.startswith("qwen3") or name in {"deepseek-r1", "deepseek-v3"}
    for each in (each for version in spec(name).versions for each in version.accelerators):
        if each.type in {"ascend-910b", "ascend-a3"}:
            assert (each.support != Support.EXPERIMENTAL) == promised
        if each.type == "ascend-310p":
            assert each.support == Support.EXPERIMENTAL


@each_model
def test_versions_of_a_model_need_the_same(name: str) -> None:
    first, *rest = spec(name).versions
    for other in rest:
        assert (other.weights, other.architecture, other.accelerators) == (
            first.weights, first.architecture, first.accelerators,
        )  # fmt: skip


def test_gated_models_come_from_their_hub_and_none_runs_foreign_code() -> None:
    assert {name for name in NAMES if spec(name).gated} == {
        "llama-3.1-8b-instruct", "llama-3.1-70b-instruct", "mistral-7b-instruct-v0.1",
    }  # fmt: skip
    for name in NAMES:
        for version in spec(name).versions:
            assert version.source.startswith("hf://")
            assert "--trust-remote-code" not in version.args, "vLLM has all of these architectures itself"
