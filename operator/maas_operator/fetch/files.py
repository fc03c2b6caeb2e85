"""What is fetched: the files of a source, and the manifest of a folder that has them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import BinaryIO, Protocol

from maas_operator.api.fields import Part
from maas_operator.api.sources import MANIFEST
from maas_operator.fetch.errors import FetchError

OTHER_FORMATS = frozenset(
    {".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".onnx_data", ".ot", ".pt", ".pth", ".tflite"}
)
"""What the same weights come in besides, where there are safetensors: the engine loads those."""
SKIPPED_FOLDERS = frozenset({"original", ".git"})
"""Of a repository: weights as their authors' own code loads them, and git's own."""


class Algorithm(StrEnum):
    """How a checksum is made."""

    SHA256 = "sha256"
    GIT = "git"
    """SHA-1 of a git blob, which hubs have for small files."""
    ETAG = "etag"
    """MD5, or of an upload in parts the MD5 of the parts' MD5s: what S3 keeps."""


class RemoteFile(Part):
    """A file of a source."""

    path: str
    """Relative to the source, with slashes."""
    size: int
    """Bytes."""
    algorithm: Algorithm
    checksum: str


class Manifest(Part):
    """What is in a folder; the plan of one that is being filled."""

    source: str
    revision: str
    """The commit of a hub; empty where a source has none."""
    files: tuple[RemoteFile, ...]
    fetched_at: str = ""
    """RFC 3339; empty in a plan."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source has."""

    revision: str
    files: tuple[RemoteFile, ...]


class Origin(Protocol):
    """A source that can be fetched from. Both methods raise FetchError, and PassingError for what may work later."""

    def listing(self, revision: str) -> Listing:
        """What there is: of a revision that an earlier listing told, or where that is empty, of the one asked for."""

    def append(self, file: RemoteFile, to: BinaryIO, at: int) -> None:
        """Write the file from this byte on."""


def wanted(files: Iterable[RemoteFile]) -> tuple[RemoteFile, ...]:
    """The files that an engine needs. Raises FetchError where there are none, or one would lie outside the folder."""
    everything = sorted(files, key=lambda file: file.path)
    for file in everything:
        _refuse_outside(file.path)
    tensors = any(file.path.endswith(".safetensors") and "/" not in file.path for file in everything)
    left = [file for file in everything if not _spare(PurePosixPath(file.path), tensors)]
    if not left:
        raise FetchError("the source has no files")
    return tuple(left)


def _spare(path: PurePosixPath, tensors: bool) -> bool:
    if path.parts[0] in SKIPPED_FOLDERS or path.name == MANIFEST:
        return True
    return tensors and path.suffix in OTHER_FORMATS


def _refuse_outside(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise FetchError(f"the source has a file {path!r}, which would lie outside the folder: nothing is fetched")
