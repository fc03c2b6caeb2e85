"""Health and metrics by HTTP."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, disable_created_metrics, generate_latest

disable_created_metrics()  # type: ignore[no-untyped-call]  # as many series again, which nobody asks for

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


def metrics(registry: CollectorRegistry = REGISTRY) -> web.Application:
    """/metrics, as Prometheus reads it."""

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/metrics", show)])
    return app


@asynccontextmanager
async def served(*applications: tuple[web.Application, int], host: str | None = None) -> AsyncIterator[None]:
    """Each application is served on its port. host: the address, None for all. Raises OSError where a port is taken."""
    runners: list[web.AppRunner] = []
    try:
        for app, port in applications:
            runners.append(web.AppRunner(app, access_log=None))
            await runners[-1].setup()
            await web.TCPSite(runners[-1], host, port).start()
        yield
    finally:
        for runner in runners:
            await runner.cleanup()
