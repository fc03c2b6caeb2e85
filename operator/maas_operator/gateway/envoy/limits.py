"""Limits on requests. Envoy counts anew whenever a limiter's file changes, so these files hold no keys and no services,
only the different limits that there are: a bucket is made for each key or service when it first comes."""

from collections.abc import Iterable

from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2

from maas_operator.gateway.envoy.names import CLIENT, KEY_RPM, LIMIT, METADATA
from maas_operator.gateway.envoy.proto import Config, discovered, message, seconds, typed
from maas_operator.gateway.facts import Facts
from maas_operator.gateway.settings import GatewaySettings

MAX_BUCKETS = 200_000
"""Keys, services or addresses whose use is remembered at a time; beyond, the one longest not seen is forgotten."""
ENDLESS = 4_000_000_000
"""About the most that Envoy can count to."""
NO_LIMIT = {"max_tokens": ENDLESS, "tokens_per_fill": ENDLESS, "fill_interval": "1s"}
_ON = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
MINUTE = 60
REQUESTS_TO_SHARE = 5
"""Requests a second for each replica from which on their shares need not be whole ones."""


def key_requests(facts: Facts) -> bytes:
    """The file of limits on a key's requests a minute."""
    actions = [_header("limit", KEY_RPM), _header("who", CLIENT)]
    limits = {key.limits.requests_per_minute for key in facts.keys}
    return _file("key-requests", actions, limits, 1, facts)


def service_requests(facts: Facts) -> bytes:
    """The file of limits on a service's requests a minute."""
    actions = [_route("limit", "rpm"), _route("who", "id")]
    limits = {service.limits.requests_per_minute for service in facts.services}
    return _file("service-requests", actions, limits, 1, facts)


def service_qps(facts: Facts) -> bytes:
    """The file of limits on a service's requests a second."""
    limits = {service.qps for service in facts.services}
    return _file("service-qps", [_route("limit", "qps"), _route("who", "id")], limits, MINUTE, facts)


def address_requests(settings: GatewaySettings, facts: Facts) -> Config:
    """The limiter of a client address's requests a minute. Each replica counts for itself: an address's connections
    may well all be with one of them."""
    limit = settings.requests_per_minute_per_address or 0
    actions: list[Config] = [{"remote_address": {}}]
    descriptor = {"entries": [{"key": "remote_address"}], "token_bucket": _bucket(limit, 1)}
    config = _limiter("address-requests", actions, [descriptor], shared=False)
    return typed("envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", **config)


def _file(name: str, actions: list[Config], limits: Iterable[int | None], a_minute: int, facts: Facts) -> bytes:
    """a_minute: how often a limit may be used in a minute."""
    replicas = max(1, len(facts.replicas))
    descriptors = [
        {
            "entries": [{"key": "limit", "value": str(limit)}, {"key": "who"}],
            "token_bucket": _net(limit * a_minute) if facts.shared else _bucket(limit * a_minute, replicas),
        }
        for limit in sorted(filter(None, set(limits)))
    ]
    config = _limiter(name, actions, descriptors, shared=bool(facts.replicas) and not facts.shared)
    return discovered(name, message(local_rate_limit_pb2.LocalRateLimit, config))


def _bucket(minutely: int, replicas: int) -> Config:
    """A bucket that fills evenly and holds a second's worth, so that no minute gets more than 1/60 beyond its limit.

    Each replica has its share of the bucket, and gives out whole requests: where a share is small, it is made of whole
    ones, at least one, and what the replicas do not share evenly is left out.
    """
    second = minutely // MINUTE
    if second >= REQUESTS_TO_SHARE * replicas:
        return _filling(minutely, second)
    even = minutely - minutely % replicas
    return _filling(even or minutely, replicas * (1 + second // replicas))


def _net(minutely: int) -> Config:
    """Below a store: the whole limit, and room for the two windows of the store's that may be used at once."""
    return _filling(minutely, 2 * max(1, minutely // MINUTE))


def _filling(minutely: int, most: int) -> Config:
    return {"max_tokens": most, "tokens_per_fill": min(minutely, ENDLESS), "fill_interval": seconds(MINUTE)}


def _limiter(name: str, actions: list[Config], descriptors: list[Config], shared: bool) -> Config:
    config: Config = {
        "stat_prefix": name.replace("-", "_"),
        "filter_enabled": _ON,
        "filter_enforced": _ON,
        "token_bucket": NO_LIMIT,
        "always_consume_default_token_bucket": False,
        "rate_limits": [{"actions": actions}],
        "descriptors": descriptors,
        "max_dynamic_descriptors": MAX_BUCKETS,
        "response_headers_to_add": [
            {"header": {"key": LIMIT, "value": name}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
    }
    if shared:
        config["local_cluster_rate_limit"] = {}
    return config


def _header(key: str, header: str) -> Config:
    return {"request_headers": {"header_name": header, "descriptor_key": key}}


def _route(key: str, field: str) -> Config:
    path = {"key": METADATA, "path": [{"key": field}]}
    return {"metadata": {"descriptor_key": key, "source": "ROUTE_ENTRY", "metadata_key": path}}
