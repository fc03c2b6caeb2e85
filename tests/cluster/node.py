"""A real node: its control group, containerd with the images that every node needs, kubelet and kube-proxy."""

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.cluster import cgroups, dns, images, kubelet, kwok
from tests.cluster.addresses import NodeAddresses
from tests.cluster.build import binary
from tests.cluster.client import Client
from tests.cluster.containerd import PAUSE_IMAGE, Containerd
from tests.cluster.layout import Layout
from tests.cluster.processes import Processes
from tests.cluster.progress import say
from tests.cluster.waiting import wait_until

READY_SECONDS = 120.0


class Node:
    """Starts one node's processes, and knows when each is ready."""

    def __init__(self, layout: Layout, addresses: NodeAddresses, processes: Processes) -> None:
        self._layout, self._addresses, self._processes = layout, addresses, processes
        self.containerd = Containerd(layout, addresses)

    @property
    def name(self) -> str:
        return self._addresses.name

    def start(self, server: str, client: Client) -> None:
        """Start what does not run, and wait until the node is Ready. `server`: the API server's URL."""
        cgroups.create(self._addresses.cgroup)
        containerd = self.containerd
        self._start(containerd.name, containerd.command, containerd.environment)
        self._load_images()
        self._start(f"kubelet-{self._addresses.index}", lambda: kubelet.kubelet(self._layout, self._addresses, server))
        self._start(f"kube-proxy-{self._addresses.index}", lambda: kubelet.kube_proxy(self._layout, self._addresses))
        wait_until(
            lambda: self.name in kwok.ready_nodes(client),
            READY_SECONDS,
            f"{self.name} to be Ready",
            lambda: self._processes.tail(f"kubelet-{self._addresses.index}"),
        )

    def owns(self, process: str) -> bool:
        return process in self._ready()

    def wait(self, process: str) -> None:
        """Wait until the process answers that it is ready."""
        self._processes.wait(process, self._ready()[process], READY_SECONDS)

    def _start(self, name: str, command: Callable[[], list[str]], environment: dict[str, str] | None = None) -> None:
        if not self._processes.running(name):
            say(f"starting {name}")
            self._processes.start(name, command(), environment, self._addresses.network_namespace)
        self.wait(name)

    def _ready(self) -> dict[str, Callable[[], bool]]:
        ip, index = self._addresses.ip, self._addresses.index
        return {
            self.containerd.name: lambda: bool(self.containerd.ctr("version", check=False)),
            f"kubelet-{index}": lambda: _healthy(f"http://{ip}:{kubelet.KUBELET_HEALTH_PORT}/healthz"),
            f"kube-proxy-{index}": lambda: _healthy(f"http://{ip}:{kubelet.PROXY_HEALTH_PORT}/healthz"),
        }

    def _load_images(self) -> None:
        for name, program in ((PAUSE_IMAGE, "pause"), (dns.image(), "coredns")):
            if not images.has(self.containerd, name):
                say(f"loading image {name} into {self.name}")
                archive = Path(self.containerd.directory, f"{program}.tar")
                images.write_archive(archive, name, binary(program))
                images.load(self.containerd, archive, name)
                archive.unlink()


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
