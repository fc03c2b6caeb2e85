"""How the API server is reached: address, trust, identity. By kubeconfig, or by the pod's service account."""

import os
from pathlib import Path

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

REQUEST_SECONDS = 30.0
"""For one request and its answer."""


class Connection:
    """Sessions with the API server. A token is read again when it was renewed on disk."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._ssl = ApiClient(configuration).rest_client.ssl_context

    @property
    def server(self) -> str:
        """The API server's URL, without a slash at its end."""
        return str(self._configuration.host).rstrip("/")

    def session(self, *traces: aiohttp.TraceConfig) -> aiohttp.ClientSession:
        """A session of one's own, to be closed by who asked for it."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._ssl, limit=0),
            middlewares=(self._authorize,),
            trace_configs=list(traces),
            proxy=self._configuration.proxy,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS),
        )

    async def _authorize(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # The kubernetes client reads a service account's token again each minute, and runs a kubeconfig's plugins.
        token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            request.headers["Authorization"] = token
        return await handler(request)


async def connect(kubeconfig: Path | None) -> Connection:
    """Connect by this kubeconfig; without one as the pod's service account; outside a pod by $KUBECONFIG.

    Raises kubernetes.aio.config.ConfigException if there is nothing to go by.
    """
    configuration = Configuration()
    if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    else:
        path = str(kubeconfig) if kubeconfig else None
        await config.load_kube_config(config_file=path, client_configuration=configuration)  # type: ignore[no-untyped-call]
    return Connection(configuration)
