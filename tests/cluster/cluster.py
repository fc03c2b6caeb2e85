"""A real Kubernetes on this machine, as tests, benchmarks and the demo use it."""

import fcntl
import hashlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import build, dns, images, kwok, lws, network, prerequisites, removal
from tests.cluster.addresses import Addresses
from tests.cluster.bring_up import CONTROL_PLANE, ControlPlane
from tests.cluster.client import MERGE_PATCH, Client
from tests.cluster.errors import ClusterError
from tests.cluster.layout import ENTRIES, Layout, default_directory
from tests.cluster.node import Node
from tests.cluster.parts import PROFILES
from tests.cluster.processes import Processes
from tests.cluster.progress import say
from tests.cluster.seeding import seed
from tests.cluster.settings import Settings, recall
from tests.cluster.waiting import wait_until

CAPACITY_SECONDS = 60.0
DNS_SECONDS = 120.0


@dataclass(frozen=True)
class Status:
    """`profile` is None where there is no cluster; `answers`: the API server does; `processes` says which run, `nodes`
    which are Ready."""

    profile: str | None
    answers: bool
    processes: Mapping[str, bool]
    nodes: Mapping[str, bool]

    @property
    def running(self) -> bool:
        return self.answers and all(self.processes.values()) and all(self.nodes.values())


class Cluster:
    """Cluster `number` (0 to 39), in `directory`: .cluster in the checkout for 0, .cluster-N for N.

    Every method raises ClusterError where a step fails, with the process's name, its log and the log's tail.
    """

    def __init__(self, number: int = 0, directory: Path | None = None) -> None:
        self.number = number
        self.directory = (directory or default_directory(number)).absolute()
        self._layout = Layout(self.directory, Addresses(number))
        self._processes = Processes(self.directory)

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self._layout.kubeconfig

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON object a line (there after `up(audit=True)`)."""
        return self._layout.audit_log

    @property
    def processes(self) -> list[str]:
        """The names that `stop_process` and `start_process` take."""
        return self._processes.names()

    def binary(self, name: str) -> Path:
        """The path of kubectl, helm, ctr or any other of the cluster's binaries, built now if the cache lacks it."""
        return build.binary(name)

    def up(
        self,
        profile: str = "api",
        nodes: int = 1,
        audit: bool = False,
        flags: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Bring the cluster up; where it is up already, start what has ended and return.

        profile: `api` (etcd and the API server; no controllers, no pods), `kwok` (and controllers, scheduler, fake
        nodes), `node` (and real nodes, `nodes` of them: 1 or 2). `audit` logs every request's metadata. `flags` are
        more flags by process: {"kube-apiserver": ["--v=2"]}. Raises PrerequisitesError, before all else, where the
        machine lacks something; ClusterError where the directory holds a cluster of other settings.
        """
        self._check(profile, nodes, flags or {})
        prerequisites.ensure(profile, self._layout.addresses)
        build.build_all(PROFILES[profile])
        settings = Settings(
            self.number, profile, nodes, audit, {name: list(more) for name, more in (flags or {}).items()}
        )
        self.directory.mkdir(parents=True, exist_ok=True)
        self._check_directory()
        with self._locked():
            settings.remember(self._layout.settings_file)
            self._start(settings)

    def down(self) -> None:
        """End the cluster and remove every trace of it, also after a crash or half an `up`."""
        if not self.directory.exists():
            removal.remove(self._layout, self._processes)
            return
        self._check_directory()
        with self._locked():
            removal.remove(self._layout, self._processes)

    def status(self) -> Status:
        settings = recall(self._layout.settings_file)
        if settings is None:
            return Status(None, False, {}, {})
        processes = {name: self._processes.running(name) for name in self._processes.names()}
        answers = self.client().answers("/readyz")
        return Status(settings.profile, answers, processes, self._nodes() if answers else {})

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the admin and return what it prints; raises ClusterError with its error output."""
        command = [str(self.binary("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def pid(self, name: str) -> int:
        """Which process of the machine it is. Raises ClusterError where it does not run."""
        record = self._processes.record(name)
        if record is None or not record.running:
            raise ClusterError(f"{name} does not run. {self._processes.tail(name)}")
        return record.pid

    def stop_process(self, name: str, kill: bool = False) -> None:
        """End one process by SIGTERM, or by SIGKILL, and wait until it is gone."""
        self._processes.stop(name, signal.SIGKILL if kill else signal.SIGTERM)

    def start_process(self, name: str) -> None:
        """Start one process again as it was, and wait until it is ready."""
        self._processes.restart(name)
        if name in CONTROL_PLANE:
            self._control_plane().wait(name)
        for node in self._real_nodes():
            if node.owns(name):
                node.wait(name)

    def load_image(self, archive: Path, name: str) -> None:
        """Load a docker or OCI archive into every node as image `name` (imagePullPolicy: IfNotPresent)."""
        for node in self._real_nodes():
            images.load(node.containerd, archive, name)

    def tag_image(self, name: str, another: str) -> None:
        """Give a loaded image one more name on every node."""
        for node in self._real_nodes():
            images.tag(node.containerd, name, another)

    def copy_image(self, name: str, folder: Path) -> None:
        """Copy the files of a loaded image into a folder that is not there yet."""
        images.copy_out(next(iter(self._real_nodes())).containerd, name, folder)

    def add_kwok_nodes(
        self,
        count: int,
        capacity: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        prefix: str = "kwok",
    ) -> list[str]:
        """Add fake nodes named PREFIX-0000 and so on, and wait until they are Ready; returns their names.

        `capacity` (quantities: {"huawei.com/Ascend910": "8"}) adds to 64 cpu, 512Gi memory, 110 pods, or replaces.
        """
        names = [f"{prefix}-{index:04}" for index in range(count)]
        kwok.add_nodes(self.client(), names, capacity or {}, labels or {})
        return names

    def set_node_capacity(self, node: str, capacity: Mapping[str, str]) -> None:
        """Give a node extended resources ({"nvidia.com/gpu": "8"}) and wait until they are allocatable."""
        client, path = self.client(), f"/api/v1/nodes/{node}"
        status = {"status": {"capacity": dict(capacity), "allocatable": dict(capacity)}}
        client.request("PATCH", f"{path}/status", status, MERGE_PATCH)

        def allocatable() -> bool:
            shown = client.request("GET", path)["status"]["allocatable"]
            return all(shown.get(resource) == quantity for resource, quantity in capacity.items())

        wait_until(allocatable, CAPACITY_SECONDS, f"{node} to offer {dict(capacity)}")

    def define_leader_worker_sets(self) -> None:
        """Apply the definition of LeaderWorkerSets, and no more: they can be made, and nothing comes of them."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=lws.definition())
        client = self.client()
        wait_until(lambda: client.answers(lws.PATH), lws.READY_SECONDS, "LeaderWorkerSets to be served")

    @contextmanager
    def leader_worker_sets(self) -> Iterator[None]:
        """LeaderWorkerSet is installed while the block runs: definition, controller, webhooks. It is built first if the
        cache lacks it. Afterwards nothing of it is there: webhooks without their controller would refuse every pod."""
        self.define_leader_worker_sets()
        kubeconfig = self._layout.kubeconfig_of(lws.NAME)
        if not kubeconfig.exists():  # the cluster was made by a checkout before this
            self._layout.write_component_kubeconfigs(self._control_plane().server)
        self._processes.start(lws.NAME, lws.command(self._layout))
        try:
            self._processes.wait(lws.NAME, self._lws_ready, lws.READY_SECONDS)
            self.kubectl("apply", "--server-side", "--filename=-", stdin=lws.webhooks(self._layout))
            yield
        finally:
            self.kubectl("delete", "--ignore-not-found", "--filename=-", stdin=lws.webhooks(self._layout))
            self._processes.stop(lws.NAME)
            self.kubectl("delete", "--ignore-not-found", "--timeout=60s", "--filename=-", stdin=lws.definition())

    def user_kubeconfig(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Write and return a kubeconfig of `user` in `groups`, who may do what RBAC then grants them."""
        digest = hashlib.sha256(repr((user, sorted(groups))).encode()).hexdigest()[:8]
        name = f"user-{re.sub(r'[^A-Za-z0-9.-]', '-', user)}-{digest}"
        server = self._control_plane().server
        return self._layout.write_kubeconfig(self.directory / "kubeconfigs" / name, server, user, list(groups), name)

    def client(self) -> Client:
        """A connection to the API server as the admin, for one thread; to be closed."""
        return self._control_plane().client()

    def seed(self, group: str, plural: str, objects: Iterable[Mapping[str, Any]]) -> None:
        """Put thousands of namespaced custom resources there at once, status included, past the API server's checks."""
        with closing(self._control_plane().etcd_client()) as etcd:
            seed(etcd, group, plural, objects)

    def _lws_ready(self) -> bool:
        """Whether its webhooks can be called."""
        try:
            with socket.create_connection((lws.HOST, self._layout.addresses.lws_webhook_port), timeout=1):
                return True
        except OSError:
            return False

    def _check(self, profile: str, nodes: int, flags: Mapping[str, Sequence[str]]) -> None:
        if profile not in PROFILES:
            raise ValueError(f"there is no profile {profile}; there are {', '.join(PROFILES)}")
        if nodes not in (1, 2) or (nodes > 1 and profile != "node"):
            raise ValueError(f"{nodes} nodes: profile node takes 1 or 2, the others none")
        if unknown := flags.keys() - CONTROL_PLANE.keys():
            raise ValueError(f"flags for {', '.join(sorted(unknown))}: only {', '.join(CONTROL_PLANE)} take some")

    def _check_directory(self) -> None:
        """Never write into, let alone remove, a directory that holds something else."""
        if others := {entry.name for entry in self.directory.iterdir()} - ENTRIES:
            raise ClusterError(f"{self.directory} holds other things ({', '.join(sorted(others))}): give another")

    def _start(self, settings: Settings) -> None:
        control_plane = ControlPlane(self._layout, settings, self._processes)
        self._layout.write_component_kubeconfigs(control_plane.server)
        if settings.profile == "node":
            addresses = self._layout.addresses
            network.create(addresses, [addresses.node(index) for index in range(1, settings.nodes + 1)])
        control_plane.start()
        for node in self._real_nodes():
            node.start(control_plane.server, control_plane.client())
        if settings.profile == "node":
            self._start_dns()
        say(f"the cluster is up: export KUBECONFIG={self.kubeconfig}")

    def _start_dns(self) -> None:
        path = f"/apis/apps/v1/namespaces/{dns.NAMESPACE}/deployments/{dns.NAME}"
        client = self.client()
        if client.answers(path) and client.request("GET", path)["status"].get("availableReplicas"):
            return
        say("starting coredns")
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=dns.manifests(self._layout))
        wait_until(
            lambda: client.request("GET", path)["status"].get("availableReplicas"),
            DNS_SECONDS,
            "coredns to be available",
            lambda: self.kubectl("describe", "pods", f"--namespace={dns.NAMESPACE}", f"--selector={dns.SELECTOR}"),
        )

    def _settings(self) -> Settings:
        settings = recall(self._layout.settings_file)
        if settings is None:
            raise ClusterError(f"there is no cluster in {self.directory}: `up` first")
        return settings

    def _control_plane(self) -> ControlPlane:
        return ControlPlane(self._layout, self._settings(), self._processes)

    def _real_nodes(self) -> list[Node]:
        settings = self._settings()
        count = settings.nodes if settings.profile == "node" else 0
        addresses = [self._layout.addresses.node(index) for index in range(1, count + 1)]
        return [Node(self._layout, node, self._processes) for node in addresses]

    def _nodes(self) -> dict[str, bool]:
        client = self.client()
        ready = kwok.ready_nodes(client)
        names = [node["metadata"]["name"] for node in client.request("GET", "/api/v1/nodes")["items"]]
        return {name: name in ready for name in names}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One `up` or `down` of this directory at a time."""
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
