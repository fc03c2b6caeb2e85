"""Envoy's files: written beside and moved into place, and only where their content changed."""

import os
from collections.abc import Mapping
from pathlib import Path

PRIVATE = 0o600
"""The files hold digests of keys and the secrets that sign tokens."""


class Files:
    """A folder of files that this process alone writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, bytes] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, contents: Mapping[str, bytes]) -> list[str]:
        """Write those whose content is another than the last. In order; the names that were written. Raises OSError."""
        changed = [name for name, content in contents.items() if self._written.get(name) != content]
        for name in changed:
            self._write(name, contents[name])
        return changed

    def _write(self, name: str, content: bytes) -> None:
        beside = self.folder / f".{name}.new"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        beside.rename(self.folder / name)
        self._written[name] = content
