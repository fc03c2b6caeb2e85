"""The table of errors (docs/gateway.md): for each row the requests that get it, on the shared host and on a service's
own path, and the whole answer."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from maas_operator.api.model import Parameter
from maas_operator.gateway import errors
from maas_operator.gateway.errors import Error
from maas_operator.gateway.facts import Facts, Limits, Reach
from tests.gateway.backend import MISSING_MESSAGES, Backend, wrong_model
from tests.gateway.scene import key, service

POSTS = ("/v1/chat/completions", "/v1/completions")
MODELS = "/v1/models"
LIMITED_TRIES = 20
"""Calls until a limit of one must have been reached, however slowly they go."""


@dataclass(frozen=True)
class Ask:
    """A request."""

    method: str
    path: str
    key: str | None = "key-a"
    body: Any = None
    """Bytes as they are, JSON terms, or Ellipsis for one that never comes."""
    scheme: str = "Bearer "
    comments: str | None = None
    """X-SSE-Keep-Alive."""

    def __str__(self) -> str:
        return f"{self.method}_{self.path.strip('/').replace('/', '_')}"


@dataclass(frozen=True)
class Row:
    """A row of the table: its id, as REQUIREMENTS and docs name it, and who gets it."""

    id: str
    status: int
    body: dict[str, Any]
    """In JSON terms; request_id, if it is there, is that of the answer's header."""
    asks: tuple[Ask, ...]
    headers: dict[str, str] = field(default_factory=dict)
    """Retry-After, Allow and x-ratelimit-*: these, and no others."""
    tries: int = 1
    """Requests that may be answered before: of limits."""
    settings: tuple[tuple[str, Any], ...] = ()
    error: Error | None = None


def refused(id_: str, error: Error, asks: Iterable[Ask], limit: str = "", **more: Any) -> Row:
    """A row that the gateway itself answers. limit: what the message says in place of Envoy's command."""
    body = error.body("") | {"error_msg": re.sub("%[^%]+%", limit, error.message)}
    return Row(id_, error.status, body, tuple(asks), error=error, **more)


def shared(name: str = "chat", key_: str | None = "key-a") -> list[Ask]:
    """Calls of a service by its name, on the shared host."""
    return [Ask("POST", path, key_, {"model": name, "messages": [], "prompt": ""}) for path in POSTS]


def own(name: str = "chat", key_: str | None = "key-a") -> list[Ask]:
    """Calls of a service on its own path."""
    return [replace(ask, path=f"/v1/infers/id-{name}{ask.path}") for ask in shared(f"{name}-model", key_)]


def calls(name: str = "chat", key_: str | None = "key-a") -> list[Ask]:
    return shared(name, key_) + own(name, key_)


def own_models(name: str = "chat", key_: str | None = "key-a") -> Ask:
    return Ask("GET", f"/v1/infers/id-{name}{MODELS}", key_)


def lists(key_: str | None) -> list[Ask]:
    return [Ask("GET", MODELS, key_), own_models(key_=key_)]


def everything(key_: str | None = "key-a") -> list[Ask]:
    return calls(key_=key_) + lists(key_)


def with_body(body: Any, asks: Iterable[Ask]) -> list[Ask]:
    return [replace(ask, body=body) for ask in asks]


def asking(parameter: dict[str, Any]) -> list[Ask]:
    """Calls that set a parameter which their model's version does not support (M20)."""
    return [replace(ask, body=ask.body | parameter) for ask in calls("plain")]


def wait(what: str, limit: str, seconds: str) -> dict[str, str]:
    """As OpenAI's clients read it."""
    told = {"limit": limit, "remaining": "0", "reset": f"{seconds}s"}
    return {"retry-after": seconds} | {f"x-ratelimit-{name}-{what}": value for name, value in told.items()}


SOON = {"retry-after": "1"}
ONCE: dict[str, Any] = {"limit": "1", "tries": LIMITED_TRIES}
A_MINUTE = ONCE | {"headers": wait("requests", "1", "60")}
UNKNOWN = ("/", "/v1/embeddings", "/v1/infers/id-chat")

ROWS = (
    refused("81001-malformed", errors.BAD_REQUEST, with_body(b'{"model":"chat",', calls())),
    refused("81001-no-object", errors.BAD_REQUEST, with_body(["chat"], shared())),
    refused("81001-no-model", errors.BAD_REQUEST, with_body({"messages": []}, shared())),
    refused("81001-empty-model", errors.BAD_REQUEST, with_body({"model": ""}, shared())),
    *(refused(f"81001-keep-alive-{wrong}", errors.BAD_KEEP_ALIVE, [replace(ask, comments=wrong) for ask in calls()])
      for wrong in ("often", "0", "61")),
    *(refused(f"81001-{words}", error, asking(parameter), "plain-model")
      for words, parameter, error in (("several-choices", {"n": 2}, errors.NO_CHOICES),
                                      ("beam-search", {"use_beam_search": True}, errors.NO_BEAM_SEARCH),
                                      ("length-penalty", {"length_penalty": 0.5}, errors.NO_LENGTH_PENALTY))),
    refused("81002-missing", errors.NO_KEY, everything(None)),
    refused("81002-empty", errors.NO_KEY, everything("")),
    refused("81002-lacks-bearer", errors.NO_KEY, [replace(ask, scheme="") for ask in everything()]),
    refused("81003", errors.BAD_KEY, everything("nobody")),
    refused("81004-stopped", errors.NO_ACCESS, [*calls("stopped"), own_models("stopped")]),
    refused("81004-not-for-this-key", errors.NO_ACCESS, [*calls(key_="key-only"), own_models(key_="key-only")]),
    refused("81004-of-another-account", errors.NO_ACCESS, [*own("alien"), own_models("alien")]),
    refused("81005", errors.QUOTA_USED_UP, everything("key-quota")),
    refused("81006-account", errors.FROZEN, everything("key-frozen")),
    refused("81006-service", errors.FROZEN, [*calls("frozen"), own_models("frozen")]),
    refused("81009", errors.NO_MODEL, shared("nope")),
    refused("81009-of-another-account", errors.NO_MODEL, shared("alien")),
    refused("81101-key", errors.KEY_REQUESTS, calls(key_="key-once"), **A_MINUTE),
    refused("81101-service", errors.SERVICE_REQUESTS, calls("once"), **A_MINUTE),
    refused("81103-key", errors.KEY_TOKENS, calls(key_="key-spent"), "500", headers=wait("tokens", "500", "1")),
    refused("81103-service", errors.SERVICE_TOKENS, calls("spent"), "100", headers=wait("tokens", "100", "1")),
    refused("APIG.0101-path", errors.NO_API, [Ask(method, path) for method in ("GET", "POST") for path in UNKNOWN]),
    refused("APIG.0101-service-id", errors.NO_API, [*own("nope"), own_models("nope")]),
    refused("APIG.0203-no-instance", errors.BUSY, calls("empty"), headers=SOON),
    refused("APIG.0203-instance-gone", errors.BUSY, calls("gone"), headers=SOON),
    refused("APIG.0203-silent", errors.TIMEOUT, calls("silent"), settings=(("backend_seconds", 1),)),
    refused("APIG.0203-no-agent", errors.BUSY, lists("key-a"), headers=SOON, settings=(("agent_port", 9),)),
    refused("APIG.0308-api", errors.SERVICE_QPS, calls("qps"), headers=SOON, **ONCE),
    refused("APIG.0308-ip", errors.address_requests(1), everything(), headers=SOON, tries=LIMITED_TRIES,
            settings=(("requests_per_minute_per_address", 1),)),
    refused("408", errors.TOO_SLOW, with_body(..., calls()), settings=(("body_seconds", 1),)),
    refused("413", errors.TOO_LARGE, with_body(b" " * 200_000, calls()), settings=(("request_bytes", 65536),)),
    *(
        Row(f"405-{allowed}", 405, {"detail": "Method Not Allowed"}, headers={"allow": allowed},
            asks=tuple(Ask(method, f"{host}{path}", None)
                       for host in ("", "/v1/infers/id-chat") for path in paths for method in methods))
        for allowed, paths, methods in (("POST", POSTS, ("GET", "PUT", "DELETE", "PATCH", "OPTIONS")),
                                        ("GET", (MODELS,), ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")))
    ),
    Row("engines-own-400", 400, MISSING_MESSAGES, tuple(with_body({"model": "chat"}, calls()))),
    Row("engines-own-404", 404, wrong_model("nope", "chat"), tuple(with_body({"model": "nope"}, own()))),
)  # fmt: skip


def facts(engine: Backend, silent: Backend) -> Facts:
    """What the rows call. The engine's first name is chat."""
    once = Limits(1)
    return Facts(
        services=(
            service("chat", engine),
            service("plain", engine, unsupported=tuple(Parameter)),
            service("once", engine, limits=once),
            service("qps", engine, qps=1),
            service("spent", engine, limits=Limits(None, 100)),
            service("empty"),
            service("gone", endpoints=(("127.0.0.1", 1),)),
            service("silent", silent),
            service("stopped", reach=Reach.STOPPED),
            service("frozen", reach=Reach.FROZEN),
            service("alien", engine, namespace="team-b"),
        ),
        keys=(
            key("key-a"),
            key("key-once", limits=once),
            key("key-spent", limits=Limits(None, 500)),
            key("key-only", services=("qps",)),
            key("key-frozen", frozen=True),
            key("key-quota", quota_used_up=True),
        ),
        over_limit=frozenset({"team-a/key-spent", "id-spent"}),
    )


SERVED = ("chat", "chat-model", "plain", "plain-model", "once", "once-model", "qps", "qps-model", "spent", "silent")
