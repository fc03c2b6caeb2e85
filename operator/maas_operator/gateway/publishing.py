"""From facts to Envoy: several changes gathered into one write, and tokens a minute held against who is past them."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import structlog

from maas_operator.gateway import counters
from maas_operator.gateway.access_log import Line
from maas_operator.gateway.calls import Calls
from maas_operator.gateway.envoy import render, render_start, render_tokens
from maas_operator.gateway.envoy.names import LOOPBACK
from maas_operator.gateway.facts import Facts
from maas_operator.gateway.files import Files
from maas_operator.gateway.following import follow
from maas_operator.gateway.holding import Holder
from maas_operator.gateway.memory import Memory
from maas_operator.gateway.minutes import Minutes
from maas_operator.gateway.settings import GatewaySettings
from maas_operator.gateway.signing import SigningKey
from maas_operator.gateway.taken import Taken
from maas_operator.gateway.traffic import Requests
from maas_operator.guard import guarded, kept_going

GATHER = 0.05
"""Seconds in which further changes are waited for before they are written together."""
KEPT_AFTER = 0.1
"""Seconds without a change after which what Envoy was told is kept, for an agent that starts without an API server."""

log = structlog.get_logger()


class Publisher:
    """Keeps Envoy's files as the facts say. folder: where Envoy reads them; access_log: where it writes its log;
    requests: what counts them for the operator, where one may ask."""

    def __init__(
        self, settings: GatewaySettings, folder: Path, access_log: Path, requests: Requests | None = None
    ) -> None:
        self.facts = Facts()
        self.signing: tuple[SigningKey, ...] = ()
        self.calls = Calls()
        self._settings = settings
        self._files = Files(folder)
        self._memory = Memory(folder)
        self._access_log = access_log
        self._minutes = Minutes()
        self._requests = requests or Requests()
        self._changed = asyncio.Event()
        self._told = asyncio.Event()
        envoy = Taken(f"http://{LOOPBACK}:{settings.admin_port}")
        self.holder = Holder(settings.holding, envoy, (LOOPBACK, settings.late_port), self._changed.set)

    def put(self, facts: Facts) -> None:
        """These are the facts now. They are written soon."""
        for problem in set(facts.unreadable) - set(self.facts.unreadable):
            log.warning("an object is left out", problem=problem)
        facts = replace(facts, shared=bool(self._settings.rate_limit_service), waits=self._settings.waits)
        self._minutes.limit(facts)
        self._requests.keep({service.id for service in facts.services})
        self.facts = replace(facts, over_limit=self._minutes.over(time.monotonic()))
        self._changed.set()

    def recall(self) -> Facts | None:
        """What was last known, by an earlier process."""
        return self._memory.recall()

    def sign_with(self, keys: tuple[SigningKey, ...]) -> None:
        """Tokens of these keys are believed now, and of no others. The file is written soon."""
        self.signing = keys
        self._changed.set()

    def come(self, request_id: str, service: str, arrived: float) -> None:
        """A request has come that Envoy would hold for this service (its id), if there is a place. arrived: seconds
        since 1970."""
        now = time.monotonic()
        self._requests.come(request_id, service, arrived, now)
        self.calls.note(service, now)

    def begin(self) -> None:
        """Write what Envoy needs for its start. Raises OSError."""
        self._write()
        self._files.put(render_start(self._settings, str(self._files.folder), str(self._access_log)))
        self._memory.keep(self.facts)

    async def run(self) -> None:
        """Write whatever changes, until cancelled. A write that fails is tried again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kept_going("counting", self._charge))
            tasks.create_task(kept_going("publishing", self._publish))
            tasks.create_task(kept_going("remembering", self._remember))
            tasks.create_task(kept_going("holding", self.holder.run))

    async def _publish(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER)
            self._changed.clear()
            try:
                self._write()
            except OSError as error:
                counters.PUBLISH_FAILURES.inc()
                log.warning("Envoy's files cannot be written: tried again", error=str(error))
                self._changed.set()
                await asyncio.sleep(1)
            except Exception:
                counters.PUBLISH_FAILURES.inc()
                self._changed.set()
                raise

    def _write(self) -> None:
        begun = time.monotonic()
        counters.show(self.facts)
        self._memory.forget(self.facts)
        files = render(self.holder.applied_to(self.facts))
        if written := self._files.put(render_tokens(self.signing) | files):
            log.info("Envoy's files written", files=written, seconds=round(time.monotonic() - begun, 3))
        self.holder.told(self.facts, files)
        counters.PUBLISH_SECONDS.observe(time.monotonic() - begun)
        counters.PUBLISHED_AT.set_to_current_time()
        self._told.set()

    async def _remember(self) -> None:
        while True:
            await self._told.wait()
            while self._told.is_set():
                self._told.clear()
                await asyncio.sleep(KEPT_AFTER)
            try:
                self._memory.keep(self.facts)
            except OSError as error:
                log.warning("what is known cannot be kept: tried again", error=str(error))
                self._told.set()

    async def _charge(self) -> None:
        if self._requests.since is None:
            self._requests.begin(time.time(), time.monotonic())
        async for lines in follow(self._access_log):
            now = time.monotonic()
            self._requests.set_clock(time.time(), now)
            for line in lines:
                with guarded("counting"):
                    self._count(line, now)
            over = self._minutes.over(now)
            if over != self.facts.over_limit:
                self.facts = replace(self.facts, over_limit=over)
                self._changed.set()

    def _count(self, line: Line, now: float) -> None:
        self._minutes.charge(line, now)
        self._requests.count(line, now)
        counters.count(line)
        if line.service_id is not None and line.without_instance:
            self.calls.note(line.service_id, now)
