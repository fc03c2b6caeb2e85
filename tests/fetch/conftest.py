"""What a fetch works on: a hub with a model, and a cache."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fetch.hub import Hub, served

WEIGHTS = "model.safetensors"
MIB = 1024 * 1024


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A repository: 24 MiB of weights (10 are written at a time), small files, what an engine does not need."""
    folder = tmp_path / "repository"
    (folder / "original").mkdir(parents=True)
    noise = random.Random(6)
    (folder / WEIGHTS).write_bytes(noise.randbytes(24 * MIB))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_bytes(noise.randbytes(100_000))
    (folder / "pytorch_model.bin").write_bytes(noise.randbytes(200_000))
    (folder / "original" / "consolidated.00.pth").write_bytes(noise.randbytes(200_000))
    return folder


@pytest.fixture
def hub(model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with served(model) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
        yield hub


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the machine's own reach a hub."""
    for name in [each for each in os.environ if each.startswith(("HF_", "MODELSCOPE_", "AWS_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder
