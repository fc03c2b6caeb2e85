"""The samples that people copy, run as they are written: the ModelArts guide's, and README's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.demo import remember
from tests.e2e.conftest import ACCOUNT, Account
from tests.installation import REPOSITORY
from tests.keys import new_key
from tests.snippets import snippet

pytestmark = pytest.mark.e2e

GUIDE = Path(__file__).parent / "guide.md"
README = REPOSITORY / "README.md"
KNOWN_SECONDS = 30
SAMPLE_SECONDS = 120


@pytest.fixture(scope="module")
def words(cluster: Cluster, account: Account, address: str) -> dict[str, str]:
    """What stands for what in the guide."""
    id_ = account.get("msvc", "talker")["status"]["serviceId"]
    made = {"HOST": address, "API_KEY": new_key(cluster, ACCOUNT, "samples", "copied"), "SERVICE_ID": id_,
            "MODEL": "talker"}  # fmt: skip
    wait_until(lambda: "data" in sample(made, "Models", "sh"), KNOWN_SECONDS, "the key to count")
    return made


def sample(words: dict[str, str], heading: str, language: str) -> str:
    """What the guide's sample prints."""
    text = snippet(GUIDE, heading, language)
    for word, value in words.items():
        text = text.replace(word, value)
    return run(text, language)


def run(text: str, language: str, folder: Path | None = None, **environment: str) -> str:
    command = {"python": [sys.executable, "-c"], "sh": ["bash", "-euc"]}[language]
    done = subprocess.run([*command, text], env=os.environ | environment, cwd=folder, capture_output=True, text=True,
                          timeout=SAMPLE_SECONDS, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_guides_request_on_the_services_own_path(words: dict[str, str]) -> None:
    status, text = sample(words, "The service's own path, whole", "python").split("\n", 1)
    assert status == "200"
    assert json.loads(text)["choices"][0]["message"]["content"]


def test_the_guides_streamed_request(words: dict[str, str]) -> None:
    status, *lines = sample(words, "The shared host, streamed", "python").splitlines()
    assert status == "200"
    assert lines[-1] == "data: [DONE]"
    chunks: list[Any] = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert any(choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"])
    assert chunks[-1]["usage"]["completion_tokens"]


def test_the_guides_curl(words: dict[str, str]) -> None:
    assert json.loads(sample(words, "curl", "sh"))["usage"]["completion_tokens"]


def test_the_guides_use_of_the_openai_sdk(words: dict[str, str]) -> None:
    assert sample(words, "The OpenAI SDK", "python").strip()


@pytest.mark.parametrize("heading", ["Models", "Models of a service"])
def test_m18_the_guides_list_of_models(words: dict[str, str], heading: str) -> None:
    listed = json.loads(sample(words, heading, "sh"))
    assert {"id": "talker", "object": "model", "created": 0, "owned_by": ""} in listed["data"]


def test_readmes_first_calls(cluster: Cluster, words: dict[str, str], tmp_path: Path) -> None:
    """In a folder where the demo has left what they read."""
    remember(cluster, MAAS_URL=words["HOST"], MAAS_KEY=words["API_KEY"], MAAS_MODEL=words["MODEL"])
    env = cluster.kubeconfig.with_name("env")
    (tmp_path / ".cluster").symlink_to(env.parent)
    try:
        answer = json.loads(run(snippet(README, "A first call", "sh"), "sh", tmp_path))
        assert answer["choices"][0]["message"]["content"]
        variables = {"MAAS_URL": words["HOST"], "MAAS_KEY": words["API_KEY"], "MAAS_MODEL": words["MODEL"]}
        assert run(snippet(README, "A first call", "python"), "python", tmp_path, **variables).strip()
    finally:
        env.unlink()
