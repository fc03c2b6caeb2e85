"""Waking services that sleep and are called, whether or not there is a place to hold their requests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.gateway import counters
from maas_operator.gateway.calls import Calls
from maas_operator.gateway.facts import Facts, Service
from maas_operator.gateway.wishes import Wishes

LOOK = 1.0
"""Seconds between two looks while a service is called or has requests held for it."""

Wake = Callable[[Service], Awaitable[None]]
"""Asks the operator to wake a service. Raises WakeError."""

log = structlog.get_logger()


class WakeError(Exception):
    """The operator could not be asked; the message says why."""


async def run(calls: Calls, held: Callable[[], Mapping[str, int]], facts: Callable[[], Facts], wake: Wake) -> None:
    """Wake what has to be woken, until cancelled. held: service id -> requests that are held for it now."""
    wishes = Wishes()
    while True:
        calls.came.clear()
        services = facts().services
        wishes.see(services)
        called = calls.standing(time.monotonic()) | held().keys()
        for service in wishes.due(services, called, datetime.now(UTC)):
            await _wake(service, wake, wishes)
        with suppress(TimeoutError):
            await asyncio.wait_for(calls.came.wait(), LOOK if called else None)


async def _wake(service: Service, wake: Wake, wishes: Wishes) -> None:
    about = {"kind": MODEL_SERVICE.kind, "namespace": service.namespace, "name": service.name}
    try:
        await wake(service)
    except WakeError as error:
        counters.WAKES.labels("failed").inc()
        wishes.failed(service, datetime.now(UTC))
        log.warning("a service cannot be woken: tried again", error=str(error), **about)
        return
    counters.WAKES.labels("asked").inc()
    wishes.done(service, datetime.now(UTC))
    log.info("a service is woken: it is called", **about)
