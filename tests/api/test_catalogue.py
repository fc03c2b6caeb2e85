"""M5 on a real API server: `kubectl maas models`, with the catalogue's Models as the chart brings them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maas_operator.cli.main import cli
from tests.cluster import Cluster

pytestmark = pytest.mark.api
FILES = Path(__file__).parents[2] / "charts" / "maas-operator" / "files" / "catalogue"


class Catalogue:
    """The cluster's Models, as `kubectl maas models` shows them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def asked(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["models", *arguments, f"--kubeconfig={self._cluster.kubeconfig}"])

    def shown(self, *arguments: str) -> str:
        done = self.asked(*arguments)
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout

    def names(self, *arguments: str) -> list[str]:
        """Of a table's rows."""
        head, *rows = self.shown(*arguments).splitlines()
        assert head.split()[0] == "NAME"
        return [row.split()[0] for row in rows]


@pytest.fixture(scope="module")
def catalogue(cluster: Cluster) -> Iterator[Catalogue]:
    cluster.kubectl("apply", "--server-side", "-f", str(FILES))
    yield Catalogue(cluster)
    cluster.kubectl("delete", "--wait=false", "-f", str(FILES))


def test_m5_all_are_listed(catalogue: Catalogue) -> None:
    assert {file.stem for file in FILES.iterdir()} <= set(catalogue.names())


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("--series=qwen3", ["qwen3-14b", "qwen3-32b", "qwen3-8b"]),
        ("--type=ImageUnderstanding", ["qwen2.5-vl-72b-instruct", "qwen2.5-vl-7b-instruct"]),
        ("--context-length=>=64K --job=deployment", ["deepseek-v3", "deepseek-v3-0324", "qwen2.5-32b-instruct"]),
        ("--context-length=<16K --series=Qwen3", ["qwen3-14b", "qwen3-32b"]),
        ("--language=Hindi --search=LLAMA", ["llama-3.1-70b-instruct", "llama-3.1-8b-instruct"]),
        ("--search=distill", ["deepseek-r1-distill-qwen-14b", "deepseek-r1-distill-qwen-32b"]),
        ("--search=distill --context-length=32K", ["deepseek-r1-distill-qwen-32b"]),
        ("--search=distill --job=FineTuning", []),
    ],
)
def test_m5_filters(catalogue: Catalogue, filters: str, found: list[str]) -> None:
    assert catalogue.names(*filters.split()) == found


def test_m5_as_json_they_are_the_models_themselves(cluster: Cluster, catalogue: Catalogue) -> None:
    (mine,) = json.loads(catalogue.shown("--series=QwQ", "-o", "json"))["items"]
    its = json.loads(cluster.kubectl("get", "maasmodel", "qwq-32b", "-o", "json"))
    assert (mine["spec"], mine["metadata"]["uid"]) == (its["spec"], its["metadata"]["uid"])


def test_m5_the_page_of_a_model_has_what_its_file_says_and_who_uses_it(cluster: Cluster, catalogue: Catalogue) -> None:
    status = json.dumps({"status": {"services": 1, "users": ["team-a/reasoner"]}})
    cluster.kubectl("patch", "maasmodel", "deepseek-r1", "--subresource=status", "--type=merge", "-p", status)
    page = catalogue.shown("deepseek-r1")
    cells = [line.split() for line in page.splitlines()]
    for line in (
        ["Series:", "DeepSeek"],
        ["Supported", "jobs:", "Deployment"],
        ["Languages:", "English,", "Chinese"],
        ["License:", "MIT"],
        ["Used", "by:", "team-a/reasoner"],
    ):
        assert line in cells
    assert "A mixture of 256 experts" in page
    assert [line[:2] for line in cells if line[:1] in (["8k"], ["16k"], ["32k"])] == [
        ["8k", "8192"], ["16k", "16384"], ["32k", "32768"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("--type=Chat", 2, "'Chat' is not one of 'textgeneration', 'imageunderstanding'"),
        ("--job=Cooking", 2, "'Cooking' is not one of"),
        ("--context-length=lots", 1, "--context-length lots is no length: write 32K"),
        ("--series=Qwen", 0, "--series Qwen: no model has it; there is DeepSeek, Llama 3.1"),
        ("qwen3-9b", 1, "there is no Model qwen3-9b; there is qwen3-8b"),
    ],
)
def test_m5_a_value_that_is_none_is_told_with_what_there_is(
    catalogue: Catalogue, arguments: str, code: int, says: str
) -> None:
    done = catalogue.asked(*arguments.split())
    assert done.exit_code == code
    assert says in done.stderr
