"""maas-operator gateway: the process beside each Envoy."""

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import click
import structlog
from pydantic import ValidationError

from maas_operator import logs, process, serve
from maas_operator.act.connection import connect
from maas_operator.act.http import MERGE_PATCH, Http
from maas_operator.act.paths import path_of
from maas_operator.act.permissions import Permissions
from maas_operator.api import traffic as told
from maas_operator.api.kinds import API_KEY, MODEL_SERVICE
from maas_operator.api.names import ANNOTATION_WAKE
from maas_operator.api.permissions import GATEWAY_PERMISSIONS
from maas_operator.api.times import written
from maas_operator.gateway import envoy_stats, running, settings, sharing, signing, traffic
from maas_operator.gateway.envoy.names import BOOTSTRAP, LOOPBACK
from maas_operator.gateway.facts import Service
from maas_operator.gateway.gather import counts_tokens
from maas_operator.gateway.looking import look
from maas_operator.gateway.quotas import Quotas
from maas_operator.gateway.seeing import GATEWAYS, NAMESPACE, Changes, Seen
from maas_operator.gateway.settings import GatewaySettings
from maas_operator.gateway.shipping.sending import reopener, sender
from maas_operator.gateway.shipping.shipper import Settings as Shipping
from maas_operator.gateway.shipping.shipper import Shipper
from maas_operator.gateway.traffic import Requests
from maas_operator.gateway.waking import Wake, WakeError
from maas_operator.guard import kept_going
from maas_operator.options import kubeconfig_option, log_options, namespace_option
from maas_operator.watch.watch import Watch

FIELD_MANAGER = "maas-operator-gateway"
"""Under which name its one annotation is written."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Options:
    """How the agent is run."""

    kubeconfig: Path | None
    namespace: str
    service: str
    settings: GatewaySettings
    signing_keys: Path
    folder: Path
    access_log: Path
    ledger: str
    ledger_token: Path
    pod_uid: str
    health_port: int
    metrics_port: int

    @property
    def admin(self) -> str:
        """Envoy's own address."""
        return f"http://{LOOPBACK}:{self.settings.admin_port}"


class Agent:
    """The running process."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._stopping = asyncio.Event()
        self._waiting_for: Mapping[str, str] = {"API server": "not reached yet"}
        self._requests = Requests()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, and ship then what is left. Raises what ends it otherwise."""
        process.collect_seldom()
        process.open_as_many_files_as_allowed()  # a connection for each request that is held
        process.stop_on_signals(self._stopping)
        async with aiohttp.ClientSession() as session:
            metrics = serve.metrics()
            metrics.router.add_get(envoy_stats.PATH, envoy_stats.shown(session, self._options.admin))
            metrics.router.add_get(told.PATH, traffic.shown(self._requests, time.monotonic))
            health = serve.health(self.waiting_for)
            async with serve.served((health, self._options.health_port), (metrics, self._options.metrics_port)):
                await self._until_stopped(session)

    def waiting_for(self) -> Mapping[str, str]:
        """What has to be seen before Envoy may start. With its files there it may, whether or not this process, or an
        API server, is there now: an Envoy that goes on by what it last knew must not be taken out of the Service."""
        return {} if (self._options.folder / BOOTSTRAP).exists() else self._waiting_for

    async def _until_stopped(self, session: aiohttp.ClientSession) -> None:
        shipping = asyncio.create_task(self._shipper(session).run(self._stopping))
        telling = asyncio.create_task(self._tell(session))
        await asyncio.wait({shipping, telling}, return_when=asyncio.FIRST_COMPLETED)
        self._stopping.set()
        log.info("stopping")
        telling.cancel()
        await asyncio.wait({shipping, telling})
        if not telling.cancelled():
            telling.result()
        shipping.result()

    def _shipper(self, session: aiohttp.ClientSession) -> Shipper:
        options = self._options
        send = sender(session, options.ledger, options.ledger_token)
        return Shipper(Shipping(options.pod_uid, options.access_log), send, reopener(session, options.admin))

    async def _tell(self, session: aiohttp.ClientSession) -> None:
        """Tell Envoy what the cluster says."""
        options = self._options
        connection = await connect(options.kubeconfig)
        http = Http(connection)
        seen, changes = Seen(), Changes()
        signals = partial(process.stop_on_signals, self._stopping)
        watch = Watch(GATEWAYS, seen, changes, http.read, connection.server, connection.session, signals)
        self._waiting_for = watch.waiting_for
        quotas = Quotas(session, options.ledger, options.ledger_token)
        facts = look(seen, changes, (options.namespace, options.service), lambda: quotas.used)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(watch.run())
                permissions = Permissions(http, GATEWAY_PERMISSIONS, options.namespace, "")
                tasks.create_task(kept_going("permissions", permissions.review_now_and_then))
                if options.settings.rate_limit_service:
                    tasks.create_task(kept_going("sharing", partial(sharing.watch, session, options.admin)))
                asking = partial(quotas.run, lambda: _with_quota(seen), changes.changed.set)
                tasks.create_task(kept_going("quotas", asking))
                keys = signing.follow(options.signing_keys)
                wake, requests = _by_annotation(http), self._requests
                tasks.create_task(
                    running.run(options.settings, options.folder, options.access_log, facts, keys, wake, requests)
                )
        finally:
            await http.close()


def _with_quota(seen: Seen) -> bool:
    return counts_tokens(seen.of(API_KEY.kind), seen.of(NAMESPACE))


def _by_annotation(http: Http) -> Wake:
    """Wakes a service by an annotation, at which the operator acts."""

    async def wake(service: Service) -> None:
        path = path_of(MODEL_SERVICE.kind, service.namespace, service.name)
        body = {"metadata": {"annotations": {ANNOTATION_WAKE: written(datetime.now(UTC))}}}
        try:
            await http.write("PATCH", path, body, MERGE_PATCH, {"fieldManager": FIELD_MANAGER})
        except (aiohttp.ClientError, OSError) as error:  # ApiError and TimeoutError are OSErrors
            raise WakeError(str(error) or type(error).__name__) from error

    return wake


def _settings(_: click.Context, __: click.Parameter, path: Path | None) -> GatewaySettings:
    try:
        return settings.parse(path.read_text() if path else "")
    except (ValidationError, ValueError) as error:
        raise click.BadParameter(f"{path}: {error}") from error


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings={"auto_envvar_prefix": "MAAS_GATEWAY", "show_default": True})
@kubeconfig_option
@namespace_option
@click.option(
    "--service",
    default="maas-gateway",
    help="Name of the gateway's own Service, by whose EndpointSlices "
    "its replicas are counted: a limit is shared out over them.",
)
@click.option("--settings", callback=_settings, type=_FILE, help="Settings file (YAML), as the chart writes it.")
@click.option(
    "--signing-keys",
    default=Path("/run/secrets/maas-gateway-signing/keys.yaml"),
    type=click.Path(path_type=Path),
    help="File (YAML, a list of {id, secret}) with what signs the tokens of /oauth2/token: the first signs, all are "
    "believed. It is read again when it changes; while there is none, neither is /oauth2/token.",
)
@click.option(
    "--folder",
    default=Path("/var/lib/maas/envoy"),
    type=click.Path(path_type=Path),
    help="Where Envoy's files are written. Envoy may start when bootstrap.json is there.",
)
@click.option(
    "--access-log",
    default=Path("/var/lib/maas/logs/access.log"),
    type=click.Path(path_type=Path),
    help="Envoy's access log: it has to outlive the containers.",
)
@click.option("--ledger", default="http://maas-ledger:8080", help="The ledger's address.")
@click.option(
    "--ledger-token",
    default=Path("/var/run/secrets/maas-ledger/token"),
    type=click.Path(path_type=Path),
    help="File with a service account's token for the audience maas-ledger; read each time.",
)
@click.option("--pod-uid", required=True, help="The pod's uid: whose log it is.")
@click.option("--health-port", default=8081, help="Port of /healthz and /readyz.")
@click.option("--metrics-port", default=8082, help="Port of /metrics, and of what the operator asks.")
@log_options
def gateway(log_format: logs.Format, log_level: str, **options: Any) -> None:
    """Tell Envoy what the cluster says, and the ledger what Envoy served, until SIGTERM. Every option can be set by a
    variable too: MAAS_GATEWAY_POD_UID and so on.
    """
    logs.configure(log_format, log_level)
    made = Options(**options)
    made.access_log.parent.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(Agent(made).run())
    except Exception:
        log.exception("the agent ended")
        sys.exit(1)
