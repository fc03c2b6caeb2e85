"""What goes into an image: its files, the hash of them all, and the names that follow from it."""

import functools
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.images.catalogue import IMAGES, REGISTRY, Image
from tests.images.errors import ImageError

METHOD = "1"  # raised when the way of building changes what comes out, and every image must be built anew
DOCKERFILE = "Dockerfile"
LEFT_OUT = ("__pycache__", ".egg-info", ".pyc")
MODIFIED = 1_767_225_600  # 2026-01-01: one time for every file, so that the same content is the same layer


def files(image: Image) -> Iterator[Path]:
    """The files that go into the image, relative to its folder, sorted."""
    found = {Path(DOCKERFILE)}
    for name in image.inputs:
        path = image.folder / name
        if path.is_dir():
            found.update(file.relative_to(image.folder) for file in path.rglob("*") if file.is_file())
        elif path.is_file():
            found.add(Path(name))
        else:
            raise ImageError(f"{path} is missing: the image {image.name} is built from it")
    return iter(sorted(path for path in found if not any(part.endswith(LEFT_OUT) for part in path.parts)))


@functools.cache
def fingerprint(image: Image) -> str:
    """Sixteen hex digits that change when anything changes that goes into the image or the images below it.

    Read once in a process: what it builds and what it calls that by agree, also while files are being edited.
    """
    return read_fingerprint(image, image.folder)


def read_fingerprint(image: Image, folder: Path) -> str:
    """The fingerprint of the image if its files were those in `folder`."""
    below = fingerprint(IMAGES[image.base]) if image.base else ""
    digest = hashlib.sha256(repr((METHOD, image.name, image.tag, below)).encode())
    for path in files(image):
        content = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        digest.update(repr((str(path), os.access(folder / path, os.X_OK), content)).encode())
    return digest.hexdigest()[:16]


def reference(name: str) -> str:
    """The image's name as manifests must have it, and as its archive carries it into a node."""
    image = IMAGES[name]
    return f"{REGISTRY}/{name}:{image.tag or fingerprint(image)}"


def stage(image: Image, folder: Path, expected: str) -> None:
    """Copy the image's files into `folder`; raises ImageError unless what was copied has the fingerprint `expected`."""
    for path in files(image):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image.folder / path, folder / path)
    if read_fingerprint(image, folder) != expected:
        raise ImageError(f"the files of the image {image.name} changed while they were read: build again")
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (MODIFIED, MODIFIED))
