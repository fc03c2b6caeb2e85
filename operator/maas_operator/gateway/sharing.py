"""Whether limits are counted for all replicas together, as Envoy sees it: said in a log and by a counter."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import structlog

from maas_operator.gateway.counters import SHARED
from maas_operator.gateway.envoy.names import LIMITS

INTERVAL = 2.0
"""Seconds between two looks: as long as Envoy leaves out a service that fails."""
_TIMEOUT = aiohttp.ClientTimeout(total=5)
_HEALTHY = f"cluster.{LIMITS}.membership_healthy"

log = structlog.get_logger()


async def watch(session: aiohttp.ClientSession, admin: str) -> None:
    """Look now and then, until cancelled. admin: Envoy's own address (http://127.0.0.1:PORT)."""
    before = None
    while True:
        if (shared := await _shared(session, admin)) is not None:
            SHARED.set(shared)
            if before is not None and shared and not before:
                log.info("limits are counted in the store again")
            if not shared and before is not False:
                log.warning("limits are not shared: the store or its service does not answer, replicas count alone")
            before = shared
        await asyncio.sleep(INTERVAL)


async def _shared(session: aiohttp.ClientSession, admin: str) -> bool | None:
    """Whether Envoy has a service to ask; None while there is no Envoy."""
    query = f"{admin}/stats?format=json&filter=^{_HEALTHY}$"
    try:
        async with session.get(query, timeout=_TIMEOUT, raise_for_status=True) as answer:
            stats: list[Mapping[str, Any]] = (await answer.json(content_type=None))["stats"]
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
    return any(each.get("value") for each in stats)
