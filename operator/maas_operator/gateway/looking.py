"""The facts, again and again: after changes, several gathered into one look, and when a key expires."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from maas_operator.api.kinds import API_KEY, MODEL, MODEL_SERVICE
from maas_operator.gateway.facts import Facts
from maas_operator.gateway.gather import Read, gather
from maas_operator.gateway.seeing import NAMESPACE, SLICE, Changes, Seen
from maas_operator.guard import guarded

GATHER = 0.05
"""Seconds in which further changes are waited for."""
RETRY = 5.0
"""Seconds after which it is looked again where nothing changes and the last look failed."""
LONGEST = 3600.0
"""Seconds after which it is looked again anyway: the wall clock may have been set."""


async def look(
    seen: Seen, changes: Changes, gateway: tuple[str, str], used: Callable[[], Mapping[str, int]]
) -> AsyncIterator[Facts]:
    """The facts, once all has been seen, and whenever they may be others.

    gateway: namespace and name of the gateway's own Service. used: key (ACCOUNT/NAME) -> tokens in its life.
    """
    await changes.complete.wait()
    read = Read()
    while True:
        changes.changed.clear()
        now = datetime.now(UTC)
        keys = seen.of(API_KEY.kind)
        facts = None
        with guarded("facts"):
            facts = gather(
                seen.of(MODEL_SERVICE.kind),
                keys,
                seen.of(SLICE),
                seen.of(NAMESPACE),
                now,
                models=seen.of(MODEL.kind),
                gateway=gateway,
                used=used(),
                read=read,
            )
        if facts:
            yield facts
            read.keep(keys)
        with suppress(TimeoutError):
            await asyncio.wait_for(changes.changed.wait(), until_next(facts, now) if facts else RETRY)
        await asyncio.sleep(GATHER)


def until_next(facts: Facts, now: datetime) -> float:
    """Seconds for which the same keys count, as far as is known."""
    expiry = facts.next_expiry
    return min(LONGEST, (expiry - now).total_seconds()) if expiry else LONGEST
