"""The chain that a request goes through. On the way back it is the other way round: what stands later sees an answer
first."""

from maas_operator.gateway import errors
from maas_operator.gateway.envoy import control, names, shared
from maas_operator.gateway.envoy.limits import address_requests
from maas_operator.gateway.envoy.lua import lua
from maas_operator.gateway.envoy.proto import Config, extension, file_source, typed
from maas_operator.gateway.facts import Facts
from maas_operator.gateway.places import Answer
from maas_operator.gateway.settings import GatewaySettings, StreamUsage

_HTTP = "envoy.extensions.filters.http"
ROUTER = extension("router", f"{_HTTP}.router.v3.Router", suppress_envoy_headers=True)
USAGE = ("prompt_tokens", "completion_tokens")
ANY_TYPE = {"google_re2": {}, "regex": ".*"}
"""Whatever a request's body is said to be, it is read as JSON: what is not JSON is refused."""
OURS = {"remove_on_match": {"key_matcher": {"prefix": "x-maas-"}}}
HOLD_GRACE = 5
"""Seconds after a request's time is up in which the agent has to say so; then Envoy ends it."""
JSON_TYPE = {"google_re2": {}, "regex": "(?i)application/json.*"}


def filters(settings: GatewaySettings, folder: str) -> list[Config]:
    """The chain, in the order of the request's way."""
    chain = [
        # under our own names nothing of the client's gets in, and nothing of ours out
        extension(
            "ours",
            f"{_HTTP}.header_mutation.v3.HeaderMutation",
            mutations={"request_mutations": [OURS], "response_mutations": [OURS]},
        ),
        # the path known, the key hashed
        lua("lua-entry", {}, "sha256.lua", "entry.lua"),
    ]
    if settings.requests_per_minute_per_address:
        limiter = address_requests(settings, Facts())
        chain.append({"name": "address-requests", "typed_config": limiter})
    chain += [
        # tokens of clients with credentials: signature and expiry; they say which key to look up
        _discovered("tokens", names.TOKENS, f"{_HTTP}.jwt_authn.v3.JwtAuthentication", folder),
        # the key is known
        _discovered("keys", names.KEYS, f"{_HTTP}.api_key_auth.v3.ApiKeyAuth", folder),
    ]
    if settings.content_control and settings.content_control.output:
        # an answer may pass: as it goes to the client, and after its tokens were counted
        chain.append(control.output_filter(settings.content_control))
    chain += [
        # model, stream and usage from the body
        _body(settings),
        # which service; usage on every stream, and off again; tokens of an answer; reasoning under both its names
        lua("lua-body", _of_body(settings), "body.lua"),
        # frozen, quota used up, services that the key is not for, tokens a minute
        _discovered("verdicts", names.VERDICTS, f"{_HTTP}.rbac.v3.RBAC", folder),
    ]
    if settings.rate_limit_service:
        # the limits, counted in a store for all replicas
        chain += [lua("lua-shared", {}, "shared.lua"), *shared.requests()]
    chain += [
        # requests a minute and a second, counted here
        _discovered("key-requests", names.KEY_REQUESTS, f"{_HTTP}.local_ratelimit.v3.LocalRateLimit", folder),
        _discovered("service-requests", names.SERVICE_REQUESTS, f"{_HTTP}.local_ratelimit.v3.LocalRateLimit", folder),
        _discovered("service-qps", names.SERVICE_QPS, f"{_HTTP}.local_ratelimit.v3.LocalRateLimit", folder),
    ]
    if settings.content_control:
        # a request may pass: after all that costs less to ask
        chain.append(control.input_filter(settings.content_control))
    chain += [
        # tokens from a stream, before the usage that nobody asked for is taken off
        _stream(),
        *([shared.charge()] if settings.rate_limit_service else []),
        # a service without an instance that will have one: its requests wait, after all that may refuse them
        *([hold(settings)] if settings.holding.requests else []),
        ROUTER,
    ]
    return chain


def _discovered(name: str, file: str, type_: str, folder: str) -> Config:
    """A filter whose configuration changes while requests go on. Without its file requests are refused."""
    source = {"config_source": file_source(folder, file), "type_urls": [f"type.googleapis.com/{type_}"]}
    return {"name": name, "config_discovery": source}


def _body(settings: GatewaySettings) -> Config:
    broken = {"metadata_namespace": "maas.request", "key": "malformed", "value": True}
    rules = [
        {
            "selectors": [{"key": key} for key in path],
            "on_present": {"metadata_namespace": "maas.request", "key": path[-1], "type": "PROTOBUF_VALUE"},
            "on_error": broken,
        }
        for path in (
            ["model"],
            ["stream"],
            ["n"],
            ["use_beam_search"],
            ["length_penalty"],
            ["stream_options", "include_usage"],
            ["stream_options", "continuous_usage_stats"],
        )
    ]
    config: Config = {
        "request_rules": {"rules": rules, "allow_content_types_regex": ANY_TYPE, "allow_empty_content_type": True}
    }
    if settings.content_control:
        # whether the answer is JSON at all: then maas.answer is not there
        rule = {
            "selectors": [{"key": "usage"}],
            "on_present": {"metadata_namespace": "maas.read", "key": "usage", "value": True},
            "on_error": {**broken, "metadata_namespace": "maas.answer"},
        }
        config["response_rules"] = {"rules": [rule], "allow_content_types_regex": JSON_TYPE}
    return extension("body", f"{_HTTP}.json_to_metadata.v3.JsonToMetadata", **config)


def _of_body(settings: GatewaySettings) -> Config:
    return {
        "EVERY_CHUNK": settings.usage_on_streams == StreamUsage.EVERY_CHUNK,
        "CLIENTS_KEEP_ALIVE": names.CLIENTS_KEEP_ALIVE,
        "KEEP_ALIVE": names.KEEP_ALIVE,
        "MOST_KEEP_ALIVE": errors.MOST_KEEP_ALIVE,
        "REFUSED": names.REFUSED,
        "UNREACHED": names.UNREACHED,
    }


def hold(settings: GatewaySettings) -> Config:
    """Holds the requests of routes that say so, until the agent says that they may go on."""
    constants = {
        "CLUSTER": names.AGENT,
        "PATH": names.HOLD_PATH,
        "SECONDS": settings.holding.seconds + HOLD_GRACE,
        "KEEP_ALIVE": names.KEEP_ALIVE,
        "LENGTH": names.LENGTH,
        "GIVEN_TO": names.GIVEN_TO,
        "GO": Answer.GO,
        "KEEP": Answer.KEEP,
    }
    return lua("lua-hold", constants, "hold.lua")


def _stream() -> Config:
    parser = typed(
        "envoy.extensions.content_parsers.json.v3.JsonContentParser",
        rules=[
            {
                "rule": {
                    "selectors": [{"key": "usage"}, {"key": key}],
                    "on_present": {"metadata_namespace": "maas.usage", "key": key, "type": "NUMBER"},
                }
            }
            for key in USAGE
        ],
    )
    return extension(
        "stream",
        f"{_HTTP}.sse_to_metadata.v3.SseToMetadata",
        response_rules={"content_parser": {"name": "envoy.content_parsers.json", "typed_config": parser}},
    )
