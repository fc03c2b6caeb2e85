"""Keys, and what is held against them or against a service."""

import math
from collections.abc import Iterator
from functools import lru_cache

from envoy.extensions.filters.http.api_key_auth.v3 import api_key_auth_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from xds.type.matcher.v3 import matcher_pb2

from maas_operator.gateway.envoy.names import AGENT, CLIENT, KEY_HASH, SERVICE, TOKEN_KEY
from maas_operator.gateway.envoy.proto import discovered, extension, header, message
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
    over = {each.id: _denied("service", TOKENS) for each in facts.services if each.id in facts.over_limit}
    of_keys = matcher_pb2.Matcher.OnMatch(matcher=_found(CLIENT, dict(_of_keys(facts)), _allowed()))
    return discovered("verdicts", rbac_pb2.RBAC(matcher=_found(SERVICE, over, of_keys)))


def _found(
    name: str, matches: dict[str, matcher_pb2.Matcher.OnMatch], otherwise: matcher_pb2.Matcher.OnMatch
) -> matcher_pb2.Matcher:
    """What is found by a header's value. Put together from messages: from JSON terms it would take half a second. A map
    must not be empty."""
    made = message(matcher_pb2.Matcher, {"matcher_tree": {"input": header(name)}})
    for value, match in (matches or {"": _denied("key", NOT_ALLOWED)}).items():
        made.matcher_tree.exact_match_map.map[value].CopyFrom(match)
    made.on_no_match.CopyFrom(otherwise)
    return made


def _of_keys(facts: Facts) -> Iterator[tuple[str, matcher_pb2.Matcher.OnMatch]]:
    ids = {each.path: each.id for each in facts.services}
    for key in facts.keys:
        if key.frozen:
            yield key.path, _denied("key", FROZEN)
        elif key.quota_used_up:
            yield key.path, _denied("key", QUOTA)
        elif key.path in facts.over_limit:
            yield key.path, _only((), TOKENS)
        elif key.services:
            found = (ids[path] for name in key.services if (path := f"{key.account}/{name}") in ids)
            yield key.path, _only(tuple(found), NOT_ALLOWED)


@lru_cache(maxsize=16384)
def _only(ids: tuple[str, ...], verdict: str) -> matcher_pb2.Matcher.OnMatch:
    """Deny all services but these, and let requests through that the agent answers."""
    found = _found(SERVICE, {each: _allowed() for each in [*ids, AGENT]}, _denied("key", verdict))
    return matcher_pb2.Matcher.OnMatch(matcher=found)


@lru_cache(maxsize=16)
def _denied(whose: str, verdict: str) -> matcher_pb2.Matcher.OnMatch:
    return _action(f"{whose}-{verdict}", action="DENY")


@lru_cache(maxsize=1)
def _allowed() -> matcher_pb2.Matcher.OnMatch:
    return _action("allow")


def _action(name: str, **fields: str) -> matcher_pb2.Matcher.OnMatch:
    config = {"action": extension(name, "envoy.config.rbac.v3.Action", name=name, **fields)}
    return message(matcher_pb2.Matcher.OnMatch, config)
