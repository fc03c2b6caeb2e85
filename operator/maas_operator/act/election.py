"""Leader election by a Lease: one replica acts, the others wait.

Not kubernetes.aio.leaderelection, as of 37.0.2: an API server that does not answer raises out of its run() while the
leader's task goes on; a request that hangs holds it beyond its deadline; it never gives the lease back; it does not
wait for the leader's task to end before it campaigns again; and it writes local time as if it were UTC.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp
import structlog

from maas_operator import metrics
from maas_operator.act.answers import ApiError
from maas_operator.act.http import Http
from maas_operator.api.seen import Manifest
from maas_operator.guard import guarded

LEASE_SECONDS = 15
"""A lease that was not renewed for so long is anybody's."""
DEADLINE_SECONDS = 10.0
"""A leader that could not renew for so long stops acting: well before another one may begin."""
PERIOD_SECONDS = 2.0
"""Between two renewals, or two looks at somebody else's lease."""
END_SECONDS = 4.0
"""What a leader's work may take to end; less than LEASE_SECONDS - DEADLINE_SECONDS."""

log = structlog.get_logger()


class Election:
    """One candidate. `identity` must be its own, also after a restart."""

    def __init__(self, http: Http, namespace: str, name: str, identity: str) -> None:
        self._http = http
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._identity = identity
        self._observed: tuple[str, float] = ("", 0.0)
        self._lease: Manifest | None = None

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Campaign, lead while the lease lasts, and campaign again. Gives the lease back when cancelled.

        A leader that lost its lease ends its work and stays: it holds its identity, so it leads again as soon as the
        API server is back, where a new process would have to wait for its own lease to run out. Should its work not
        end in time, the process ends, since nothing else is sure to stop it before another replica begins.
        """
        while True:
            held = await self._campaign()
            log.info("leading", identity=self._identity)
            metrics.IS_LEADER.set(1)
            work = asyncio.ensure_future(lead())
            try:
                await self._hold(work, held)
            finally:
                metrics.IS_LEADER.set(0)
                await _end(work)
                await self._release()
            log.warning("not leading any more", identity=self._identity)

    async def _campaign(self) -> float:
        """Take the lease. Returns since when it is held, at the latest: the time before the attempt, since others count
        from its write, which the API server may answer late. Nobody leads by one that is answered too late."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            if await self._attempt():
                return began
            await asyncio.sleep(PERIOD_SECONDS)

    async def _hold(self, work: asyncio.Future[None], renewed: float) -> None:
        """Renew until it cannot be renewed in time. renewed: when it was last. Raises what ends the work."""
        loop = asyncio.get_running_loop()
        while loop.time() < renewed + DEADLINE_SECONDS:
            await asyncio.wait({work}, timeout=min(PERIOD_SECONDS, renewed + DEADLINE_SECONDS - loop.time()))
            if work.done():
                work.result()
                raise RuntimeError("the leader's work ended by itself")
            began = loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(renewed + DEADLINE_SECONDS - began):
                    if await self._attempt():
                        renewed = began
                    elif self._lease is not None and _holder(self._lease) not in {"", self._identity}:
                        return

    async def _attempt(self) -> bool:
        """Take or renew the lease. False where another holds it, or the API server does not agree."""
        with guarded("election"):
            return await self._taken()
        return False

    async def _taken(self) -> bool:
        try:
            self._lease = await self._http.read(f"{self._collection}/{self._name}")
            if self._lease is not None and not self._free(self._lease):
                return False
            self._lease = await self._write(self._lease, self._identity)
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:
                log.warning("the lease could not be taken", lease=self._name, error=error.message)
            return False
        except (aiohttp.ClientError, OSError) as error:
            log.warning("the lease could not be taken", lease=self._name, error=str(error) or type(error).__name__)
            return False
        return True

    def _free(self, lease: Manifest) -> bool:
        """Whether it is ours, or given back, or was not renewed for its whole time by our own clock: other machines'
        clocks are not trusted."""
        holder, now = _holder(lease), asyncio.get_running_loop().time()
        if holder in {"", self._identity}:
            return True
        version = lease["metadata"]["resourceVersion"]
        if version != self._observed[0]:
            self._observed = (version, now)
        duration: int = _spec(lease).get("leaseDurationSeconds", LEASE_SECONDS)
        return now >= self._observed[1] + duration

    async def _write(self, lease: Manifest | None, holder: str) -> Manifest:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = _spec(lease) if lease else {}
        same = lease is not None and _holder(lease) == holder
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": LEASE_SECONDS if holder else 1,
            "acquireTime": before.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": before.get("leaseTransitions", 0) + (0 if same or not holder else 1),
        }
        if lease is None:
            metadata: Manifest = {"name": self._name}
            method, path = "POST", self._collection
        else:
            # With its resourceVersion, the update of a lease that another candidate has just taken is a conflict.
            metadata = {"name": self._name, "resourceVersion": lease["metadata"]["resourceVersion"]}
            method, path = "PUT", f"{self._collection}/{self._name}"
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        return await self._http.write(method, path, body)

    async def _release(self) -> None:
        """Give the lease back, if it is still ours, so that another replica begins at once."""
        if self._lease is None or _holder(self._lease) != self._identity:
            return
        with contextlib.suppress(ApiError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(PERIOD_SECONDS):
                self._lease = await self._write(self._lease, "")


def _spec(lease: Manifest) -> Manifest:
    """Empty where somebody has made the Lease without one."""
    return lease.get("spec") or {}


def _holder(lease: Manifest) -> str:
    return str(_spec(lease).get("holderIdentity") or "")


async def _end(work: asyncio.Future[None]) -> None:
    """Cancel the work and see it end; end the process where it does not."""
    work.cancel()
    _, unfinished = await asyncio.wait({work}, timeout=END_SECONDS)
    if unfinished:
        log.error("the leader's work does not end: the process does")
        os._exit(1)
