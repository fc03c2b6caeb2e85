"""The archives in the cache: found there, or built, once."""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.build import cache_directory
from tests.cluster.progress import say
from tests.images.catalogue import IMAGES, Image
from tests.images.inputs import fingerprint, reference, stage
from tests.images.network import mounts
from tests.images.prerequisites import ensure
from tests.images.rootfs import make_rootfs
from tests.images.storage import Storage, own_name

ROOT = "base-python"
KEPT = 3  # archives of one image, the newest; an older one may still be read for an hour
KEPT_SECONDS = 3600


def images_directory() -> Path:
    """Archives live here: ${MAAS_CACHE:-${XDG_CACHE_HOME:-~/.cache}/maas-operator}/images."""
    return cache_directory().with_name("images")


def archive(name: str) -> Path:
    """Return the path of the image's OCI archive; if the cache lacks it, build it, and what it stands on.

    Raises KeyError for an unknown name, PrerequisitesError, ImageError.
    """
    image = IMAGES[name]
    path = archive_path(image)
    if not path.exists():
        ensure(image)
        images_directory().mkdir(parents=True, exist_ok=True)
        with _locked(image):
            if not path.exists():
                _make(image, path)
                _remove_old(image)
    return path


def archive_path(image: Image) -> Path:
    """Where the archive of the image is, or will be: other inputs, another path."""
    return images_directory() / f"{image.name}-{fingerprint(image)}.tar"


@contextmanager
def _locked(image: Image) -> Iterator[None]:
    with (images_directory() / f"{image.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{image.name}: waiting for another process that builds it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(image: Image, path: Path) -> None:
    storage = Storage(images_directory() / "storage")
    log = path.with_suffix(".log")
    log.unlink(missing_ok=True)
    expected = fingerprint(image)
    own, name = own_name(image, expected), reference(image.name)
    base = _base(image, storage, log)
    with tempfile.TemporaryDirectory(prefix=f".{image.name}-", dir=path.parent) as folder:
        work = Path(folder)
        context = work / "context"
        context.mkdir()
        stage(image, context, expected)
        if not base:
            make_rootfs(context, _sources(), log)
        storage.build(image, own, base, context, mounts(work, _sources()), log)
        storage.save(image, own, work / path.name, name, log)
        (work / path.name).rename(path)
    storage.forget_others(own)


def _base(image: Image, storage: Storage, log: Path) -> str:
    """The name in the storage of what the image stands on, made if need be; "" for an image that stands on nothing."""
    if not image.base:
        return ""
    base = IMAGES[image.base]
    own = own_name(base, fingerprint(base))
    path = archive(base.name)
    if not storage.has(own):
        storage.load(own, path, reference(base.name), log)
    return own


def _sources() -> Path:
    """The apt sources with which base-python was made, beside its archive."""
    return archive_path(IMAGES[ROOT]).with_suffix(".sources")


def _remove_old(image: Image) -> None:
    archives = sorted(
        images_directory().glob(f"{image.name}-{'[0-9a-f]' * 16}.tar"), key=lambda path: path.stat().st_mtime
    )
    for path in archives[:-KEPT]:
        if time.time() - path.stat().st_mtime > KEPT_SECONDS:
            path.with_suffix(".log").unlink(missing_ok=True)
            shutil.rmtree(path.with_suffix(".sources"), ignore_errors=True)
            path.unlink()
