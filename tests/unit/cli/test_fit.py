"""M3: `kubectl maas fit`: which flavors hold a model, with room and price, before anything is deployed."""

import csv
import io
import json
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from maas_operator.api.kinds import MODEL, RESOURCE_POOL, Kind
from maas_operator.cli import fit
from maas_operator.cli.errors import CliError
from maas_operator.cli.main import cli
from tests.unit.catalogue.models import ROOT, manifest

SHAPE = {"parameters": 8_030_261_248, "layers": 32, "hiddenSize": 4096, "attentionHeads": 32, "kvHeads": 8,
         "headSize": 128, "vocabularySize": 128256, "contextLength": 131072}  # fmt: skip
ABOUT = {"source": "hf://owner/name", "weights": {"size": "14.96Gi", "precision": "bfloat16"}, "architecture": SHAPE}
MODELS = [
    {
        "kind": "Model",
        "metadata": {"name": "llama"},
        "spec": {"versions": [{"name": f"{size}k", "contextLength": 1024 * size, **ABOUT} for size in (8, 32)]},
    }
]
ROOM = {"used": 0, "waiting": 0}


def device(name: str, count: int, memory: str | None, kind: str = "nvidia", **more: Any) -> dict[str, Any]:
    accelerator = {"type": kind, "count": count} | ({"memory": memory} if memory else {})
    return {"name": name, "cpu": "8", "memory": "64Gi", "accelerator": accelerator, **more}


POOLS = [
    {
        "kind": "ResourcePool",
        "metadata": {"name": "gpus"},
        "spec": {
            "flavors": [
                device("small", 1, "16Gi"),
                device("large", 1, "80Gi", price={"perHour": "2.50", "currency": "EUR"}),
                device("untold", 1, None),
            ]
        },
        "status": {"flavors": [{"name": "large", "free": 3, "capacity": 8, **ROOM}]},
    },
    {
        "kind": "ResourcePool",
        "metadata": {"name": "beads"},
        "spec": {"flavors": [device("abacus", 1, "80Gi", "abacus")]},
    },
]


class Catalogue:
    """What the API server would list."""

    def __init__(self, *asked: Any) -> None:
        CONTEXTS.append(asked[1])

    def objects(self, kind: Kind, *, everywhere: bool) -> list[dict[str, Any]]:
        assert everywhere
        return {MODEL.kind: MODELS, RESOURCE_POOL.kind: POOLS}[kind.kind]


CONTEXTS: list[str | None] = []


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "Cluster", Catalogue)
    CONTEXTS.clear()


def said(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["fit", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def rows(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said("llama", "-o", "json", *arguments))
    return found


def test_m3_each_flavor_is_told_those_that_fit_first() -> None:
    found = rows()
    assert [(row["pool"], row["flavor"], row["fits"]) for row in found] == [
        ("gpus", "large", "yes"),
        ("beads", "abacus", "unknown"),
        ("gpus", "untold", "unknown"),
        ("gpus", "small", "no"),
    ]
    large, _, untold, small = found
    assert (large["version"], large["contextLength"]) == ("32k", 32768), "the newest"
    assert (large["free"], large["capacity"]) == (3, 8)
    assert (large["pricePerHour"], large["currency"]) == ("2.50", "EUR")
    assert large["tokens"] >= 32768 * large["sequences"] > 0
    assert large["tokenBytes"] == 32 * 2 * 8 * 128 * 2
    held = large["weightsBytes"] + large["overheadBytes"] + large["tokens"] * large["tokenBytes"]
    assert held <= large["usableBytes"] <= 80 * 2**30
    assert small["why"] == "it needs 20 GiB and has 14"
    assert (small["tokens"], small["free"], small["pricePerHour"]) == (None, None, None)
    assert "the memory of its devices" in untold["why"]


def test_m3_the_pages_example_is_the_catalogues_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "fit.md").read_text()
    shown = page.partition("```\n$ kubectl maas fit qwen2.5-32b-instruct --pool ascend-a\n")[2].partition("```")[0]
    sizes = {1: ("6.25", 6, 16), 2: ("12.50", 3, 8), 4: ("25.00", 1, 4)}
    price = {count: {"perHour": each, "currency": "EUR"} for count, (each, _, _) in sizes.items()}
    flavors = [device(f"910b-x{count}", count, None, "ascend-910b", price=price[count]) for count in sizes]
    free = [
        {"name": f"910b-x{count}", "free": free, "capacity": all_} | ROOM for count, (_, free, all_) in sizes.items()
    ]
    pool = {"metadata": {"name": "ascend-a"}, "spec": {"flavors": flavors}, "status": {"flavors": free}}
    kept = {MODEL.kind: [manifest("qwen2.5-32b-instruct")], RESOURCE_POOL.kind: [pool]}
    monkeypatch.setattr(Catalogue, "objects", lambda _, kind, **__: kept[kind.kind])
    assert said("qwen2.5-32b-instruct", "--pool", "ascend-a") == shown


def test_m3_a_pool_a_version_and_a_context_can_be_asked_about() -> None:
    assert {row["pool"] for row in rows("--pool", "gpus")} == {"gpus"}
    assert {row["contextLength"] for row in rows("--version", "8k", "--pool", "gpus")} == {8192}
    short, long = (rows("--context", tokens)[0] for tokens in ("8192", "131072"))
    assert short["contextLength"] == 8192
    assert short["sequences"] > long["sequences"] > 0
    too_long = rows("--context", "262144")
    assert {row["why"] for row in too_long} == {"the model was made for a context of 131072 tokens"}


def test_context_is_also_the_kubeconfigs_where_it_is_no_number() -> None:
    assert rows("--context", "prod", "--context", "8192")[0]["contextLength"] == 8192
    rows("--context", "prod")
    rows()
    assert CONTEXTS == ["prod", "prod", None]
    with pytest.raises(CliError, match="once with a number of tokens, and once with a kubeconfig's context"):
        fit.told_apart(["1", "2"])
    with pytest.raises(CliError, match="tokens are from 1 to"):
        fit.told_apart(["0"])


def test_m3_the_answer_comes_in_every_form() -> None:
    table = said("llama").splitlines()
    assert table[0].split()[:6] == ["POOL", "FLAVOR", "FITS", "TOKENS", "SEQUENCES", "FREE"]
    assert table[1].split()[:3] == ["gpus", "large", "yes"]
    assert yaml.safe_load(said("llama", "-o", "yaml")) == rows()
    listed = list(csv.DictReader(io.StringIO(said("llama", "-o", "csv"))))
    assert [row["flavor"] for row in listed] == ["large", "abacus", "untold", "small"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lama"], "there is no Model lama; the catalogue has llama"),
        (["llama", "--version", "64k"], "Model llama has no version 64k; it has 8k, 32k"),
        (["llama", "--pool", "gpu"], "there is no ResourcePool gpu; there are beads, gpus"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(cli, ["fit", *arguments])
    assert result.exit_code == 1
    assert says in result.output


def test_a_manifest_of_a_later_cluster_is_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = [{"kind": "Model", "metadata": {"name": "llama"}, "spec": {"versions": "all"}}]
    monkeypatch.setattr(Catalogue, "objects", lambda *_, **__: strange)
    result = CliRunner().invoke(cli, ["fit", "llama"])
    assert "Model llama cannot be read" in result.output
