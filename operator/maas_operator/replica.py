"""One replica of the operator: it serves its health, campaigns, and acts while it leads."""

import asyncio
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from maas_operator import metrics, process, serve
from maas_operator.act.cluster import Cluster
from maas_operator.act.connection import Connection, connect
from maas_operator.act.election import Election
from maas_operator.act.events import Events
from maas_operator.act.executor import Executor
from maas_operator.act.http import Http
from maas_operator.act.permissions import Permissions
from maas_operator.api.kinds import MODEL, MODEL_SERVICE, RESOURCE_POOL
from maas_operator.api.seen import Manifest
from maas_operator.api.settings import Settings
from maas_operator.reconcile import Reconciler, rules
from maas_operator.watch.objects import ours
from maas_operator.watch.queue import Queue
from maas_operator.watch.store import Store
from maas_operator.watch.watch import Watch
from maas_operator.watch.watched import OPERATORS

WORKERS = 32
"""Reconciles at a time: each waits for the API server most of its time."""
INTERVALS = {MODEL_SERVICE.kind: 0.5, RESOURCE_POOL.kind: 1.0, MODEL.kind: 1.0}
"""Least seconds between two reconciles of an object. Pools and Models change with every service and pod of theirs."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Options:
    """How a replica is run."""

    kubeconfig: Path | None
    namespace: str
    lease_name: str
    leader_election: bool
    metrics_port: int
    health_port: int
    settings: Settings


class Replica:
    """A running replica."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(4)}"
        self._stopping = asyncio.Event()
        self._watch: Watch | None = None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises what ends it otherwise."""
        process.collect_seldom()
        process.stop_on_signals(self._stopping)
        health = serve.health(self.waiting_for)
        async with serve.served((health, self._options.health_port), (serve.metrics(), self._options.metrics_port)):
            connection = await connect(self._options.kubeconfig)
            http = Http(connection)
            try:
                await self._until_stopped(connection, http)
            finally:
                await http.close()

    def waiting_for(self) -> Mapping[str, str]:
        """What this replica has still to see; a replica that stands by is ready."""
        return self._watch.waiting_for if self._watch else {}

    async def _until_stopped(self, connection: Connection, http: Http) -> None:
        work = asyncio.create_task(self._work(connection, http))
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            stopped.cancel()
            work.result()
            return
        log.info("stopping")
        work.cancel()
        await asyncio.wait({work})

    async def _work(self, connection: Connection, http: Http) -> None:
        async with asyncio.TaskGroup() as group:
            permissions = Permissions(http, self._options.namespace, self._options.lease_name)
            group.create_task(permissions.review_now_and_then())
            if self._options.leader_election:
                election = Election(http, self._options.namespace, self._options.lease_name, self._identity)
                await election.run(lambda: self.lead(connection, http))
            else:
                metrics.IS_LEADER.set(1)
                await self.lead(connection, http)

    async def lead(self, connection: Connection, http: Http) -> None:
        """Watch and reconcile. Everything is made anew for each term: nothing seen in an earlier one is believed."""
        store = Store()

        def feed(raw: Manifest) -> None:
            altered = store.put(raw)
            watch.altered(altered if ours(raw) else set())  # a child's own service has just been decided

        cluster = Cluster(http, feed)
        reconciler = Reconciler(
            store, cluster, Executor(cluster), Events(http, self._identity), rules(self._options.settings)
        )
        queue = Queue(reconciler.reconcile, WORKERS, INTERVALS)
        signals = partial(process.stop_on_signals, self._stopping)
        watch = Watch(OPERATORS, store, queue, http.read, connection.server, connection.session, signals)
        self._watch = watch
        metrics.QUEUE_DEPTH.set_function(lambda: queue.depth)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(queue.run())
                group.create_task(watch.run())
        finally:
            self._watch = None
            reconciler.close()
