"""Whether a file is what its source says."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from maas_operator.fetch.files import Algorithm, RemoteFile

PIECE = 4 * 1024 * 1024
"""Bytes that are read at a time."""
MIB = 1024 * 1024


def fault(path: Path, file: RemoteFile) -> str | None:
    """What is wrong with a file; None: nothing. Raises OSError."""
    size = path.stat().st_size
    if size != file.size:
        return f"{file.path} has {size} bytes, and its source says {file.size}"
    found = {Algorithm.SHA256: _sha256, Algorithm.GIT: _git, Algorithm.ETAG: _etag}[file.algorithm](path, file)
    if found == file.checksum:
        return None
    hint = "" if file.algorithm != Algorithm.ETAG else (
        "; where the ETag is no checksum (SSE-KMS, parts of no whole MiB), put a SHA256SUMS beside the files"
    )  # fmt: skip
    return f"the {file.algorithm} of {file.path} is {found}, and its source says {file.checksum}{hint}"


def _sha256(path: Path, _: RemoteFile) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def _git(path: Path, file: RemoteFile) -> str:
    digest = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def _etag(path: Path, file: RemoteFile) -> str:
    """The ETag that the file would have. Of an upload in parts, how large they were is not told: every whole number of
    MiB that gives so many is tried; there are few."""
    _, dash, count = file.checksum.partition("-")
    if not dash:
        return _of_parts(path, [file.size])[0]
    number, found = int(count), ""
    for part in part_sizes(file.size, number):
        parts = [part] * (number - 1) + [file.size - part * (number - 1)]
        md5s = b"".join(bytes.fromhex(each) for each in _of_parts(path, parts))
        found = f"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-{number}"
        if found == file.checksum:
            break
    return found or "unknown"


def part_sizes(size: int, parts: int) -> list[int]:
    """The sizes in bytes, each a whole number of MiB, that so many parts may have had; powers of two first."""
    if parts == 1:
        return [size]
    smallest, largest = -(-size // (parts * MIB)), (size - 1) // ((parts - 1) * MIB)
    found = range(max(smallest, 1), largest + 1)
    return [each * MIB for each in sorted(found, key=lambda mib: (mib & (mib - 1) != 0, mib))]


def _of_parts(path: Path, parts: list[int]) -> list[str]:
    found = []
    with path.open("rb") as file:
        for part in parts:
            digest, left = hashlib.md5(usedforsecurity=False), part
            while left and (piece := file.read(min(PIECE, left))):
                digest.update(piece)
                left -= len(piece)
            found.append(digest.hexdigest())
    return found


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
