"""The steps of `up`, each of which finds out itself whether it is done already."""

from collections.abc import Callable, Sequence

from tests.cluster import control_plane, kwok
from tests.cluster.client import Client
from tests.cluster.control_plane import LOOPBACK
from tests.cluster.layout import Layout
from tests.cluster.processes import Processes
from tests.cluster.progress import say
from tests.cluster.settings import Settings
from tests.cluster.waiting import wait_until

READY_SECONDS = 120.0
Command = Callable[[Layout, Settings], list[str]]
CONTROL_PLANE: dict[str, Command] = {
    "etcd": control_plane.etcd,
    "kube-apiserver": control_plane.kube_apiserver,
    "kube-controller-manager": control_plane.kube_controller_manager,
    "kube-scheduler": control_plane.kube_scheduler,
    "kwok": kwok.kwok,
}
STARTED = {
    "api": ("etcd", "kube-apiserver"),
    "kwok": ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"),
    "node": ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
}


class ControlPlane:
    """Starts the processes of a profile's control plane, and knows when each is ready."""

    def __init__(self, layout: Layout, settings: Settings, processes: Processes) -> None:
        self._layout, self._settings, self._processes = layout, settings, processes

    @property
    def server(self) -> str:
        """The API server's URL."""
        return control_plane.server_url(self._layout, self._settings)

    def start(self) -> None:
        for name in STARTED[self._settings.profile]:
            if not self._processes.running(name):
                say(f"starting {name}")
                self._processes.start(name, CONTROL_PLANE[name](self._layout, self._settings))
            self.wait(name)
        if self._settings.profile != "api":
            self._wait_for_service_account()

    def wait(self, name: str) -> None:
        """Wait until the process answers that it is ready."""
        self._processes.wait(name, self._ready(name), READY_SECONDS)

    def _ready(self, name: str) -> Callable[[], bool]:
        addresses = self._layout.addresses
        if name == "etcd":
            return lambda: _answers(self.etcd_client(), "/health")
        if name == "kube-apiserver":
            return lambda: _answers(self.client(), "/readyz")
        ports = {
            "kube-controller-manager": addresses.controller_manager_port,
            "kube-scheduler": addresses.scheduler_port,
        }
        if name in ports:
            return lambda: _answers(self._client(str(LOOPBACK), ports[name]), "/healthz")
        return lambda: True  # kwok is ready when its nodes are

    def client(self) -> Client:
        """A client of the API server, as the admin."""
        ip = control_plane.apiserver_ip(self._layout, self._settings)
        return self._client(str(ip), self._layout.addresses.apiserver_port)

    def etcd_client(self) -> Client:
        """A client of etcd, which speaks JSON too."""
        return self._client(str(LOOPBACK), self._layout.addresses.etcd_port)

    def _client(self, host: str, port: int) -> Client:
        authority = self._layout.authority
        certificate, key = authority.issue("admin", "kubernetes-admin", ["system:masters"])
        return Client(host, port, authority.certificate_file, certificate, key)

    def _wait_for_service_account(self) -> None:
        """Before it is there, every pod is refused."""
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        tail = self._processes.tail
        wait_until(
            lambda: _answers(self.client(), path),
            READY_SECONDS,
            "the default service account",
            lambda: tail("kube-controller-manager"),
        )


def process_names(settings: Settings) -> Sequence[str]:
    """The control plane's processes in the order of their start."""
    return STARTED[settings.profile]


def _answers(client: Client, path: str) -> bool:
    try:
        return client.answers(path)
    finally:
        client.close()
