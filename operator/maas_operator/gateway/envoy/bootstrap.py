"""How Envoy is started, and what it reads once, at its start."""

import json
from pathlib import PurePath
from shlex import quote

from maas_operator.gateway.access_log import DEAD, FLUSH_MILLISECONDS, PROGRESS
from maas_operator.gateway.envoy import control, shared
from maas_operator.gateway.envoy.clusters import assignment
from maas_operator.gateway.envoy.names import AGENT, BOOTSTRAP, CLUSTERS, GATEWAY, LISTENERS, LOOPBACK, REPLICAS
from maas_operator.gateway.envoy.proto import Config, extension, file_source
from maas_operator.gateway.settings import GatewaySettings

MOST_OF_AGENT = 256
"""Requests to the agent at a time, beside those of requests that are held or kept alive: of one that came by the
agent's own adapter (I3) there are two."""
RUNTIME = {"upstream.base_retry_backoff_ms": 200}
"""While the agent is away, each held request asks for it again after up to 0.2 s, then 0.4, and at last up to 2 s."""


def bootstrap(settings: GatewaySettings, folder: str) -> str:
    """The bootstrap. Envoy also needs --service-node and --service-cluster."""
    clusters = [_agent(settings), _replicas(folder)]
    if settings.content_control:
        clusters.append(control.cluster(settings.content_control))
    if settings.rate_limit_service:
        clusters.append(shared.cluster(settings.rate_limit_service))
    config = {
        "admin": {"address": {"socket_address": {"address": LOOPBACK, "port_value": settings.admin_port}}},
        "dynamic_resources": {
            "lds_config": file_source(folder, LISTENERS),
            "cds_config": file_source(folder, CLUSTERS),
        },
        "cluster_manager": {"local_cluster_name": GATEWAY},
        "static_resources": {"clusters": clusters},
        "layered_runtime": {"layers": [{"name": "ours", "static_layer": RUNTIME}]},
        "overload_manager": _overload(settings),
    }
    return json.dumps(config, indent=1, sort_keys=True) + "\n"


def start(folder: str, log: str) -> str:
    """The script that starts Envoy, for bash; its arguments are further ones of Envoy's. What the Envoy before wrote of
    requests under way gets another name, which says that its writer is dead."""
    flags = f"--config-path {quote(f'{folder}/{BOOTSTRAP}')} --file-flush-interval-msec {FLUSH_MILLISECONDS}"
    return f"""set -e
cd {quote(str(PurePath(log).parent))}
if [ -d {PROGRESS} ]; then mv {PROGRESS} "{DEAD}.$(date +%s%N)"; fi
mkdir {PROGRESS}
exec envoy {flags} --disable-hot-restart "$@"
"""


def _agent(settings: GatewaySettings) -> Config:
    most = MOST_OF_AGENT + 2 * settings.holding.requests + settings.holding.keep_alive_streams
    return {
        "name": AGENT,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": most, "max_pending_requests": most, "max_requests": most, "max_retries": most}
            ]
        },
        "load_assignment": assignment(AGENT, ((LOOPBACK, settings.agent_port),)),
    }


def _replicas(folder: str) -> Config:
    return {
        "name": GATEWAY,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": file_source(folder, REPLICAS)},
    }


def _overload(settings: GatewaySettings) -> Config:
    """Near the bound on memory: no new streams, then nothing new at all. Connections have a bound of their own."""
    heap, connections = (
        "envoy.resource_monitors.fixed_heap",
        "envoy.resource_monitors.global_downstream_max_connections",
    )
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            extension(
                heap,
                "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=settings.heap_bytes,
            ),
            extension(
                connections,
                "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=settings.connections,
            ),
        ],
        "actions": [
            _action("envoy.overload_actions.shrink_heap", heap, 0.85),
            _action("envoy.overload_actions.disable_http_keepalive", heap, 0.9),
            _action("envoy.overload_actions.stop_accepting_requests", heap, 0.95),
        ],
    }


def _action(name: str, resource: str, at: float) -> Config:
    return {"name": name, "triggers": [{"name": resource, "threshold": {"value": at}}]}
