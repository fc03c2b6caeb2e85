"""What the API server's audit log says of one user's writes."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

NO_WRITES = frozenset({"leases", "selfsubjectaccessreviews"})
WRITES = frozenset({"create", "update", "patch", "delete"})


@dataclass(frozen=True)
class Write:
    """One completed write. `at`: when the API server received it, in seconds since the epoch."""

    user: str
    verb: str
    resource: str
    name: str
    at: float
    status: int


class Audit:
    """Reads the log from where the last reading ended."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = log.stat().st_size if log.exists() else 0

    def writes(self, user: str | None = None) -> list[Write]:
        """Writes since the last call, but for leases, and for reviews of permissions, which store nothing."""
        with self._log.open("rb") as log:
            log.seek(self._offset)
            data = log.read()
        whole = data.rpartition(b"\n")[0]
        self._offset += len(whole) + 1 if whole else 0
        found = [_write(json.loads(line)) for line in whole.splitlines() if line]
        return [each for each in found if each and user in {None, each.user} and each.resource not in NO_WRITES]


def _write(entry: dict[str, object]) -> Write | None:
    if entry.get("stage") != "ResponseComplete" or entry["verb"] not in WRITES:
        return None
    target, user, answer = entry.get("objectRef", {}), entry["user"], entry.get("responseStatus", {})
    assert isinstance(target, dict) and isinstance(user, dict) and isinstance(answer, dict)
    sub = f"/{target['subresource']}" if target.get("subresource") else ""
    return Write(
        str(user["username"]),
        str(entry["verb"]),
        f"{target.get('resource')}{sub}",
        str(target.get("name", "")),
        datetime.fromisoformat(str(entry["requestReceivedTimestamp"])).timestamp(),
        int(answer.get("code", 0)),
    )


def by_resource(writes: list[Write]) -> dict[str, int]:
    """How many writes to which resource."""
    return dict(sorted(Counter(write.resource for write in writes).items()))
