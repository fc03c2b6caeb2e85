"""Images made of one binary, and the names by which containerd keeps them."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.cluster.images import full_name, names_in, write_archive


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("tiny", "docker.io/library/tiny:latest"),
        ("tiny:1", "docker.io/library/tiny:1"),
        ("team/tiny:1", "docker.io/team/tiny:1"),
        ("localhost/tiny", "localhost/tiny:latest"),
        ("registry.example:5000/tiny", "registry.example:5000/tiny:latest"),
        ("example.com/tiny@sha256:ab", "example.com/tiny@sha256:ab"),
    ],
)
def test_a_short_name_means_what_it_means_in_a_pod(name: str, full: str) -> None:
    assert full_name(name) == full


def test_an_archive_holds_the_binary_as_its_entrypoint(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    write_archive(tmp_path / "image.tar", "localhost/program:1", program)
    with tarfile.open(tmp_path / "image.tar") as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        manifest = json.load(files["manifest.json"])  # type: ignore[arg-type]
        config = json.load(files["config.json"])  # type: ignore[arg-type]
        with tarfile.open(fileobj=files["layer.tar"]) as layer:
            member = layer.getmember("program")
    assert manifest[0]["RepoTags"] == ["localhost/program:1"]
    assert config["config"]["Entrypoint"] == ["/program"]
    assert member.mode == 0o755


def test_an_archive_s_own_names_are_found(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    write_archive(tmp_path / "image.tar", "tiny:1", program)
    assert names_in(tmp_path / "image.tar") == {"docker.io/library/tiny:1"}


def test_an_oci_archive_s_own_name_is_found(tmp_path: Path) -> None:
    index = tmp_path / "index.json"
    index.write_text(
        json.dumps({"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "localhost/tiny:1"}}, {}]})
    )
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        archive.add(index, "./index.json")
    assert "localhost/tiny:1" in names_in(tmp_path / "image.tar")
