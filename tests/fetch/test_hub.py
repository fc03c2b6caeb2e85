"""Fetching from a hub, by huggingface_hub's own client: whole, verified, and on from where it was cut off."""

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from maas_operator.fetch import fetching
from maas_operator.fetch.cache import Cache
from maas_operator.fetch.errors import FetchError, PassingError
from tests.fetch.conftest import MIB, WEIGHTS
from tests.fetch.hub import COMMIT, Hub
from tests.fetch.within import CALLED, a_fetch

SOURCE = "hf://acme/tiny"
FOLDER = "shared/hf/acme/tiny@main"
NEEDED = ["config.json", WEIGHTS, "tokenizer.json"]


def whole(cache: Path, model: Path, folder: str = FOLDER) -> dict[str, object]:
    """The manifest of a folder that has all that is needed, byte for byte, and nothing else."""
    found = cache / folder
    files = sorted(path.name for path in found.rglob("*") if path.is_file() and not path.name.startswith("."))
    assert files == NEEDED
    assert all((found / name).read_bytes() == (model / name).read_bytes() for name in NEEDED)
    assert not list((cache / ".partial").rglob("*.maas-part"))
    manifest: dict[str, object] = json.loads((found / ".maas-manifest.json").read_text())
    return manifest


@pytest.mark.parametrize(
    ("source", "folder", "revision"),
    [
        (SOURCE, FOLDER, COMMIT),
        ("hf://acme/tiny@v1", "shared/hf/acme/tiny@v1", COMMIT),
        ("modelscope://acme/tiny", "shared/modelscope/acme/tiny@master", "master"),
    ],
)
def test_what_an_engine_needs_is_fetched_and_marked(
    hub: Hub, model: Path, cache: Path, source: str, folder: str, revision: str
) -> None:
    a_fetch(source, cache).run()
    manifest = whole(cache, model, folder)
    assert manifest["revision"] == revision
    assert manifest["source"] == source
    assert {name for name, _ in hub.asked} == set(NEEDED)


def test_what_is_there_is_not_fetched_again_and_nobody_is_asked(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_fetch(SOURCE, cache).run()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    a_fetch(SOURCE, cache).run()
    a_fetch(SOURCE, cache).check()


@pytest.mark.parametrize("source", [SOURCE, "modelscope://acme/tiny"])
def test_a_connection_that_is_cut_goes_on_where_it_ended(hub: Hub, model: Path, cache: Path, source: str) -> None:
    hub.cut_after[WEIGHTS] = 15 * MIB
    a_fetch(source, cache).run()
    folder = FOLDER if source == SOURCE else "shared/modelscope/acme/tiny@master"
    whole(cache, model, folder)
    assert [at for name, at in hub.asked if name == WEIGHTS] == [0, 10 * MIB], "the rest alone was asked for"


def test_a_hub_that_is_away_is_tried_again_for_a_while(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(fetching, "PAUSES", (0.01,))
    with pytest.raises(PassingError, match=r"http://127\.0\.0\.1:1 cannot be reached: ConnectError"):
        a_fetch(SOURCE, cache).run()


def test_a_file_that_is_not_what_the_hub_says_is_fetched_twice_and_never_loaded(hub: Hub, cache: Path) -> None:
    hub.lies.add(WEIGHTS)
    with pytest.raises(FetchError, match=rf"the sha256 of {WEIGHTS} is .*; it was fetched twice"):
        a_fetch(SOURCE, cache).run()
    assert not (cache / FOLDER).exists()
    assert [name for name, _ in hub.asked].count(WEIGHTS) == 2


def test_a_small_file_is_held_to_gits_own_checksum(hub: Hub, cache: Path) -> None:
    hub.lies.add("config.json")
    with pytest.raises(FetchError, match=r"the git of config\.json is "):
        a_fetch(SOURCE, cache).run()


@pytest.mark.parametrize(
    ("source", "variable", "branch"),
    [(SOURCE, "HF_TOKEN", "main"), ("modelscope://acme/tiny", "MODELSCOPE_API_TOKEN", "master")],
)
def test_a_gated_model_needs_a_token_and_says_so(
    hub: Hub, model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, source: str, variable: str, branch: str
) -> None:
    hub.token = "hf_secretsecret"
    with pytest.raises(FetchError, match=rf"{variable}.*spec\.model\.credentials"):
        a_fetch(source, cache).run()
    assert not hub.asked
    monkeypatch.setenv(variable, hub.token)
    a_fetch(source, cache, "team-a").run()
    whole(cache, model, f"accounts/team-a/{source.partition(':')[0]}/acme/tiny@{branch}")
    assert not (cache / "shared").exists(), "what needed a token is for its account alone"


def test_a_token_that_may_not_is_told_from_none(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_secretsecret"
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "another")
    with pytest.raises(FetchError, match="refuses acme/tiny with the token given: HTTP 401") as refused:
        a_fetch("modelscope://acme/tiny", cache).run()
    assert "another" not in str(refused.value)


def test_a_repository_that_is_not_there_is_said_to_be_missing(hub: Hub, cache: Path) -> None:
    with pytest.raises(FetchError, match="has no acme/none, or does not show it without a token"):
        a_fetch("hf://acme/none", cache).run()


def test_offline_what_is_missing_is_named(cache: Path) -> None:
    with pytest.raises(FetchError) as refused:
        a_fetch(SOURCE, cache).check()
    assert str(refused.value).startswith(f"{CALLED} does not hold {FOLDER} (of {SOURCE}), and nothing is fetched here")


def test_a_damaged_folder_is_mended_by_what_is_missing_alone(hub: Hub, model: Path, cache: Path) -> None:
    a_fetch(SOURCE, cache).run()
    (cache / FOLDER / "config.json").write_text("{")
    hub.asked.clear()
    a_fetch(SOURCE, cache).run()
    whole(cache, model)
    assert [name for name, _ in hub.asked] == ["config.json"]


@pytest.fixture
def small(cache: Path) -> Iterator[Path]:
    """A cache on a file system of 12 MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(cache)], check=True)
    try:
        yield cache
    finally:
        subprocess.run(["umount", "--lazy", str(cache)], check=True)


def test_too_little_room_is_told_before_a_byte_comes_and_what_lies_there(hub: Hub, small: Path) -> None:
    other = small / "shared/hf/acme/older@v1"
    other.mkdir(parents=True)
    (other / "weights").write_bytes(bytes(3 * MIB))
    (other / ".maas-manifest.json").write_text("{}")
    with pytest.raises(FetchError) as refused:
        a_fetch(SOURCE, small).run()
    words = str(refused.value)
    assert words.startswith(f"24.1 MiB more are needed, and {CALLED} has 9.0 MiB free")
    assert "; it holds shared/hf/acme/older@v1 (3.0 MiB), " in words
    assert words.endswith("remove what no service uses, or make it larger")
    assert not hub.asked


def test_a_disk_that_somebody_else_fills_meanwhile_ends_the_fetch(
    hub: Hub, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cache, "need", lambda *_: None)
    with pytest.raises(OSError, match="No space left") as full:
        a_fetch(SOURCE, small).run()
    assert full.value.errno == errno.ENOSPC
    assert not (small / FOLDER).exists()


def test_a_folder_of_someone_else_is_told_with_the_command_that_helps(cache: Path) -> None:
    """Root may write everywhere: it becomes the user as whom weights are fetched, in a process of its own."""
    cache.chmod(0o755)
    if (child := os.fork()) == 0:
        words = "it could be written"
        os.chdir(cache)
        os.setgroups([])
        os.setresgid(65532, 65532, 65532)
        os.setresuid(65532, 65532, 65532)
        try:
            Cache(Path(), CALLED).writable()
        except FetchError as error:
            words = str(error)
        expected = f"{CALLED} cannot be written: Permission denied. It belongs to 0:0, and weights are fetched as 65532"
        os._exit(0 if words.startswith(expected) and words.endswith("(chown 65532:65532)") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
