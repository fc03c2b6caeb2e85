"""Limits that all replicas count together, in a store behind Envoy's own rate limit service.

The service counts in windows of time. A window is WHOLE parts, whatever the limit, and each request takes as many of
them as its limit says: so the service's own file never changes, and a new limit needs nothing but the request.

Requests: shared.lua says which window it is and what a request takes of it. Tokens: what an answer used is charged when
it ends, streams and what clients hung up on included; a request looks, without taking anything, whether the second's
share or the minute's is used up.
"""

from maas_operator.gateway.envoy.names import CLIENT, KEY_TPM, LIMIT, LIMITS, METADATA, SHARED
from maas_operator.gateway.envoy.proto import Config, extension, seconds, typed

WHOLE = 1_000_000_000
"""Parts of a window: the most that Envoy lets one request take."""
DOMAIN = "maas"
CONNECT_SECONDS = 0.25
TIMEOUT = 1.0
"""Seconds that the service may take. Then the request goes on: the limiters of each replica still hold."""
AWAY = {
    "consecutive_5xx": 5,
    "interval": "0.5s",
    "base_ejection_time": "2s",
    "max_ejection_time": "10s",
    "max_ejection_percent": 100,
}
"""A service that fails, or whose store does, is not asked for a while, so that requests do not wait for it."""
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster(address: str) -> Config:
    """The service. address: HOST:PORT; all addresses of the name are asked in turn."""
    host, _, port = address.rpartition(":")
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}}
    return {
        "name": LIMITS,
        "type": "STRICT_DNS",
        "connect_timeout": seconds(CONNECT_SECONDS),
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "outlier_detection": AWAY,
        "typed_extension_protocol_options": {_HTTP: typed(_HTTP, explicit_http_config={"http2_protocol_options": {}})},
        "load_assignment": {"cluster_name": LIMITS, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def requests() -> list[Config]:
    """The filters that ask whether a request may go on: each, where the request has such a limit, asks once. What one
    refuses takes nothing of the limits after it."""
    return [
        _filter("key-tokens", _tokens("key")),
        _filter("service-tokens", _tokens("service")),
        _filter("key-requests", [_requests("key", "key_requests", "key-requests")]),
        _filter("service-requests", [_requests("service", "service_requests", "service-requests")]),
        _filter("service-qps", [_requests("service", "service_qps", "service-qps")]),
    ]


def charge() -> Config:
    """The filter that charges tokens when an answer ends. Only what was let through comes to it."""
    charges = [
        {**each, "apply_on_stream_done": True, "hits_addend": {"format": _used(limit)}}
        for who, limit in (("key", _KEY_LIMIT), ("service", _SERVICE_LIMIT))
        for each in _tokens(who)
    ]
    return _filter("charge", charges)


_KEY_LIMIT = f"double(request.headers['{KEY_TPM}'])"
_SERVICE_LIMIT = f"double(xds.route_metadata.filter_metadata['{METADATA}'].tpm)"


def _used(limit: str) -> str:
    """Parts of a minute's window that an answer's tokens are, rounded up; nothing where the engine counted none."""
    usage = "metadata.filter_metadata['maas.usage']"
    tokens = f"({usage}.prompt_tokens + ('completion_tokens' in {usage} ? {usage}.completion_tokens : 0.0))"
    return f"%TYPED_CEL({tokens} < {limit} ? {tokens} * {WHOLE}.0 / {limit} + 1.0 : {WHOLE}.0)%"


def _requests(who: str, name: str, kind: str) -> Config:
    window = [
        {"metadata": {"descriptor_key": key, "metadata_key": {"key": SHARED, "path": [{"key": name}, {"key": field}]}}}
        for key, field in (("window", "number"), ("per", "per"))
    ]
    return {
        "actions": [_who(who, kind), *window],
        "hits_addend": {"format": f"%DYNAMIC_METADATA({SHARED}:{name}:hits)%"},
    }


def _tokens(who: str) -> list[Config]:
    # the limit is there, or there is nothing to ask
    limited: Config = (
        {"request_headers": {"header_name": KEY_TPM, "descriptor_key": "limit"}}
        if who == "key"
        else {"metadata": {"descriptor_key": "limit", "source": "ROUTE_ENTRY", "metadata_key": _route("tpm")}}
    )
    return [
        {
            "actions": [
                _who(who, f"{who}-tokens"),
                limited,
                {"generic_key": {"descriptor_key": "per", "descriptor_value": per}},
            ],
            "hits_addend": {"number": 0},
        }
        for per in ("second", "minute")
    ]


def _who(who: str, kind: str) -> Config:
    if who == "key":
        return {"request_headers": {"header_name": CLIENT, "descriptor_key": kind}}
    return {"metadata": {"descriptor_key": kind, "source": "ROUTE_ENTRY", "metadata_key": _route("id")}}


def _route(field: str) -> Config:
    return {"key": METADATA, "path": [{"key": field}]}


def _filter(name: str, rate_limits: list[Config]) -> Config:
    return extension(
        f"shared-{name}",
        "envoy.extensions.filters.http.ratelimit.v3.RateLimit",
        domain=DOMAIN,
        timeout=seconds(TIMEOUT),
        failure_mode_deny=False,
        disable_x_envoy_ratelimited_header=True,
        rate_limit_service={
            "grpc_service": {"envoy_grpc": {"cluster_name": LIMITS}},
            "transport_api_version": "V3",
        },
        rate_limits=rate_limits,
        stat_prefix=name.replace("-", "_"),
        response_headers_to_add=[
            {"header": {"key": LIMIT, "value": f"shared-{name}"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
    )
