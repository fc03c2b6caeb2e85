"""Keys, and what is held against them or against a service."""

import math
from functools import lru_cache

from envoy.extensions.filters.http.api_key_auth.v3 import api_key_auth_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2

from maas_operator.gateway.envoy.names import AGENT, CLIENT, KEY_HASH, SERVICE, TOKEN_KEY
from maas_operator.gateway.envoy.proto import Config, discovered, extension, header, message
from maas_operator.gateway.facts import Facts, Key, Limits

FROZEN, QUOTA, TOKENS, NOT_ALLOWED = "frozen", "quota", "tokens", "not-allowed"
"""Verdicts. They show up in Envoy's code details, by which the answer is chosen."""
_NOBODY = api_key_auth_pb2.Credential(key="nobody", client="nobody")
"""Where there is no key at all: Envoy, without credentials, would call every key missing. No digest is like this."""


def keys(facts: Facts) -> bytes:
    """The file of credentials. Envoy takes no two of one key: the older one's is kept."""
    known = {key.credential: key for key in reversed(facts.keys)}
    auth = api_key_auth_pb2.ApiKeyAuth(
        credentials=[] if known else [_NOBODY],
        key_sources=[api_key_auth_pb2.KeySource(header=header_) for header_ in (KEY_HASH, TOKEN_KEY)],
        forwarding=api_key_auth_pb2.Forwarding(header=CLIENT, hide_credentials=True),
    )
    # Messages of protobuf are joined by joining their bytes: those of a key that did not change are not made again.
    return discovered("keys", auth, more=b"".join(map(_credential, known.values())))


@lru_cache(maxsize=2**16)
def _credential(key: Key) -> bytes:
    """A configuration that holds this credential alone."""
    one = api_key_auth_pb2.Credential(key=key.credential, client=client(key))
    made: bytes = api_key_auth_pb2.ApiKeyAuth(credentials=[one]).SerializeToString()
    return made


def client(key: Key) -> str:
    """What the filters after this one are told of a key: `ACCOUNT/NAME RPM TPM WAIT`, 0 where there is no bound."""
    limits = key.limits
    return f"{key.path} {limits.requests_per_minute or 0} {limits.tokens_per_minute or 0} {wait(limits)}"


def wait(limits: Limits) -> int:
    """Seconds until the next request is let through, for one that is over its requests a minute."""
    return math.ceil(60 / limits.requests_per_minute) if limits.requests_per_minute else 0


def verdicts(facts: Facts) -> bytes:
    """The file of services that are past their tokens a minute, and of keys that must not go on, or only to some."""
    over = sorted(each.id for each in facts.services if each.id in facts.over_limit)
    of_services = {id_: _deny("service", TOKENS) for id_ in over}
    of_keys = _tree(CLIENT, _of_keys(facts), _allow())
    tree = _tree(SERVICE, of_services, {"matcher": of_keys})
    return discovered("verdicts", message(rbac_pb2.RBAC, {"matcher": tree}))


def _of_keys(facts: Facts) -> dict[str, Config]:
    ids = {each.path: each.id for each in facts.services}
    matches: dict[str, Config] = {}
    for key in facts.keys:
        if key.frozen:
            matches[key.path] = _deny("key", FROZEN)
        elif key.quota_used_up:
            matches[key.path] = _deny("key", QUOTA)
        elif key.path in facts.over_limit:
            matches[key.path] = _only([], TOKENS)
        elif key.services:
            found = [ids[path] for name in key.services if (path := f"{key.account}/{name}") in ids]
            matches[key.path] = _only(found, NOT_ALLOWED)
    return matches


def _only(ids: list[str], verdict: str) -> Config:
    """Deny all services but these, and let requests through that the agent answers."""
    return {"matcher": _tree(SERVICE, {each: _allow() for each in [*ids, AGENT]}, _deny("key", verdict))}


def _tree(name: str, matches: dict[str, Config], otherwise: Config) -> Config:
    tree = {"input": header(name), "exact_match_map": {"map": matches or {"": otherwise}}}
    return {"matcher_tree": tree, "on_no_match": otherwise}


def _deny(whose: str, verdict: str) -> Config:
    name = f"{whose}-{verdict}"
    return {"action": extension(name, "envoy.config.rbac.v3.Action", name=name, action="DENY")}


def _allow() -> Config:
    return {"action": extension("allow", "envoy.config.rbac.v3.Action", name="allow")}
