"""maas-operator ledger: a process of the ledger."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import click
import structlog
from kubernetes import config
from kubernetes.client import ApiClient, AuthenticationV1Api, Configuration
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from maas_operator import logs, process, serve
from maas_operator.ledger.database import DatabaseUrlError, open_database
from maas_operator.ledger.identity import Remembered, reviewer
from maas_operator.ledger.meters import Meters
from maas_operator.ledger.schema import NewerSchemaError
from maas_operator.ledger.service import Access, Ledger
from maas_operator.options import kubeconfig_option, log_options, namespace_option

log = structlog.get_logger()


@dataclass(frozen=True)
class Options:
    """How the ledger is run."""

    database: str
    kubeconfig: Path | None
    access: Access
    host: str
    port: int
    metrics_port: int


@click.command(context_settings={"auto_envvar_prefix": "MAAS_LEDGER", "show_default": True})
@click.option(
    "--database-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that holds the database's URL (from a Secret), where it is not SQLite's.",
)
@click.option(
    "--sqlite",
    default=Path("/var/lib/maas/ledger.db"),
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite's file, where no --database-file is given. Never on NFS: its locks do not hold there.",
)
@kubeconfig_option
@namespace_option
@click.option("--writer", default="maas-gateway", help="The gateway's service account there: it alone sends usage.")
@click.option(
    "--operator",
    default="maas-operator",
    help="The operator's service account there: it alone sends events, and what runs.",
)
@click.option("--host", default="", help="Address to listen on; empty: all.")
@click.option("--port", default=8080, help="Port of the interface.")
@click.option("--metrics-port", default=8081, help="Port of /metrics.")
@log_options
def ledger(
    database_file: Path | None,
    sqlite: Path,
    kubeconfig: Path | None,
    namespace: str,
    writer: str,
    operator: str,
    host: str,
    port: int,
    metrics_port: int,
    log_format: logs.Format,
    log_level: str,
) -> None:
    """Keep the ledger until SIGTERM. Every option can be set by a variable too: MAAS_LEDGER_SQLITE and so on."""
    logs.configure(log_format, log_level)
    url = database_file.read_text().strip() if database_file else f"sqlite:///{sqlite.absolute()}"
    try:
        asyncio.run(_run(Options(url, kubeconfig, Access(namespace, writer, operator), host, port, metrics_port)))
    except (DatabaseUrlError, NewerSchemaError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except OperationalError as error:
        raise click.ClickException(f"the ledger's database does not answer: {error.orig}") from error


async def _run(options: Options) -> None:
    stopping = asyncio.Event()
    process.stop_on_signals(stopping)
    engine: Engine = await asyncio.to_thread(open_database, options.database)
    meters = Meters()
    review = Remembered(reviewer(_api(options.kubeconfig)))
    kept = Ledger(engine, review, options.access, meters)
    applications = (kept.application(), options.port), (serve.metrics(meters.registry), options.metrics_port)
    async with serve.served(*applications, host=options.host or None):
        log.info("the ledger is open", port=options.port, database=engine.dialect.name)
        pruning = asyncio.create_task(kept.prune_now_and_then())
        await stopping.wait()
        pruning.cancel()
    engine.dispose()


def _api(kubeconfig: Path | None) -> AuthenticationV1Api:
    configuration = Configuration()
    if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        path = str(kubeconfig) if kubeconfig else None
        config.load_kube_config(path, client_configuration=configuration)  # type: ignore[no-untyped-call]
    return AuthenticationV1Api(ApiClient(configuration))
