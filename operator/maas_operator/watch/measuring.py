"""Asking the gateways, the engines and those that fetch weights, again and again, for what decisions go by."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import aiohttp
import structlog

from maas_operator import metrics
from maas_operator.api.fetching import PATH as FETCH_PATH
from maas_operator.api.fetching import FetchProgress
from maas_operator.api.seen import PodSeen
from maas_operator.api.traffic import PATH, Traffic
from maas_operator.guard import guarded
from maas_operator.watch import engines
from maas_operator.watch.engines import Engine
from maas_operator.watch.measures import Measures, ServiceInstances, fetching, place
from maas_operator.watch.objects import Altered
from maas_operator.watch.store import Store

AT_ONCE = 64
"""Questions in flight."""
SECONDS = 5.0
"""For one question and its answer, and for the look-up of a name."""
LARGEST_ENGINE = 2 * 2**20
"""Bytes of an engine's answer; 50 to 100 KB are usual."""
LARGEST_FETCH = 4 * 2**10
"""Bytes of the answer of one that fetches weights."""
LARGEST_GATEWAY = 32 * 2**20
"""Bytes of a replica's answer: some 200 a service."""
LEAST_PAUSE = 0.5
"""Seconds between two looks, however long one took."""
_CHUNK = 64 * 1024
_AS_IT_IS = {"Accept-Encoding": "identity"}

log = structlog.get_logger()


class Measuring:
    """Measures every service, and keeps what it finds in the store. gateways: HOST:PORT of which every address is a
    replica. seconds: between two looks. What cannot be asked is told once in the log, and counted."""

    def __init__(
        self, store: Store, altered: Callable[[Altered], None], gateways: Sequence[str], seconds: float
    ) -> None:
        self._store = store
        self._altered = altered
        self._gateways = gateways
        self._seconds = seconds
        self._measures = Measures()
        self._addresses: dict[str, tuple[str, ...]] = {}
        """What each name of a gateway was known to stand for last."""
        self._silent: set[str] = set()
        self._free = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        # Each is asked on a connection of its own: vLLM closes one that was idle for 5 seconds.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=_AS_IT_IS, auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:  # fmt: skip
            while True:
                due = loop.time() + self._seconds
                with guarded("measuring"):
                    await self.look(session)
                await asyncio.sleep(max(due - loop.time(), LEAST_PAUSE))

    async def look(self, session: aiohttp.ClientSession) -> None:
        """Ask everyone once, and keep what they say."""
        addresses, listed = await self._listed()
        told = await asyncio.gather(*(self._replica(session, each) for each in addresses))
        at, now = time.time(), time.monotonic()
        self._measures.gateways.take(dict(zip(addresses, told, strict=True)), listed, at, now)
        services = self._store.services()
        pods = self._measures.to_ask(services)
        said = await asyncio.gather(*(self._engine(session, each) for each in pods))
        self._silent &= {
            *(*addresses, *self._gateways, *(pod.uid for pod in pods)),
            *(pod.uid for service in services for pod in fetching(service)),
        }
        of_pods = dict(zip((pod.uid for pod in pods), said, strict=True))
        fetches = await self._fetches(session, services)
        altered: Altered = set()
        for key, measured in self._measures.take(services, of_pods, at, now, fetches).items():
            altered |= self._store.measured(key, measured)
        self._altered(altered)
        metrics.MEASURED_AT.set(at)

    async def _listed(self) -> tuple[list[str], bool]:
        """The replicas' addresses (ADDRESS:PORT), and whether these are known to be all."""
        listed = True
        for name in self._gateways:
            try:
                async with asyncio.timeout(SECONDS):
                    self._addresses[name] = await _resolved(name)
            except (OSError, ValueError) as error:
                listed = False
                self._fails("gateway", name, name, error)
            else:
                self._answers(name, name)
        return sorted({address for each in self._addresses.values() for address in each}), listed

    async def _replica(self, session: aiohttp.ClientSession, address: str) -> Traffic | None:
        try:
            text = await self._asked(session, f"http://{address}{PATH}", LARGEST_GATEWAY)
            told = Traffic.model_validate_json(text)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._fails("gateway", address, address, error)
            return None
        self._answers(address, address)
        return told

    async def _engine(self, session: aiohttp.ClientSession, pod: PodSeen) -> Engine | None:
        name = f"{pod.namespace}/{pod.name}"
        try:
            text = await self._asked(session, f"http://{place(pod.address or '')}/metrics", LARGEST_ENGINE)
            said = engines.read(text)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._fails("engine", pod.uid, name, error)
            return None
        self._answers(pod.uid, name)
        return said

    async def _fetches(
        self, session: aiohttp.ClientSession, services: Sequence[ServiceInstances]
    ) -> dict[str, FetchProgress]:
        """How far those that fetch weights are, by the pod's uid."""
        pods = [pod for service in services for pod in fetching(service)]
        told = await asyncio.gather(*(self._fetch(session, each) for each in pods))
        return {pod.uid: progress for pod, progress in zip(pods, told, strict=True) if progress}

    async def _fetch(self, session: aiohttp.ClientSession, pod: PodSeen) -> FetchProgress | None:
        name = f"{pod.namespace}/{pod.name}"
        try:
            text = await self._asked(session, f"http://{place(pod.address or '')}{FETCH_PATH}", LARGEST_FETCH)
            told = FetchProgress.model_validate_json(text)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._fails("fetch", pod.uid, name, error)
            return None
        self._answers(pod.uid, name)
        return told

    async def _asked(self, session: aiohttp.ClientSession, url: str, largest: int) -> bytes:
        """The answer's body. Raises aiohttp.ClientError, OSError, ValueError."""
        async with self._free, session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(f"it answers {answer.status}")
            parts, size = [], 0
            async for part in answer.content.iter_chunked(_CHUNK):
                size += len(part)
                if size > largest:
                    raise ValueError(f"its answer has more than {largest} bytes")
                parts.append(part)
        return b"".join(parts)

    def _fails(self, what: str, who: str, name: str, error: Exception) -> None:
        metrics.MEASURE_FAILURES.labels(what).inc()
        if who not in self._silent:
            self._silent.add(who)
            log.warning("cannot be measured", what=what, who=name, error=str(error) or type(error).__name__)

    def _answers(self, who: str, name: str) -> None:
        if who in self._silent:
            self._silent.discard(who)
            log.info("can be measured again", who=name)


async def _resolved(name: str) -> tuple[str, ...]:
    """Every address of HOST:PORT. Raises OSError where there is none."""
    split = urlsplit(f"//{name}")
    found = await asyncio.get_running_loop().getaddrinfo(
        split.hostname, split.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    return tuple(_written(*each[4][:2]) for each in found)


def _written(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
