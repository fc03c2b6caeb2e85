"""maas-operator gateway: the process beside each Envoy."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import click
import structlog
from pydantic import ValidationError

from maas_operator import logs, process, serve
from maas_operator.act.connection import connect
from maas_operator.act.http import Http
from maas_operator.api.kinds import API_KEY
from maas_operator.gateway import envoy_stats, running, settings, sharing, signing
from maas_operator.gateway.envoy.names import BOOTSTRAP, LOOPBACK
from maas_operator.gateway.looking import look
from maas_operator.gateway.quotas import Quotas
from maas_operator.gateway.seeing import GATEWAYS, Changes, Seen
from maas_operator.gateway.settings import GatewaySettings
from maas_operator.gateway.shipping.sending import reopener, sender
from maas_operator.gateway.shipping.shipper import Settings as Shipping
from maas_operator.gateway.shipping.shipper import Shipper
from maas_operator.options import kubeconfig_option, log_options, namespace_option
from maas_operator.watch.watch import Watch

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

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, and ship then what is left. Raises what ends it otherwise."""
        process.collect_seldom()
        process.stop_on_signals(self._stopping)
        async with aiohttp.ClientSession() as session:
            metrics = serve.metrics()
            metrics.router.add_get(envoy_stats.PATH, envoy_stats.shown(session, self._options.admin))
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
                if options.settings.rate_limit_service:
                    tasks.create_task(sharing.watch(session, options.admin))
                tasks.create_task(quotas.run(lambda: _with_quota(seen), changes.changed.set))
                keys = signing.follow(options.signing_keys)
                tasks.create_task(running.run(options.settings, options.folder, options.access_log, facts, keys))
        finally:
            await http.close()


def _with_quota(seen: Seen) -> bool:
    return any("tokenQuota" in each["spec"].get("limits", ()) for each in seen.of(API_KEY.kind))


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
@click.option("--metrics-port", default=8082, help="Port of /metrics.")
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
