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
from maas_operator.act.telling import Telling
from maas_operator.api.kinds import MODEL, MODEL_SERVICE, NOTIFICATION_TOPIC, RESOURCE_POOL
from maas_operator.api.permissions import NOTIFICATION_PERMISSIONS, PERMISSIONS
from maas_operator.api.seen import Manifest, WriteFailure
from maas_operator.api.settings import Settings
from maas_operator.billing import Billing
from maas_operator.guard import kept_going
from maas_operator.reconcile import Reconciler, rules
from maas_operator.sight import unseen
from maas_operator.watch.keys import Key
from maas_operator.watch.measuring import Measuring
from maas_operator.watch.objects import ours
from maas_operator.watch.queue import Queue
from maas_operator.watch.refusals import Refusals
from maas_operator.watch.setups import Setups
from maas_operator.watch.store import Store
from maas_operator.watch.watch import Watch
from maas_operator.watch.watched import OPERATORS

WORKERS = 32
"""Reconciles at a time: each waits for the API server most of its time."""
INTERVALS = {MODEL_SERVICE.kind: 0.5, RESOURCE_POOL.kind: 1.0, MODEL.kind: 1.0, NOTIFICATION_TOPIC.kind: 1.0}
"""Least seconds between two reconciles of an object. Pools and Models change with every service and pod of theirs,
topics with every message."""

BILLED = ("pods", RESOURCE_POOL.plural)
"""What has to have been seen whole before the ledger is told what runs."""

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
        self._permissions: Permissions | None = None
        settings = options.settings
        self._billing = Billing(settings.ledger, settings.ledger_token) if settings.ledger else None

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
            needed = PERMISSIONS
            if self._options.settings.notifications.enabled:
                needed += NOTIFICATION_PERMISSIONS
            self._permissions = Permissions(http, needed, self._options.namespace, self._options.lease_name)
            group.create_task(kept_going("permissions", self._permissions.review_now_and_then))
            if self._options.leader_election:
                election = Election(http, self._options.namespace, self._options.lease_name, self._identity)
                await election.run(lambda: self.lead(connection, http))
            else:
                metrics.IS_LEADER.set(1)
                await self.lead(connection, http)

    async def lead(self, connection: Connection, http: Http) -> None:
        """Watch and reconcile. Everything is made anew for each term: nothing seen in an earlier one is believed. Only
        what has ended in it, and is to be billed, outlives it.

        Whatever goes by what objects or servers say is kept going. The queue is not: it knows keys alone, each
        reconcile's error ends with the reconcile, and a queue whose own books are wrong had better be made anew."""
        store = Store(bills=self._billing is not None)

        def feed(raw: Manifest) -> None:
            altered = store.put(raw)
            watch.altered(altered if ours(raw) else set())  # a child's own service has just been decided

        def topic(namespace: str, name: str) -> Manifest | None:
            return store.objects.get(Key(NOTIFICATION_TOPIC.kind, namespace, name))

        def again(kind: str, namespace: str, name: str) -> None:
            queue.add(Key(kind, namespace, name))

        def seen_whole(kind: str) -> bool:
            return watch.seen_whole(kind)

        settings = self._options.settings
        telling = Telling(http, settings, topic, again)
        cluster = Cluster(http, feed)
        permissions = self._permissions or Permissions(http, (), self._options.namespace, self._options.lease_name)
        reconciler = Reconciler(
            store,
            cluster,
            Executor(cluster),
            Events(http, self._identity),
            rules(settings, telling),
            lambda: unseen(permissions.missing),
            seen_whole,
        )
        queue = Queue(reconciler.reconcile, WORKERS, INTERVALS)
        signals = partial(process.stop_on_signals, self._stopping)
        watch = Watch(OPERATORS, store, queue, http.read, connection.server, connection.session, signals)
        self._watch = watch
        measuring = Measuring(store, watch.altered, settings.gateways, settings.measure_seconds)
        setups = Setups(store, watch.altered, http.read)
        refusals = Refusals(store, watch.altered, http.read)
        metrics.QUEUE_DEPTH.set_function(lambda: queue.depth)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(telling.run())
                group.create_task(queue.run())
                group.create_task(kept_going("lacks", partial(_tell_lacks, permissions, store, queue)))
                group.create_task(watch.run())
                group.create_task(measuring.run())
                group.create_task(setups.run())
                group.create_task(refusals.run())
                if self._billing and store.billed:
                    bill = partial(self._billing.run, store.billed, lambda: watch.waiting_for.keys().isdisjoint(BILLED))
                    group.create_task(kept_going("billing", bill))
        finally:
            self._watch = None
            reconciler.close()


async def _tell_lacks(permissions: Permissions, store: Store, queue: Queue) -> None:
    """Have the objects that need what may not be seen say so, also those that cannot be decided; till it is granted."""
    before: Mapping[str, WriteFailure] = {}
    while True:
        now = unseen(permissions.missing)
        for kind in OPERATORS.needed:
            if now.get(kind) == before.get(kind):
                continue
            if kind in now:
                queue.open(kind)
            queue.add_all(sorted(store.versions(kind)))
        before = now
        await permissions.changed.wait()
        permissions.changed.clear()
