"""Many keys in a real API server, and the time until each replica refuses one that was deleted."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from maas_operator.api.apikey import MAX_KEYS_PER_ACCOUNT
from maas_operator.api.kinds import API_KEY
from maas_operator.api.names import GROUP, VERSION
from maas_operator.api.permissions import GATEWAY_PERMISSIONS
from tests.api.grants import granted
from tests.cluster import Cluster
from tests.cluster.client import MERGE_PATCH, Client
from tests.gateway.backend import Backend
from tests.gateway.replica import ACCOUNT, Manifest, Replica, api_key, apply, assistant, slice_of

KEYS = f"/apis/{GROUP}/{VERSION}/namespaces/{ACCOUNT}/{API_KEY.plural}"
POLL_SECONDS = 0.02
REFUSED_SECONDS = 30.0
"""Limit for a replica to refuse a deleted key: beyond, the measurement has failed."""
KNOWN_SECONDS = 300.0
"""Limit for an agent to have seen all keys."""
STATUS = {
    "status": {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Accepted",
                "status": "True",
                "observedGeneration": 1,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "reason": "Accepted",
                "message": "the key counts",
            }
        ],
    }
}
"""As the operator writes it."""


def fill(cluster: Cluster, count: int) -> None:
    """So many accepted keys, as many an account as one may have."""
    cluster.seed(GROUP, API_KEY.plural, (_one_of_many(number) for number in range(count)))


def _one_of_many(number: int) -> Manifest:
    manifest = api_key(f"sk-of-the-crowd-{number}", f"key-{number}")
    manifest["metadata"]["namespace"] = f"account-{number // MAX_KEYS_PER_ACCOUNT}"
    return manifest | STATUS


def add(client: Client, key: str, name: str) -> None:
    """A key that the operator has accepted."""
    client.request("POST", KEYS, api_key(key, name))
    client.request("PATCH", f"{KEYS}/{name}/status", STATUS, MERGE_PATCH)


@dataclass(frozen=True)
class Revocation:
    """What one key's end (and beginning) cost. Times are seconds from the request to the API server."""

    known: tuple[float, ...]
    """Until each replica let the new key's requests through."""
    refused: tuple[float, ...]
    """Until each replica refused the deleted key."""


class Replicas:
    """Replicas of the gateway before one engine, in this process."""

    def __init__(self, cluster: Cluster, folder: Path, count: int) -> None:
        rights = granted(cluster, "gateway", GATEWAY_PERMISSIONS)
        (folder / "token").write_text("none")
        nowhere = "http://127.0.0.1:9"
        self._cluster = cluster
        self.all = [Replica(folder / f"replica-{n}", rights, nowhere, folder / "token") for n in range(count)]

    async def start(self, engine: Backend) -> None:
        apply(self._cluster, assistant(), slice_of(engine))
        for replica in self.all:
            replica.agent.start()
        for replica in self.all:
            await until(replica.ready, KNOWN_SECONDS)
            replica.envoy.start()

    def end(self) -> None:
        for replica in self.all:
            replica.end()

    async def revoke(self, name: str) -> Revocation:
        """A key of this name is made, called with at every replica, and deleted."""
        key = f"sk-{name}"
        with closing(self._cluster.client()) as client:
            known = await self._timed(key, 200, lambda: add(client, key, name))
            refused = await self._timed(key, 401, lambda: client.request("DELETE", f"{KEYS}/{name}"))
        return Revocation(known, refused)

    async def _timed(self, key: str, status: int, act: Callable[[], object]) -> tuple[float, ...]:
        """Seconds from the act until each replica answers with this status, while each is asked all the time."""
        begun = time.monotonic()
        acting = asyncio.create_task(asyncio.to_thread(act))

        async def answered(replica: Replica) -> float:
            await self.answers(replica, key, status)
            return time.monotonic() - begun

        seconds = await asyncio.gather(*map(answered, self.all))
        await acting
        return tuple(seconds)

    async def answers(self, replica: Replica, key: str, status: int) -> None:
        """Wait until calls with this key are answered so."""

        async def there() -> bool:
            return await replica.chat(key) == status

        await until(there, REFUSED_SECONDS)


async def until(true: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Wait. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 another process is asked
            await asyncio.sleep(POLL_SECONDS)
