"""What Envoy counts, for Prometheus. Its admin port stays on loopback: it could do more than tell."""

from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

PATH = "/metrics/envoy"
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_SHOWN = (
    r"server\.(live|uptime|memory_allocated|memory_physical_size|days_until_first_cert_expiring)",
    # clients: connections, requests and answers, and what was refused before a key was looked at
    r"http\.gateway\.downstream_cx_(active|total|protocol_error)",
    r"http\.gateway\.downstream_rq_(active|total|[1-5]xx|time|timeout|header_timeout|too_large|overload_close)",
    r"listener\.[^.]+\.[^.]+\.[^.]+\.[^.]+\.downstream_cx_overload_reject",
    # keys, verdicts, limits
    r"http\.gateway\.api_key_auth\.(allowed|unauthorized)",
    r"http\.gateway\.rbac\.(allowed|denied)",
    r".*\.http_local_rate_limit\.rate_limited",
    # what must never happen: a script that fails, a configuration that Envoy does not take, a line that is not written
    r"http\.gateway\.lua\.errors",
    r".*\.(update_rejected|config_fail)",
    r"filesystem\.(write_failed|reopen_failed)",
    r"overload\..*\.(pressure|active)",
    # instances, by service
    r"cluster\.[^.]+\.(membership_healthy|outlier_detection\.ejections_active|upstream_cx_connect_fail|upstream_rq_timeout)",
)
"""Envoy's names of what is shown, of the thousand that it has for each service."""

Handler = Callable[[web.Request], Awaitable[web.Response]]


def shown(session: aiohttp.ClientSession, admin: str) -> Handler:
    """Answers as Prometheus reads it; 503 while Envoy does not answer. admin: Envoy's address, http://127.0.0.1:PORT."""

    async def show(_: web.Request) -> web.Response:
        query = {"filter": f"^({'|'.join(_SHOWN)})$"}
        try:
            async with session.get(f"{admin}/stats/prometheus", params=query, timeout=_TIMEOUT) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.Response(status=503, text=f"Envoy does not answer: {error or type(error).__name__}\n")
        return web.Response(status=answer.status, body=body, headers={"Content-Type": answer.headers["Content-Type"]})

    return show
