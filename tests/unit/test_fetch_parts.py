"""The pure parts of fetching: sources and their folders, which files are needed, how long it takes, checksums."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.fetching import GIB, FetchProgress, Step
from maas_operator.api.sources import Scheme, Source, read
from maas_operator.fetch.checksums import fault, part_sizes
from maas_operator.fetch.errors import FetchError
from maas_operator.fetch.files import Algorithm, RemoteFile, wanted
from maas_operator.fetch.pace import Pace

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("text", "source", "folder"),
    [
        ("hf://acme/tiny", Source(Scheme.HUGGING_FACE, "acme/tiny"), "hf/acme/tiny@main"),
        ("hf://acme/tiny@v1", Source(Scheme.HUGGING_FACE, "acme/tiny", "v1"), "hf/acme/tiny@v1"),
        ("modelscope://acme/tiny", Source(Scheme.MODEL_SCOPE, "acme/tiny"), "modelscope/acme/tiny@master"),
        ("s3://weights/a/b/", Source(Scheme.S3, "weights", "a/b"), "s3/weights/a-b@f5effa31"),
        ("s3://weights/a-b", Source(Scheme.S3, "weights", "a-b"), "s3/weights/a-b@4a3ef97a"),
        ("s3://weights", Source(Scheme.S3, "weights"), "s3/weights/@12ae32cb"),
    ],
)
def test_each_source_has_a_folder_of_its_own(text: str, source: Source, folder: str) -> None:
    assert read(text) == source
    assert source.folder() == f"shared/{folder}"
    assert source.folder("team-a") == f"accounts/team-a/{folder}"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("oci://registry.example/weights:1", Source(Scheme.IMAGE, "registry.example/weights:1")),
        ("pvc://claim/some/folder", Source(Scheme.CLAIM, "claim", "some/folder")),
    ],
)
def test_what_is_mounted_is_not_fetched(text: str, source: Source) -> None:
    assert read(text) == source
    assert not source.fetched


def test_what_is_no_source_is_refused() -> None:
    with pytest.raises(ValueError, match="ftp://x is no source: it begins with none of hf://, modelscope://, s3://"):
        read("ftp://x")


def remote(path: str, size: int = 1) -> RemoteFile:
    return RemoteFile(path=path, size=size, algorithm=Algorithm.SHA256, checksum="")


def names(*paths: str) -> list[str]:
    return [file.path for file in wanted([remote(path) for path in paths])]


def test_of_several_formats_the_one_that_engines_load_is_fetched() -> None:
    everything = [
        "config.json",
        "model.safetensors",
        "pytorch_model.bin",
        "onnx/model.onnx",
        "m.gguf",
        "original/c.pth",
    ]
    assert names(*everything) == ["config.json", "model.safetensors"]
    assert names("config.json", "pytorch_model.bin", "original/c.pth") == ["config.json", "pytorch_model.bin"]
    assert names("consolidated.safetensors", "params.json") == ["consolidated.safetensors", "params.json"]


@pytest.mark.parametrize("path", ["../evil", "a/../../evil", "/etc/passwd", "a\\b", ""])
def test_a_file_that_would_lie_outside_the_folder_is_refused(path: str) -> None:
    with pytest.raises(FetchError, match="outside"):
        names("config.json", path)


def test_a_source_without_files_is_refused() -> None:
    with pytest.raises(FetchError, match="has no files"):
        names("original/c.pth")


def test_the_time_left_follows_the_last_minute_alone() -> None:
    pace = Pace()
    assert pace.seconds_left(100) is None
    pace.note(0.0, 0)
    pace.note(100.0, 1000)
    pace.note(130.0, 1030)
    pace.note(160.0, 1060)
    assert pace.seconds_left(1120) == 60
    pace.note(300.0, 1060)
    pace.note(301.0, 1060)
    assert pace.seconds_left(1120) is None, "nothing came in the last minute"


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (FetchProgress(step=Step.LISTING), "asking the source what there is"),
        (FetchProgress(step=Step.WAITING), "another pod is at it"),
        (FetchProgress(step=Step.WAITING, done=GIB, total=2 * GIB), "another pod is at it: 1.0 of 2.0 GiB"),
        (FetchProgress(step=Step.FETCHING, done=GIB, total=2 * GIB), "1.0 of 2.0 GiB"),
        (
            FetchProgress(step=Step.FETCHING, done=int(12.4 * GIB), total=int(27.5 * GIB), seconds_left=150),
            "12.4 of 27.5 GiB, 3 min left",
        ),
        (FetchProgress(step=Step.FETCHING, done=GIB, total=2 * GIB, seconds_left=42), "1.0 of 2.0 GiB, 42 s left"),
        (
            FetchProgress(step=Step.FETCHING, done=GIB, total=2 * GIB, seconds_left=9000),
            "1.0 of 2.0 GiB, 2 h 30 min left",
        ),
        (FetchProgress(step=Step.FETCHING, done=MIB, total=GIB - 1), "1.0 of 1024.0 MiB"),
        (FetchProgress(step=Step.FINISHING, done=GIB, total=GIB), "1.0 of 1.0 GiB, being verified"),
    ],
)
def test_progress_in_words(progress: FetchProgress, words: str) -> None:
    assert progress.words == words


@given(size=st.integers(1, 4 * 1024 * MIB), part=st.integers(1, 512))
def test_the_size_of_an_uploads_parts_is_among_those_that_are_tried(size: int, part: int) -> None:
    parts = -(-size // (part * MIB))
    tried = part_sizes(size, parts)
    assert part * MIB in tried or parts == 1
    assert all(-(-size // each) == parts for each in tried)


def test_an_upload_in_parts_is_held_to_its_etag(tmp_path: Path) -> None:
    content = bytes(range(256)) * (10 * MIB // 256)
    path = tmp_path / "weights"
    path.write_bytes(content)
    md5s = b"".join(
        hashlib.md5(content[at : at + 3 * MIB], usedforsecurity=False).digest() for at in range(0, 10 * MIB, 3 * MIB)
    )
    etag = f"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-4"
    file = RemoteFile(path="weights", size=len(content), algorithm=Algorithm.ETAG, checksum=etag)
    assert fault(path, file) is None
    path.write_bytes(b"x" + content[1:])
    assert "put a SHA256SUMS beside the files" in (fault(path, file) or "")
    path.write_bytes(content[:-1])
    assert "has 10485759 bytes, and its source says 10485760" in (fault(path, file) or "")
