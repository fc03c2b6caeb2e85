"""What a cluster was asked to be, remembered in its directory, so that another `up` can tell the same from another."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.cluster.errors import ClusterError


@dataclass(frozen=True)
class Settings:
    """`flags`: more flags for a control plane process, by its name: {"kube-apiserver": ["--v=2"]}."""

    number: int
    profile: str
    nodes: int = 1
    audit: bool = False
    flags: Mapping[str, list[str]] = field(default_factory=dict)

    def remember(self, file: Path) -> None:
        """Write the settings; raises ClusterError where the directory holds a cluster of other settings."""
        before = recall(file)
        if before is not None and before != self:
            raise ClusterError(f"{file.parent} holds a cluster of other settings ({before}): `down` it first")
        file.write_text(json.dumps(asdict(self), indent=1))


def recall(file: Path) -> Settings | None:
    """The settings of the cluster in the file's directory; None where there is none."""
    try:
        return Settings(**json.loads(file.read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
