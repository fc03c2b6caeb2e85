"""A cache: folders that were fetched whole, folders that are being filled, and a lock for each.

shared/hf/OWNER/NAME@REVISION/    fetched whole: its manifest is in it
accounts/ACCOUNT/...              the same, of what was fetched with an account's own credentials
.partial/shared/hf/...            being filled; renamed when all of it is there and verified
.locks/DIGEST                     held by the one that fills it; gone with its process, however that ends
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from maas_operator.api.fetching import GIB
from maas_operator.api.fields import digest
from maas_operator.api.sources import MANIFEST
from maas_operator.fetch.errors import FetchError
from maas_operator.fetch.files import Manifest, RemoteFile

PARTIAL, LOCKS = ".partial", ".locks"
PART = ".maas-part"
"""Suffix of a file that is not whole yet."""
PLAN = ".maas-plan.json"
"""What a folder that is being filled will have."""
TOLD = 12
"""Folders that a message on free space names, the largest first."""
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS})


class Cache:
    """The cache at a folder. called: what people call it, with the node where it is one's own."""

    def __init__(self, root: Path, called: str) -> None:
        self.root = root
        self.called = called

    def final(self, folder: str) -> Path:
        """Where a folder lies once it is whole."""
        return self.root / folder

    def partial(self, folder: str) -> Path:
        """Where it is filled."""
        return self.root / PARTIAL / folder

    def whole(self, folder: str) -> Manifest | None:
        """The manifest of a folder that is there, every file in the size that it should have."""
        final = self.final(folder)
        manifest = _read(final / MANIFEST)
        if manifest is None or any(_size(final / file.path) != file.size for file in manifest.files):
            return None
        return manifest

    def plan(self, folder: str) -> Manifest | None:
        """What a folder that is being filled will have."""
        return _read(self.partial(folder) / PLAN)

    def begin(self, folder: str, plan: Manifest) -> Path:
        """The folder to fill, with what an earlier attempt at the same files has left in it. Raises OSError."""
        partial, final = self.partial(folder), self.final(folder)
        if self.plan(folder) != plan:
            shutil.rmtree(partial, ignore_errors=True)
        if not partial.exists() and final.exists():
            # Damaged: what is left of it is used as far as its size is right.
            partial.parent.mkdir(parents=True, exist_ok=True)
            final.rename(partial)
            (partial / MANIFEST).unlink(missing_ok=True)
        partial.mkdir(parents=True, exist_ok=True)
        _write(partial / PLAN, plan)
        return partial

    def done(self, folder: str, files: tuple[RemoteFile, ...]) -> int:
        """Bytes that are there of a folder that is being filled."""
        partial = self.partial(folder)
        return sum(min(present(partial, file), file.size) for file in files)

    def finish(self, folder: str, manifest: Manifest) -> None:
        """Mark a folder as whole: from now on engines load from it. Raises OSError."""
        partial, final = self.partial(folder), self.final(folder)
        _write(partial / MANIFEST, manifest)
        (partial / PLAN).unlink()
        _sync(partial)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.rename(final)
        except OSError:
            # Where the file system's locks hold nobody back, another may have finished it meanwhile.
            if self.whole(folder) is None:
                raise
        _sync(final.parent)

    def need(self, size: int) -> None:
        """Raises FetchError where there is no room for so many bytes more: what is missing, and what lies there."""
        free = shutil.disk_usage(self.root).free
        if size > free:
            raise FetchError(f"{gib(size)} more are needed, and {self.called} has {gib(free)} free{self._contents()}")

    def writable(self) -> None:
        """Raises FetchError where nothing can be written here."""
        try:
            (self.root / LOCKS).mkdir(exist_ok=True)
            if not os.access(self.root / LOCKS, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            owner = self.root.stat()
            raise FetchError(
                f"{self.called} cannot be written: {error.strerror}. It belongs to {owner.st_uid}:{owner.st_gid}, and "
                f"weights are fetched as {os.getuid()}:{os.getgid()}: give it to them (chown {os.getuid()}:"
                f"{os.getgid()})"
            ) from error

    @contextmanager
    def locked(self, folder: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the folder's lock. waiting: called again and again while another has it; it may raise to give up, and
        takes the time between two tries. Raises FetchError where the file system has no locks."""
        with (self.root / LOCKS / digest(folder)).open("a") as file:
            while not self._lock(file.fileno()):
                waiting()
            yield

    def _lock(self, file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _NO_LOCKS:
                raise FetchError(
                    f"the file system of {self.called} has no locks ({error.strerror}): mount it with them"
                ) from error
            raise
        return True

    def _contents(self) -> str:
        """What lies here, the largest first, as a clause of a message."""
        found = {str(path.parent.relative_to(self.root)): _of(path.parent) for path in self.root.rglob(MANIFEST)}
        found |= {str(path.parent.relative_to(self.root)): _of(path.parent) for path in self.root.rglob(PLAN)}
        if not found:
            return "; it holds no weights: what fills the disk is something else"
        largest = sorted(found.items(), key=lambda each: -each[1])
        told = ", ".join(f"{folder} ({gib(size)})" for folder, size in largest[:TOLD])
        more = f" and {len(largest) - TOLD} more" if len(largest) > TOLD else ""
        return f"; it holds {told}{more}: remove what no service uses, or make it larger"


def gib(size: int) -> str:
    """Bytes for people."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / 1024**2:.1f} MiB"


def present(folder: Path, file: RemoteFile) -> int:
    """Bytes of a file that are there, whole or not."""
    whole = _size(folder / file.path)
    return file.size if whole == file.size else max(_size(folder / f"{file.path}{PART}"), 0)


def _size(path: Path) -> int:
    """A file's size; -1 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _of(folder: Path) -> int:
    return sum(_size(path) for path in folder.rglob("*") if path.is_file())


def _read(path: Path) -> Manifest | None:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, manifest: Manifest) -> None:
    new = path.with_name(f"{path.name}.new")
    with new.open("w") as file:
        file.write(manifest.model_dump_json(by_alias=True, indent=1))
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def _sync(folder: Path) -> None:
    """Have a folder's entries outlast a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
