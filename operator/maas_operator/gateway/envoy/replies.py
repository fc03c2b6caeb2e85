"""Envoy's own answers, worded as the table of errors says."""

from collections.abc import Mapping
from dataclasses import replace

from maas_operator.gateway import errors
from maas_operator.gateway.envoy import keys, routes
from maas_operator.gateway.envoy.names import HELD, LIMIT, REFUSED, RESET, SERVICE_ID, SHARED, TOKEN, UNREACHED
from maas_operator.gateway.envoy.proto import Config, extension
from maas_operator.gateway.errors import Error
from maas_operator.gateway.places import REFUSALS, Answer
from maas_operator.gateway.settings import GatewaySettings

REQUEST_ID = "%REQ(x-request-id)%"
NOT_HELD = "10"
"""Seconds after which to try again, where a request could not be held, or not for longer: a start takes a while."""
_DETAILS = "response.code_details"
_CONTENT = f"{_DETAILS} == 'lua_response' && response.code == {errors.content('input').status}"


def replies(settings: GatewaySettings) -> Config:
    """The first mapper whose condition holds words the answer."""
    address = errors.address_requests(settings.requests_per_minute_per_address or 0)
    return {
        "mappers": [
            # a token, where none is believed
            _mapper(f"{_details('missing_api_key')} && '{TOKEN}' in request.headers", errors.BAD_KEY),
            _mapper(_details("missing_api_key"), errors.NO_KEY),
            _mapper(_details("unknown_api_key"), errors.BAD_KEY),
            _mapper(f"{_DETAILS}.startsWith('jwt_authn')", errors.BAD_KEY),
            *(_held() if settings.holding.requests else []),
            _mapper(f"{_details('lua_response')} && response.code == 404", errors.NO_API),
            *(_mapper(_refused(parameter), error) for parameter, error in errors.UNSUPPORTED.items()),
            _mapper(_refused("keep-alive"), errors.BAD_KEEP_ALIVE),
            _mapper(f"{_details('lua_response')} && response.code == 400", errors.BAD_REQUEST),
            *([_unchanged(_CONTENT)] if settings.content_control else []),
            _plain(f"{_details('lua_response')} && response.code == 405", {"detail": "Method Not Allowed"}),
            *(_mapper(_route(name), error) for name, error in _ROUTES.items()),
            _mapper(_verdict("key", keys.FROZEN), errors.FROZEN),
            _mapper(_verdict("key", keys.QUOTA), errors.QUOTA_USED_UP),
            _mapper(_verdict("key", keys.NOT_ALLOWED), errors.NO_ACCESS),
            _mapper(_verdict("key", keys.TOKENS), errors.KEY_TOKENS, _wait("tokens", "%REQ(x-maas-key-tpm)%", "1")),
            _mapper(
                _verdict("service", keys.TOKENS),
                errors.SERVICE_TOKENS,
                _wait("tokens", "%METADATA(ROUTE:maas:tpm)%", "1"),
            ),
            _mapper(
                _limit("key-requests"),
                errors.KEY_REQUESTS,
                _wait("requests", "%REQ(x-maas-key-rpm)%", "%REQ(x-maas-key-wait)%"),
            ),
            _mapper(
                _limit("service-requests"),
                errors.SERVICE_REQUESTS,
                _wait("requests", "%METADATA(ROUTE:maas:rpm)%", "%METADATA(ROUTE:maas:wait)%"),
            ),
            *(_shared() if settings.rate_limit_service else []),
            _mapper(_limit("service-qps"), errors.SERVICE_QPS, {"retry-after": "1"}),
            _mapper(_limit("address-requests"), address, {"retry-after": "1"}),
            _mapper("response.code == 413", errors.TOO_LARGE),
            _mapper("response.code == 408", errors.TOO_SLOW),
            *_FAILED,
            _mapper("response.code == 404", errors.NO_API),
            _mapper("response.code >= 400", replace(errors.BAD_REQUEST, status=400)),
        ],
    }


def late_replies() -> Config:
    """Of requests that the chain has let pass: they say that no instance was reached."""
    said = {"header": {"key": UNREACHED, "value": "true"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    mappers = [*_held(), *_FAILED]
    return {"mappers": [{**each, "headers_to_add": [*each["headers_to_add"], said]} for each in mappers]}


_ROUTES = {
    routes.FROZEN: errors.FROZEN,
    routes.NO_ACCESS: errors.NO_ACCESS,
    routes.NO_API: errors.NO_API,
    routes.NO_MODEL: errors.NO_MODEL,
}


def _shared() -> list[Config]:
    """Of limits that are counted in a store: when there is more is known to the second."""

    def window(name: str) -> str:
        return f"%DYNAMIC_METADATA({SHARED}:{name}:wait)%"

    tokens, requests, reset = "tokens", "requests", f"%RESP({RESET})%"
    waits = {
        "key-tokens": (errors.KEY_TOKENS, _wait(tokens, "%REQ(x-maas-key-tpm)%", reset)),
        "service-tokens": (errors.SERVICE_TOKENS, _wait(tokens, "%METADATA(ROUTE:maas:tpm)%", reset)),
        "key-requests": (errors.KEY_REQUESTS, _wait(requests, "%REQ(x-maas-key-rpm)%", window("key_requests"))),
        "service-requests": (
            errors.SERVICE_REQUESTS,
            _wait(requests, "%METADATA(ROUTE:maas:rpm)%", window("service_requests")),
        ),
        "service-qps": (errors.SERVICE_QPS, {"retry-after": window("service_qps")}),
    }
    return [_mapper(_limit(f"shared-{name}"), error, headers) for name, (error, headers) in waits.items()]


def _held() -> list[Config]:
    """Of requests that were to be held, and do not go on."""

    def said(answer: Answer) -> str:
        return f"{_details('lua_response')} && response.headers['{HELD}'] == '{answer}'"

    return [
        *(_mapper(said(answer), REFUSALS[answer]) for answer in (Answer.STOPPED, Answer.FROZEN, Answer.BAD_KEY)),
        _mapper(f"{said(Answer.GONE)} && '{SERVICE_ID}' in request.headers", errors.NO_API),
        _mapper(said(Answer.GONE), REFUSALS[Answer.GONE]),
        *(_mapper(said(answer), REFUSALS[answer], {"retry-after": NOT_HELD}) for answer in (Answer.FULL, Answer.LATE)),
    ]


def _details(text: str) -> str:
    return f"{_DETAILS} == '{text}'"


def _refused(why: str) -> str:
    return f"{_details('lua_response')} && response.headers['{REFUSED}'] == '{why}'"


def _route(name: str) -> str:
    return f"{_details('direct_response')} && xds.route_name == '{name}'"


def _verdict(whose: str, name: str) -> str:
    return f"{_DETAILS}.startsWith('rbac_access_denied') && {_DETAILS}.contains('[{whose}-{name}]')"


def _limit(name: str) -> str:
    return f"response.code == 429 && response.headers['{LIMIT}'] == '{name}'"


def _wait(what: str, limit: str, seconds: str) -> Mapping[str, str]:
    """The headers that OpenAI's clients know."""
    return {
        "retry-after": seconds,
        f"x-ratelimit-limit-{what}": limit,
        f"x-ratelimit-remaining-{what}": "0",
        f"x-ratelimit-reset-{what}": f"{seconds}s",
    }


def _mapper(condition: str, error: Error, headers: Mapping[str, str] | None = None) -> Config:
    return _plain(condition, error.body(REQUEST_ID), error.status, headers)


def _unchanged(condition: str) -> Config:
    """A JSON body that a script has made."""
    body = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}, "content_type": "application/json"}
    return {"filter": _filter(condition), "body_format_override": body}


def _plain(
    condition: str, body: Mapping[str, str], status: int | None = None, headers: Mapping[str, str] | None = None
) -> Config:
    mapper: Config = {
        "filter": _filter(condition),
        "body_format_override": {"json_format": dict(body)},
        "headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in (headers or {}).items()
        ],
    }
    return mapper if status is None else {**mapper, "status_code": status}


def _filter(condition: str) -> Config:
    cel = extension("cel", "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", expression=condition)
    return {"extension_filter": cel}


_FAILED = (
    _mapper("response.code == 504", errors.TIMEOUT),
    _mapper("response.code >= 500", errors.BUSY, {"retry-after": "1"}),
)
