"""Routes: from an account and what it asks for to a service. Look-ups in maps, however many services there are."""

from collections.abc import Iterator
from functools import lru_cache

from envoy.config.route.v3 import route_pb2
from xds.type.matcher.v3 import matcher_pb2

from maas_operator.api.modelservice import Balancing
from maas_operator.gateway.envoy.keys import wait
from maas_operator.gateway.envoy.names import AGENT, GIVEN_TO, METADATA, NAME, PREFIX, ROUTE
from maas_operator.gateway.envoy.proto import Config, discovery, extension, header, message, seconds, typed
from maas_operator.gateway.facts import Facts, Reach, Service, Waits

NAME_OF_ROUTES = "services"
FROZEN, NO_ACCESS, NO_API, NO_MODEL = "frozen", "no-access", "no-api", "no-model"
"""Routes that refuse. The answer is chosen by the route's name."""
HOLD_MARGIN = 10
"""Seconds by which Envoy's own bound on silence is later than the end of a request's time to be held."""
_STATUS = {FROZEN: 401, NO_ACCESS: 401, NO_API: 404, NO_MODEL: 404}
LUA = "envoy.filters.http.lua"
HOLD: Config = {"hold": True}
"""Metadata of a route whose requests are held."""
RETRY = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 2,
    "retry_back_off": {"base_interval": "0.025s"},
    "retry_host_predicate": [
        extension("previous", "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")
    ],
    "host_selection_retry_max_attempts": 3,
}
"""Only where the instance cannot have seen a byte: a request is never carried out twice."""


def routes(facts: Facts) -> bytes:
    """The file of routes."""
    table = message(route_pb2.RouteConfiguration, _table(facts.waits))
    of_accounts = table.virtual_hosts[0].matcher.on_no_match.matcher
    for_anyone = of_accounts.on_no_match.matcher
    own = of_accounts.matcher_tree.exact_match_map.map
    anyone = for_anyone.matcher_tree.exact_match_map.map
    shared: dict[str, matcher_pb2.Matcher.OnMatch] = {}
    for name, service in _names(facts):
        answer = _answer(service, facts.waits if service.id in facts.holding else None)
        if (own_name := f"{service.namespace} {name}") not in own:
            own[own_name].CopyFrom(answer)
        for account in service.shared_with:
            shared.setdefault(f"{account} {name}", answer)
        if service.shared_with_all and name not in anyone:
            anyone[name].CopyFrom(answer)
    for name, answer in shared.items():
        if name not in own:
            own[name].CopyFrom(answer)
    for service in facts.services:
        if (name := f"id/{service.id}") not in anyone:
            anyone[name].CopyFrom(_no_access())
    return discovery([table])


def _table(waits: Waits) -> Config:
    """All but the services: look the account's name up, then the names that all may call, then refuse."""
    anyone = {
        "matcher_tree": {"input": header(NAME), "exact_match_map": {"map": {"": _refusal(NO_API)}}},
        "on_no_match": {"matcher": _unknown()},
    }
    accounts = {
        "matcher_tree": {"input": header(ROUTE), "exact_match_map": {"map": {"!agent": _agent(waits)}}},
        "on_no_match": {"matcher": anyone},
    }
    matcher = {
        # by its path, since Envoy asks whether a filter is off before the first one has run
        "matcher_tree": {"input": header(":path"), "exact_match_map": {"map": {"/oauth2/token": _token()}}},
        "on_no_match": {"matcher": accounts},
    }
    return {
        "name": NAME_OF_ROUTES,
        "virtual_hosts": [{"name": "all", "domains": ["*"], "matcher": matcher, "retry_policy": RETRY}],
        "request_headers_to_remove": ["accept-encoding"],
    }


def _names(facts: Facts) -> Iterator[tuple[str, Service]]:
    """What services are asked for by. Where several have a name, the first counts: a service's own name comes before
    its model's, and of those of one model a service that can be called before one that cannot."""
    for service in facts.services:
        yield f"id/{service.id}", service
        yield f"name/{service.name}", service
    for service in sorted(facts.services, key=lambda each: each.reach != Reach.OPEN):
        for name in service.names:
            yield f"name/{name}", service


@lru_cache(maxsize=16384)
def _answer(service: Service, held: Waits | None) -> matcher_pb2.Matcher.OnMatch:
    match service.reach:
        case Reach.FROZEN:
            config = _refusal(FROZEN, service)
        case Reach.STOPPED:
            config = _refusal(NO_ACCESS, service)
        case Reach.OPEN:
            config = _held(service, held) if held else _service(service)
    return message(matcher_pb2.Matcher.OnMatch, config)


@lru_cache(maxsize=1)
def _no_access() -> matcher_pb2.Matcher.OnMatch:
    return message(matcher_pb2.Matcher.OnMatch, _refusal(NO_ACCESS))


def _unknown() -> Config:
    """What is neither a service's id nor a name that the account knows."""
    tree = {"input": header(NAME), "prefix_match_map": {"map": {"id/": _refusal(NO_API), "name/": _refusal(NO_MODEL)}}}
    return {"matcher_tree": tree, "on_no_match": _refusal(NO_API)}


def held(to_agent: Config, to_instances: Config, waits: Waits) -> tuple[Config, Config]:
    """The actions of routes for requests that are held: to the agent, and, with HOLD in the route's metadata, to the
    instances."""
    silence = {"idle_timeout": seconds(waits.held + HOLD_MARGIN + waits.backend)}
    retry = RETRY | {"per_try_idle_timeout": seconds(waits.backend)}  # as silent as with any other, from then on
    return to_agent | silence, to_instances | silence | {"retry_policy": retry}


def _held(service: Service, waits: Waits) -> Config:
    """To the agent, where Envoy was told to give it a request; otherwise to the instances, once it may go on."""
    to_agent, to_instances = held({"cluster": AGENT}, {}, waits)
    tree = {"input": header(GIVEN_TO), "exact_match_map": {"map": {AGENT: _service(service, **to_agent)}}}
    return {"matcher": {"matcher_tree": tree, "on_no_match": _service(service, HOLD, **to_instances)}}


def _service(service: Service, more: Config | None = None, **action_: object) -> Config:
    """more: further metadata for scripts. action_: further fields of the route's action."""
    action: Config = {"cluster": service.id, "timeout": "0s", **action_}
    lua: Config = {"service": service.id, **(more or {})}
    if service.balancing == Balancing.PREFIX_AFFINITY:
        action["hash_policy"] = [{"header": {"header_name": PREFIX}}]
        lua["affinity"] = True
    if service.unsupported:
        lua["unsupported"] = list(service.unsupported)
    if service.qps:
        lua["qps"] = service.qps
    if service.limits.requests_per_minute:
        lua["rpm"] = service.limits.requests_per_minute
    return _route(
        service.path,
        route=action,
        metadata={"filter_metadata": {METADATA: _facts(service), LUA: lua}},
    )


def _facts(service: Service) -> Config:
    """What the access log and the limiters read."""
    facts = {
        "namespace": service.namespace,
        "name": service.name,
        "id": service.id,
        "model": service.model,
        "version": service.version,
    }
    if service.qps:
        facts["qps"] = str(service.qps)
    if service.limits.requests_per_minute:
        facts |= {"rpm": str(service.limits.requests_per_minute), "wait": str(wait(service.limits))}
    if service.limits.tokens_per_minute:
        facts["tpm"] = str(service.limits.tokens_per_minute)
    return {key: value for key, value in facts.items() if value}


def _refusal(name: str, service: Service | None = None) -> Config:
    fields: Config = {"direct_response": {"status": _STATUS[name]}}
    if service:
        facts = {"namespace": service.namespace, "name": service.name, "id": service.id}
        fields["metadata"] = {"filter_metadata": {METADATA: facts}}
    return _route(name, **fields)


def _agent(waits: Waits) -> Config:
    """What the agent asks on in a client's name may be held."""
    silence = seconds(waits.held + HOLD_MARGIN + waits.backend)
    return _route("agent", route={"cluster": AGENT, "timeout": "0s", "idle_timeout": silence})


def _token() -> Config:
    """Where clients get their tokens: no key is asked for, the agent looks at their secret."""
    off = typed("envoy.config.route.v3.FilterConfig", disabled=True)
    fields = {"route": {"cluster": AGENT, "timeout": "5s"}, "typed_per_filter_config": {"keys": off}}
    return _route("token", **fields)


def _route(name: str, **fields: object) -> Config:
    return {"action": extension(name, "envoy.config.route.v3.Route", name=name, match={"prefix": "/"}, **fields)}
