"""An image is built anew exactly when something changes that goes into it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.images.catalogue import Image
from tests.images.errors import ImageError
from tests.images.inputs import files, read_fingerprint, stage


def fingerprint(image: Image) -> str:
    return read_fingerprint(image, image.folder)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    folder = tmp_path / "source"
    (folder / "package").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "pins.txt").write_text("a==1\n")
    (folder / "package" / "main.py").write_text("print()\n")
    return Image("one", usual_seconds=1, tag="1", folder=folder, inputs=("pins.txt", "package"))


@pytest.mark.parametrize("changed", ["Dockerfile", "pins.txt", "package/main.py"])
def test_a_changed_file_changes_the_fingerprint(image: Image, changed: str) -> None:
    before = fingerprint(image)
    (image.folder / changed).write_text("another\n")
    assert fingerprint(image) != before


def test_a_new_a_renamed_and_an_executable_file_change_the_fingerprint(image: Image) -> None:
    seen = {fingerprint(image)}
    fresh = image.folder / "package" / "fresh.py"
    fresh.touch()
    seen.add(fingerprint(image))
    renamed = fresh.rename(fresh.with_name("renamed.py"))
    seen.add(fingerprint(image))
    renamed.chmod(0o755)
    seen.add(fingerprint(image))
    assert len(seen) == 4


def test_another_tag_or_base_changes_the_fingerprint(image: Image) -> None:
    assert (
        len({fingerprint(image), fingerprint(replace(image, tag="2")), fingerprint(replace(image, base="operator"))})
        == 3
    )


def test_what_python_and_pip_leave_behind_and_what_is_no_input_changes_nothing(image: Image) -> None:
    before = fingerprint(image)
    for name in ("package/__pycache__/main.pyc", "package/one.egg-info/PKG-INFO", "README.md"):
        (image.folder / name).parent.mkdir(exist_ok=True)
        (image.folder / name).write_text("noise")
    assert fingerprint(image) == before
    assert [str(path) for path in files(image)] == ["Dockerfile", "package/main.py", "pins.txt"]


def test_a_missing_input_is_named(image: Image) -> None:
    (image.folder / "pins.txt").unlink()
    with pytest.raises(ImageError, match=r"pins\.txt is missing: the image one is built from it"):
        fingerprint(image)


def test_staged_files_are_the_same_and_equally_old(image: Image, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    stage(image, context, fingerprint(image))
    assert fingerprint(replace(image, folder=context)) == fingerprint(image)
    assert len({path.stat().st_mtime for path in context.rglob("*")}) == 1


def test_files_that_change_while_they_are_read_are_no_image(image: Image, tmp_path: Path) -> None:
    before = fingerprint(image)
    (image.folder / "pins.txt").write_text("a==2\n")
    with pytest.raises(ImageError, match="changed while they were read: build again"):
        stage(image, tmp_path, before)
