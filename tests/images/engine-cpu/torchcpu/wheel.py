"""Rewrites a wheel: files left out, files added, its version and its record made to agree."""

import base64
import hashlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

LOCAL_VERSION = "+cpu"
# Headers, tests and helpers: nothing of them is needed at run time.
DROPPED_FOLDERS = ("torch/include/", "torch/test/", "torch/share/", "torch/bin/protoc", "torch/lib/libshm_windows/")
DATE = (2026, 1, 1, 0, 0, 0)


class WheelWriter:
    """A wheel being written, together with its RECORD."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._record: list[str] = []

    def add(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add one file."""
        entry = zipfile.ZipInfo(name, DATE)
        entry.external_attr = (0o100000 | mode) << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        self._zip.writestr(entry, content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        self._record.append(f"{name},sha256={digest},{len(content)}")

    def finish(self, record: str) -> None:
        """Write the RECORD under the name `record` and close."""
        self._zip.writestr(record, "\n".join([*self._record, f"{record},,"]) + "\n")
        self._zip.close()


def rewrite(source: Path, folder: Path, dropped: tuple[str, ...], added: Mapping[str, bytes]) -> Path:
    """Write `source` without the files `dropped`, with the files `added`, as <version>+cpu into `folder`."""
    distribution, version, *tags = source.name.split("-")
    new_version = version + LOCAL_VERSION
    old_info, new_info = (f"{distribution}-{v}.dist-info/" for v in (version, new_version))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "-".join([distribution, new_version, *tags])
    writer = WheelWriter(target)
    with zipfile.ZipFile(source) as wheel:
        for entry in wheel.infolist():
            name = entry.filename
            if entry.is_dir() or name in {*dropped, f"{old_info}RECORD"} or name.startswith(DROPPED_FOLDERS):
                continue
            content = wheel.read(name)
            if name == "torch/version.py":
                content = _without_cuda(content, new_version)
            elif name == f"{old_info}METADATA":
                content = _without_cuda_requirements(content, new_version)
            mode = (entry.external_attr >> 16) & 0o777
            writer.add(name.replace(old_info, new_info, 1), content, mode or 0o644)
    for name, content in added.items():
        writer.add(name, content, 0o755)
    writer.finish(f"{new_info}RECORD")
    return target


def _without_cuda(version_py: bytes, version: str) -> bytes:
    content = re.sub(rb"(?m)^cuda(.*)= .*$", rb"cuda\1= None", version_py)
    return re.sub(rb"__version__ = '.*'", f"__version__ = '{version}'".encode(), content)


def _without_cuda_requirements(metadata: bytes, version: str) -> bytes:
    content = re.sub(rb"(?m)^Requires-Dist: (cuda-|nvidia-|triton).*\n", b"", metadata)
    return re.sub(rb"(?m)^Version: .*$", f"Version: {version}".encode(), content, count=1)
