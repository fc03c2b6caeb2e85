"""Health and metrics by HTTP."""

from collections.abc import Callable, Mapping

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

WaitingFor = Callable[[], Mapping[str, str]]
"""What is still to be seen before this replica does its work, and why; empty when it is ready."""


def health(waiting_for: WaitingFor) -> web.Application:
    """/healthz: the process answers. /readyz: it does its work, or stands by to take it over."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        waiting = waiting_for()
        if not waiting:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="".join(f"{what}: {why}\n" for what, why in sorted(waiting.items())))

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz)])
    return app


def metrics() -> web.Application:
    """/metrics, as Prometheus reads it."""

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/metrics", show)])
    return app


async def listen(app: web.Application, port: int) -> web.AppRunner:
    """Serve an application on all addresses. Raises OSError where the port is taken."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
