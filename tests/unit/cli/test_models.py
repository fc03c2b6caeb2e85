"""M5: `kubectl maas models` filters the catalogue, and tells all about one model."""

import csv
import io
import json

import pytest
import yaml
from click.testing import CliRunner

from maas_operator.api.model import ModelType, SupportedJob
from maas_operator.cli import catalogue
from maas_operator.cli.catalogue import Filters, Manifest
from maas_operator.cli.errors import CliError
from maas_operator.cli.main import cli
from maas_operator.cli.models import shown
from tests.unit.catalogue.models import NAMES, manifest

MODELS = [manifest(name) for name in reversed(NAMES)]
OWN: Manifest = {
    "metadata": {"name": "own"},
    "spec": {"versions": [{"name": "1k", "source": "pvc://own", "contextLength": 1000}]},
}
"""As little as a Model says."""


def names(**filters: str) -> list[str]:
    return [model["metadata"]["name"] for model in catalogue.chosen([*MODELS, OWN], Filters(**filters))]


def test_m5_without_a_filter_all_are_listed_by_name() -> None:
    assert names() == sorted([*NAMES, "own"])


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"series": "qwen3"}, ["qwen3-14b", "qwen3-32b", "qwen3-8b"]),
        ({"series": "qwen"}, []),
        ({"type": "ImageUnderstanding"}, ["qwen2.5-vl-72b-instruct", "qwen2.5-vl-7b-instruct"]),
        ({"language": "hindi", "search": "LLAMA"}, ["llama-3.1-70b-instruct", "llama-3.1-8b-instruct"]),
        ({"search": "Distill-Qwen-14B"}, ["deepseek-r1-distill-qwen-14b"]),
        ({"search": "own"}, ["own"]),
        ({"context": "64K"}, ["deepseek-v3", "deepseek-v3-0324", "qwen2.5-32b-instruct"]),
        ({"context": ">32k", "series": "Qwen2.5"}, ["qwen2.5-32b-instruct"]),
        ({"context": "<1024"}, ["own"]),
        ({"context": "<= 1K"}, ["own"]),
        ({"context": "16384"}, ["deepseek-r1", "deepseek-v3", "deepseek-v3-0324", "qwq-32b"]),
        ({"job": "FineTuning"}, []),
    ],
)
def test_m5_filters(filters: dict[str, str], found: list[str]) -> None:
    assert names(**filters) == found


def test_m5_a_series_or_language_that_no_model_has_is_answered_with_those_that_there_are() -> None:
    def told(**filters: str) -> str | None:
        return catalogue.unknown([*MODELS, OWN], Filters(**filters))

    series = "DeepSeek, Llama 3.1, Mistral, QwQ, Qwen2.5, Qwen2.5-VL, Qwen3"
    assert told(series="Qwen") == f"--series Qwen: no model has it; there is {series}"
    assert str(told(language="Klingon")).startswith("--language Klingon: no model has it; there is Arabic, ")
    assert told(series="qwen3", language="CHINESE", search="none") is None
    assert str(catalogue.unknown([OWN], Filters(series="Qwen"))).endswith("there is none that has one")


def test_m5_contexts_below_16k_are_those_of_the_versions_below_it() -> None:
    small = set(names(context="<16K"))
    assert {"deepseek-r1", "qwen3-14b", "own"} <= small
    assert not small & {"qwq-32b", "qwen3-8b", "qwen2.5-vl-7b-instruct", "qwen2.5-32b-instruct"}


def test_m5_every_job_can_be_asked_for() -> None:
    assert set(names(job="deployment")) == set(NAMES)
    usage = CliRunner().invoke(cli, ["models", "--help"]).output
    for word in (*ModelType, *SupportedJob):
        assert str(word).casefold() in usage.casefold()


@pytest.mark.parametrize("text", ["16KB", "lots", "<", "16-32", "-1"])
def test_m5_a_length_that_is_none_is_told_what_to_write(text: str) -> None:
    with pytest.raises(CliError, match="is no length: write 32K"):
        names(context=text)


def test_no_two_options_of_a_command_are_kept_in_one_place() -> None:
    """Ours beside those of every command: the last would be both."""
    for command in cli.commands.values():
        kept = [parameter.name for parameter in command.params]
        assert len(kept) == len(set(kept)), command.name


def test_m5_forms() -> None:
    found = catalogue.chosen(MODELS, Filters(search="qwq"))
    table = shown(found, "table").splitlines()
    assert table[0].split() == ["NAME", "SERIES", "TYPE", "VERSIONS", "CONTEXT", "SERVICES"]
    assert table[1].split() == ["qwq-32b", "QwQ", "TextGeneration", "16k,32k", "32768", "-"]
    wide = shown(found, "wide")
    assert "32.8B" in wide
    assert "61.03Gi bfloat16" in wide
    (row,) = csv.DictReader(io.StringIO(shown(found, "csv")))
    assert (row["name"], row["license"], row["gated"]) == ("qwq-32b", "Apache-2.0", "no")
    for text in (shown(found, "json"), shown(found, "yaml")):
        assert yaml.safe_load(text)["items"] == found
    assert json.loads(shown([], "json"))["items"] == []


def test_m5_the_details_of_a_model() -> None:
    used = manifest("deepseek-r1") | {"status": {"services": 3, "users": ["team-a/r1", "team-b/r1"]}}
    text = catalogue.described(used)
    lines = text.splitlines()
    for line in (
        "Name:           deepseek-r1",
        "Series:         DeepSeek",
        "Parameters:     671.0B",
        "Supported jobs: Deployment",
        "Languages:      English, Chinese",
        "License:        MIT",
        "Used by:        team-a/r1, team-b/r1, 1 more",
    ):
        assert line in lines
    assert "Use cases:      mathematics" in text
    assert "A mixture of 256 experts" in text
    cells = [line.split() for line in lines]
    assert ["32k", "32768", "641.3Gi", "float8"] in [line[:4] for line in cells]
    assert "NAboveOne, BeamSearch, LengthPenalty" in text
    assert ["8k,16k,32k", "ascend-910b", "8", "or", "more", "2", "Full", "640Gi", "int8,", "estimated"] in cells
    assert all(len(line) <= catalogue.WIDTH for line in lines[lines.index("") + 1 : lines.index("", 12)])


def test_m5_versions_that_need_other_accelerators_have_lines_of_their_own() -> None:
    model: Manifest = json.loads(json.dumps(manifest("qwq-32b")))
    model["spec"]["versions"][1]["accelerators"] = [{"type": "cpu"}]
    cells = [line.split() for line in catalogue.described(model).splitlines()]
    assert [line[:2] for line in cells if line[:1] in (["16k"], ["32k"])][-1] == ["32k", "cpu"]


def test_i2_gated_models_and_products_say_so() -> None:
    text = catalogue.described(manifest("llama-3.1-8b-instruct"))
    assert "Gated:" in text
    assert "maas-model-llama-3.1-8b, id ba5d2874-dc83-425e-af98-c810f11dad79" in text


def test_a_model_that_says_little_is_described_all_the_same() -> None:
    text = catalogue.described(OWN)
    assert "Used by: nobody" in text
    assert "pvc://own" in text
    assert "Accelerators" not in text


def test_an_introduction_cannot_write_to_the_terminal() -> None:
    model = OWN | {"spec": OWN["spec"] | {"introduction": "a\x1b[31mb"}}
    assert "\x1b" not in catalogue.described(model)


def test_a_name_that_is_none_is_answered_with_the_nearest() -> None:
    assert catalogue.named(MODELS, "qwq-32b")["metadata"]["name"] == "qwq-32b"
    with pytest.raises(CliError, match="there is no Model qwen3-8; there is qwen3-8b"):
        catalogue.named(MODELS, "qwen3-8")
    with pytest.raises(CliError, match="the catalogue is empty"):
        catalogue.named([], "qwen3-8b")
