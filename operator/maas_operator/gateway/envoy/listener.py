"""The listener: who may connect, how long a request may take to arrive, and what is written down of it."""

from collections.abc import Mapping
from pathlib import PurePath

from maas_operator.gateway.access_log import (
    CONTROL_FORMAT,
    ENDED,
    FORMAT,
    LONG_MILLISECONDS,
    PROGRESS,
    PROGRESS_FORMAT,
    PROGRESS_LOG,
    PROGRESS_SECONDS,
)
from maas_operator.gateway.envoy.filters import ROUTER, filters, hold
from maas_operator.gateway.envoy.names import (
    AGENT,
    CERTIFICATE,
    GIVEN_TO,
    LATE,
    LOOPBACK,
    ONWARD,
    PREFIX,
    ROUTES,
    SERVICE,
)
from maas_operator.gateway.envoy.proto import Config, discovery_text, extension, file_source, seconds, typed
from maas_operator.gateway.envoy.replies import late_replies, replies
from maas_operator.gateway.envoy.routes import HOLD, LUA, NAME_OF_ROUTES, RETRY, held
from maas_operator.gateway.settings import GatewaySettings

MAX_HEAD_KIB = 60
OUR_HEAD_KIB = 4
"""Of a request that has been through the chain: what that has written into its head."""
MAX_STREAMS = 256
"""Requests at a time on one HTTP/2 connection."""


def listeners(settings: GatewaySettings, folder: str, log: str) -> str:
    """The file of listeners: for clients; on loopback for what the agent asks in a client's name, of which the address
    says nothing; for what it passes on; and for what is to be held after all. log: path of the access log, whose lines
    are those of access_log.py."""
    outer = _listener("gateway", settings.address, settings.port, settings, _http(settings, folder, log))
    if settings.tls:
        outer["filter_chains"][0]["transport_socket"] = _tls(folder)
    of_agent = settings.model_copy(update={"requests_per_minute_per_address": None})
    made = [outer, _listener("inner", LOOPBACK, settings.inner_port, settings, _http(of_agent, folder, log))]
    if settings.holding.requests:
        made.append(_listener(LATE, LOOPBACK, settings.late_port, settings, _late(settings)))
        if settings.holding.keep_alive_streams:
            made.append(_listener(ONWARD, LOOPBACK, settings.onward_port, settings, _onward(settings)))
    return discovery_text(made)


def certificate(settings: GatewaySettings) -> str:
    """The file that names the certificate; Envoy reads the certificate itself again when its folder changes."""
    folder = settings.tls.folder if settings.tls else ""
    pair = {
        "certificate_chain": {"filename": f"{folder}/tls.crt"},
        "private_key": {"filename": f"{folder}/tls.key"},
        "watched_directory": {"path": folder},
    }
    secret = typed("envoy.extensions.transport_sockets.tls.v3.Secret", name="gateway", tls_certificate=pair)
    return discovery_text([secret])


def _listener(name: str, address: str, port: int, settings: GatewaySettings, http: Config) -> Config:
    return typed(
        "envoy.config.listener.v3.Listener",
        name=name,
        address={"socket_address": {"address": address, "port_value": port}},
        per_connection_buffer_limit_bytes=settings.request_bytes,
        filter_chains=[{"filters": [http]}],
    )


def _http(settings: GatewaySettings, folder: str, log: str) -> Config:
    return extension(
        "http",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="gateway",
        rds={"config_source": file_source(folder, ROUTES), "route_config_name": NAME_OF_ROUTES},
        http_filters=filters(settings, folder),
        local_reply_config=replies(settings),
        access_log=_logs(settings, log),
        access_log_options={"access_log_flush_interval": seconds(PROGRESS_SECONDS)},
        # the client's address
        use_remote_address=True,
        xff_num_trusted_hops=settings.trusted_proxies,
        skip_xff_append=False,
        # one id, ours, in the log, the answer and the error
        generate_request_id=True,
        preserve_external_request_id=False,
        always_set_request_id_in_response=True,
        request_id_extension={
            "typed_config": typed(
                "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig", use_request_id_for_trace_sampling=False
            )
        },
        # no second way to write a path or a header
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        common_http_protocol_options={
            "headers_with_underscores_action": "REJECT_REQUEST",
            "idle_timeout": seconds(settings.idle_seconds),
            "max_headers_count": 100,
        },
        max_request_headers_kb=MAX_HEAD_KIB,
        http2_protocol_options={
            "max_concurrent_streams": MAX_STREAMS,
            "initial_stream_window_size": 65536,
            "initial_connection_window_size": 1048576,
        },
        # slow clients
        request_headers_timeout=seconds(settings.head_seconds),
        request_timeout=seconds(settings.body_seconds),
        stream_idle_timeout=seconds(settings.backend_seconds),
        server_name="maas",
    )


def _onward(settings: GatewaySettings) -> Config:
    """From the agent to the instances: a service's cluster, and that is all."""
    return _inside(ONWARD, settings, [ROUTER], [{"match": {"prefix": "/"}, "route": _TO_SERVICE}])


def _late(settings: GatewaySettings) -> Config:
    """What came while its service had an instance and finds none when it is to go there: its body was long on the way,
    or content control thought about it. A service whose requests are held has this listener in the place of an instance
    (holding.py), and here they are held like those that came later."""
    given = {"prefix": "/", "headers": [{"name": GIVEN_TO, "string_match": {"exact": AGENT}}]}
    to_agent, to_service = held({"cluster": AGENT, "timeout": "0s"}, _TO_SERVICE, settings.waits)
    routes = [
        {"match": given, "route": to_agent},
        {"match": {"prefix": "/"}, "route": to_service, "metadata": {"filter_metadata": {LUA: HOLD}}},
    ]
    return _inside(LATE, settings, [hold(settings), ROUTER], routes, local_reply_config=late_replies())


_TO_SERVICE: Config = {
    "cluster_header": SERVICE,
    "timeout": "0s",
    "hash_policy": [{"header": {"header_name": PREFIX}}],  # where the cluster goes by it
    "retry_policy": RETRY,
}


def _inside(name: str, settings: GatewaySettings, chain: list[Config], routes: list[Config], **more: object) -> Config:
    """Of requests that have their key, limits, id and line in the log already. more: further fields."""
    return extension(
        "http",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        http_filters=chain,
        generate_request_id=False,
        max_request_headers_kb=MAX_HEAD_KIB + OUR_HEAD_KIB,
        stream_idle_timeout=seconds(settings.backend_seconds),
        **more,
    )


def _logs(settings: GatewaySettings, path: str) -> list[Config]:
    """The last line of each request; and beside it lines on requests under way, and the last of those that had some."""
    fields = FORMAT | (CONTROL_FORMAT if settings.content_control else {})
    long = {
        "op": "GE",
        "value": {"default_value": LONG_MILLISECONDS, "runtime_key": "maas.progress_milliseconds"},
    }
    last = _all(_type(ENDED), {"duration_filter": {"comparison": long}})
    return [
        _file(path, fields, _type(ENDED)),
        _file(
            str(PurePath(path).with_name(PROGRESS) / PROGRESS_LOG),
            fields | PROGRESS_FORMAT,
            {"or_filter": {"filters": [_type("DownstreamPeriodic"), last]}},
        ),
    ]


def _file(path: str, format_: Mapping[str, str], which: Config) -> Config:
    """Requests without a valid key have no account and are not written down: Envoy's counters count them."""
    with_key = {"header_filter": {"header": {"name": "x-maas-account", "present_match": True}}}
    return {
        **extension(
            "file",
            "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            path=path,
            log_format={"json_format": dict(format_), "omit_empty_values": True},
        ),
        "filter": _all(which, with_key),
    }


def _type(type_: str) -> Config:
    return {"log_type_filter": {"types": [type_]}}


def _all(*filters_: Config) -> Config:
    return {"and_filter": {"filters": list(filters_)}}


def _tls(folder: str) -> Config:
    shown = {"name": "gateway", "sds_config": file_source(folder, CERTIFICATE)}
    return extension(
        "tls",
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={"tls_certificate_sds_secret_configs": [shown], "alpn_protocols": ["h2", "http/1.1"]},
    )
