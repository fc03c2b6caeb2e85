"""What was last known of the cluster, kept for an agent that starts while the API server is away."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from maas_operator.gateway.facts import Facts
from maas_operator.gateway.files import Files
from maas_operator.gateway.looking import until_next

FOLDER = "known"
"""In Envoy's folder, whose own files Envoy looks at whenever one of them changes."""
FILE = "facts"
PATIENCE = 3.0
"""Seconds that the API server has to say how the cluster is, before an agent goes by what was last known."""
_FACTS = TypeAdapter(Facts)
_SHAPE = hashlib.sha256(json.dumps(_FACTS.json_schema(), sort_keys=True).encode()).hexdigest().encode()

log = structlog.get_logger()


class Memory:
    """The last facts, in a private file: a line that says which shape they have and their digest, and they as JSON.

    A key that Envoy has been told to refuse must not come back. So what was kept is forgotten before Envoy is told of
    anything else, and the new is kept a moment after: to write 30,000 keys down takes longer than to revoke one.
    """

    def __init__(self, folder: Path) -> None:
        self._files = Files(folder / FOLDER)
        self._kept: Facts | None = None

    def forget(self, facts: Facts) -> None:
        """Before these are told: forget what was kept, where it says something else. Raises OSError."""
        if _lasting(facts) != self._kept:
            (self._files.folder / FILE).unlink(missing_ok=True)
            self._kept = None

    def keep(self, facts: Facts) -> None:
        """Remember these. Raises OSError."""
        lasting = _lasting(facts)
        if lasting != self._kept:
            text = _FACTS.dump_json(lasting)
            self._files.put({FILE: b" ".join((_SHAPE, _digest(text))) + b"\n" + text})
            self._kept = lasting

    def recall(self) -> Facts | None:
        """What was kept last; None where nothing was, or nothing that can be trusted."""
        path = self._files.folder / FILE
        try:
            head, _, text = path.read_bytes().partition(b"\n")
            if head.partition(b" ")[0] != _SHAPE:
                log.warning("what was last known is of another version of this program", file=str(path))
                return None
            if head.partition(b" ")[2] != _digest(text):
                log.warning("what was last known is damaged", file=str(path))
                return None
            self._kept = _FACTS.validate_json(text)
            return self._kept
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            log.warning("what was last known cannot be read", file=str(path), error=str(error))
            return None


async def lasting(
    facts: AsyncIterator[Facts], remembered: Facts | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[Facts]:
    """The facts; while there are none yet, those that are remembered, less the keys that have expired since."""
    coming = asyncio.ensure_future(anext(facts))
    patience = PATIENCE
    try:
        while remembered and not (await asyncio.wait({coming}, timeout=patience))[0]:
            moment = now()
            keys = tuple(key for key in remembered.keys if not key.expires or key.expires > moment)
            if len(keys) < len(remembered.keys) or patience == PATIENCE:
                log.warning("the API server does not answer: going by what was last known", keys=len(keys))
            remembered = replace(remembered, keys=keys)
            yield remembered
            patience = until_next(remembered, moment)
        yield await coming
    finally:
        coming.cancel()
    async for each in facts:
        yield each


def _lasting(facts: Facts) -> Facts:
    """Without whose tokens a minute are used up: that is over in a minute."""
    return replace(facts, over_limit=frozenset(), unreadable=())


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
